"""What must have come of an operator's commands in the middle of a story."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from chaos.case import Broken, Case
from chaos.evidence import Evidence
from chaos.oracle import Person
from chaos.story import Blow, RuleLine, Story
from chaos.world import tag_of

BITE, SLOW_ANSWERS = 2.0, 5
"""A freeze bites within 5 s; a gate in a story is asked that much more often. A call may be under way meanwhile."""
AIR = 6.0
"""A call that left in time may arrive so much later on a busy machine, whose mail server wants several answers."""
CLAIMED_AHEAD = 3.0
SYSTEMS = {"klicktipp_default": "klicktipp", "activecampaign_default": "activecampaign", "smtp_default": "email"}


class Operated:
    """Judges freezes, erasures, rules that were judged anew, and who is handed over again."""

    def __init__(self, story: Story, evidence: Evidence, cases: Sequence[Case]) -> None:
        self._story, self._evidence, self._cases = story, evidence, cases

    def broken(self) -> Iterator[Broken]:
        """Yield what is broken."""
        for blow in self._story.done("freeze"):
            yield from self._frozen(blow)
        if self._story.erased:
            yield from self._erased(self._story.erased)
        for blow in self._story.done("rejudge"):
            yield from self._judged_anew(blow)
        for one, other in combinations(self._cases, 2):
            if one.rule is other.rule and one.rule.again:
                yield from self._again(one, other)
        yield from self._quota()

    def _frozen(self, blow: Blow) -> Iterator[Broken]:
        """Between freeze and thaw nothing of what is frozen takes place."""
        frozen = self._evidence.command("freeze", blow.about)
        thawed = self._evidence.command("thaw", blow.about)
        if not frozen or not thawed:
            yield Broken(6, f"{blow.about} was not frozen and thawed")
            return
        # Who is not let run does not hear of it.
        if self._evidence.stalled or self._story.done("suspend"):
            return
        begin = frozen["ended"] + BITE + SLOW_ANSWERS * self._story.latency
        for effect in self._evidence.effects:
            if begin < effect["at"] < thawed["began"] and self._is_about(blow.about, effect):
                late = effect["at"] - frozen["ended"]
                what = f"{effect['action']} of {effect['contact']} at {effect['system']}"
                yield Broken(3, f"{what} took place {late:.1f} s after {blow.about} was frozen")

    def _is_about(self, scope: str, effect: dict[str, Any]) -> bool:
        kind, _, name = scope.partition(":")
        if kind == "account":
            return bool(effect["system"] == SYSTEMS[name])
        mine = [case for case in self._cases if kind == "all" or case.rule.id == name]
        if effect["action"] == "tag":
            return any(effect["detail"]["tag"] in map(case.tag, range(len(case.rule.steps))) for case in mine)
        return effect["action"] == "mail" and any(
            row["message_id"] == effect["detail"]["message_id"]
            for case in mine
            for row in self._evidence.rows("effects", batch_id=case.batch["id"])
        )

    def _erased(self, email: str) -> Iterator[Broken]:
        """Nothing of the person is left, and nothing goes out any more."""
        done = self._evidence.command("erase", email)
        if not done:
            yield Broken(6, f"{email} was not erased")
            return
        for table in self._evidence.named:
            yield Broken(6, f"{email} was erased, and still stands in {table}")
        for effect in self._evidence.effects:
            if effect["contact"] == email and effect["at"] > done["ended"] + AIR:
                late = effect["at"] - done["ended"]
                yield Broken(3, f"{effect['action']} of {email} took place {late:.1f} s after the erasure")
        for row in self._evidence.rows("effects", email=""):
            if (row["intent_at"] or 0.0) > done["ended"]:
                yield Broken(3, f"step {row['step_no']} of {email} was begun after the erasure")

    def _judged_anew(self, blow: Blow) -> Iterator[Broken]:
        """What was judged before stays as it was; what waited then is as the rule is now."""
        done = self._evidence.command("rejudge", blow.about)
        if not done:
            yield Broken(6, f"{blow.about} was not judged anew")
            return
        for case in self._cases:
            if case.rule.id != blow.about:
                continue
            anew, judged, due = case.batch["anew"], case.batch["judged_at"], case.batch["due"]
            if anew and judged < done["began"]:
                yield Broken(6, f"{case.name}: judged already, and judged anew all the same")
            known = any(batch["id"] == case.batch["id"] for batch in self._waited(done))
            if not anew and known and due > done["ended"] + CLAIMED_AHEAD:
                yield Broken(6, f"{case.name}: waited when its rule was judged anew, and went out as before")

    def _waited(self, done: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the batches of dates that were announced long before, where nothing kept that from being heard."""
        story = self._story
        if story.dropped or story.faults or any(blow.kind != "rejudge" for blow in story.blows):
            return []
        heard = {d.id for d in story.dates if self._evidence.zero + d.plans[0].since + CLAIMED_AHEAD < done["began"]}
        return [batch for batch in self._evidence.rows("batches") if batch["key"] in heard]

    def _again(self, one: Case, other: Case) -> Iterator[Broken]:
        """A rule that hands over only once does so, whatever the number of dates."""
        for email in sorted(self.handed_over(one) & self.handed_over(other)):
            yield Broken(2, f"{one.rule.id}: {email} was handed over for {one.date.id} and for {other.date.id}")

    def handed_over(self, case: Case) -> set[str]:
        """Return the addresses of those of whose effects not all ended without having gone out."""
        rows = self._evidence.rows("effects", batch_id=case.batch["id"])
        return {row["email"] for row in rows if row["email"] and row["state"] not in {"refused", "skipped"}}

    def had_before(self, case: Case, person: Person) -> bool:
        """Whether a person may be left out because the rule has handed them over at another date, or meant to.

        Where nobody has consented all of it is skipped, but may still have been planned when this date was judged.
        """
        others = [other for other in self._cases if other.rule is case.rule and other is not case]
        if case.rule.again and case.rule.barred == "no consent":
            met = [self._evidence.rows("effects", batch_id=other.batch["id"]) for other in others]
            return any(row["email"] == person.email for rows in met for row in rows)
        return bool(case.rule.again) and any(person.email in self.handed_over(other) for other in others)

    def _quota(self) -> Iterator[Broken]:
        quota, calls = self._story.quota, self._evidence.calls.get("activecampaign")
        if quota and calls and calls["total"] > quota:
            yield Broken(4, f"{calls['total']} calls in a day of {quota}")


def tags_of(story: Story, rule: RuleLine, step_no: int) -> tuple[str, ...]:
    """Return every tag that a step may ever have had in the story."""
    anew = [True] * any(blow.about == rule.id for blow in story.done("rejudge"))
    return tuple(tag_of(rule, step_no, anew=one) for one in (False, *anew))
