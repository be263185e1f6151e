"""The seven promises against what a story left behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from chaos.case import CRASHED, Broken, Case
from chaos.evidence import Evidence
from chaos.operated import AIR, Operated, tags_of
from chaos.oracle import Person, audience, bases, listed_by, people
from chaos.story import FAR, Date, RuleLine, Story

GRAIN = 0.002
EARLY = 0.05
UNEVEN_SECONDS = 0.2
"""After so long a pause of the sandbox, calls that left one after the other arrive together."""
CLEAR, KNOWN = 30.0, 12.0
"""So long after its moment a batch has been judged; so long after a cancellation every worker has heard of it."""
LEFT_BEHIND = {"occasion_moved", "moved_back"}
"""Why a round was cancelled in whose place another one is."""
ONLINE = {"online", "not_online"}
VIOLENT = {"kill", "suspend", "postgres"}
LATE = {"hold": "held", "skip": "skipped", "send": "never"}
MAILS_AT_ONCE = 4
"""So many mails of a rule a worker has on their way."""


def judge(story: Story, evidence: Evidence) -> list[Broken]:
    """Return every promise that the story shows broken."""
    return sorted(set(Judge(story, evidence).broken()))


class Judge:
    """Judges one story."""

    def __init__(self, story: Story, evidence: Evidence) -> None:
        self._story, self._evidence = story, evidence
        self._cases: list[Case] = []
        self._operated = Operated(story, evidence, self._cases)

    def broken(self) -> Iterator[Broken]:
        """Yield what is broken; the same thing perhaps in several words."""
        for left in self._evidence.open:
            yield Broken(6, f"not done in good time: {left}")
        for said in self._evidence.said:
            if "crashed" in said:
                yield Broken(6, f"{CRASHED}: {said['crashed']}")
        yield from self._kept_reports()
        yield from self._occasions()
        for rule in self._story.rules:
            for date in self._story.dates:
                if rule.waits_for(date):
                    yield from self._rounds(rule, date)
        for case in self._cases:
            yield from self._everybody(case)
            yield from self._in_time(case)
            yield from self._explained(case)
            yield from self._certified(case)
            yield from self._order(case)
        yield from self._once()
        yield from self._partition()
        yield from self._lanes()
        yield from self._rate()
        yield from self._few_doubts()
        yield from self._operated.broken()

    def _kept_reports(self) -> Iterator[Broken]:
        for said in self._evidence.said:
            event = said.get("acknowledged")
            if event and not any(
                abs(row["changed"] - event["changed"]) < GRAIN and row["cancelled"] == event["cancelled"]
                for row in self._evidence.rows("inbox", key=event["key"])
            ):
                yield Broken(1, f"an acknowledged report about {event['key']} is not in the inbox")

    def _occasions(self) -> Iterator[Broken]:
        for date in self._story.dates:
            for row in self._evidence.rows("occasions", key=date.id):
                same = row["cancelled"] == date.last.cancelled and (
                    date.across_dst or abs(row["end"] - self._evidence.zero - date.last.end) < GRAIN
                )
                if not same:
                    yield Broken(3, f"the ledger holds an older plan of {date.id} for the newest")

    def _rounds(self, rule: RuleLine, date: Date) -> Iterator[Broken]:
        """Find the batches, one a round, and judge what became of each as a whole."""
        found = self._evidence.rows("batches", rule_id=rule.id, key=date.id)
        if not found and not date.last.cancelled:
            yield Broken(6, f"{rule.id} at {date.id}: nothing was ever planned")
        current = ([batch for batch in found if batch["reason"] not in LEFT_BEHIND] or found)[-1:]
        for batch in found:
            if batch["state"] == "judged" or self._evidence.rows("verdicts", batch_id=batch["id"]):
                yield from self._judged(rule, date, batch)
            if batch in current and batch["state"] != "judged":
                yield from self._not_judged(rule, date, batch)
            elif batch["state"] not in {"judged", "cancelled"}:
                yield Broken(6, f"{rule.id} at {date.id}: {batch['state']} ({batch['reason']}) beside another round")

    def _judged(self, rule: RuleLine, date: Date, batch: dict[str, Any]) -> Iterator[Broken]:
        """Make a case of a batch of which everybody was judged, or a part before it was cancelled or moved."""
        due = batch["due"] - self._evidence.zero
        possible = (b for b in bases(rule, date, self._jumped) if not b.plan.cancelled)
        basis = next((b for b in possible if abs(b.due - due) < GRAIN), None)
        if basis is None:
            yield Broken(3, f"{rule.id} at {date.id}: judged for a moment at which the source said otherwise")
            return
        everybody = Case(rule, date, batch, basis, tuple(audience(rule, date, basis)))
        included = {row["email"] for row in self._evidence.rows("verdicts", batch_id=batch["id"], included=True)}
        part = tuple(person for person in everybody.people if self._known_as(person) in included)
        self._cases.append(everybody if everybody.whole else replace(everybody, people=part))

    def _not_judged(self, rule: RuleLine, date: Date, batch: dict[str, Any]) -> Iterator[Broken]:
        """Judge whether a batch may be as it is though not everybody was judged."""
        name, zero = f"{rule.id} at {date.id}", self._evidence.zero
        due, state = batch["due"] - zero, batch["state"]
        first = next(bases(rule, date, self._jumped))
        since = max(first.due, first.plan.since)
        if self._calm and not first.plan.cancelled and since + CLEAR < first.until and first.due < FAR:
            if not (state == LATE[rule.then] and first.due + rule.grace < batch["judged_at"] - zero + AIR):
                yield Broken(6, f"{name}: was due undisturbed at {first.due}, and is {state} ({batch['reason']})")
        elif state in {"held", "skipped"}:
            if state != LATE[rule.then] or due + rule.grace > batch["judged_at"] - zero + AIR:
                yield Broken(6, f"{name}: {state} though it was not late ({batch['reason']})")
        elif state == "cancelled":
            if not date.last.cancelled:
                yield Broken(6, f"{name}: cancelled though the source never said so")
        elif date.last.cancelled:
            yield Broken(3, f"{name}: {state} though the source has cancelled it")
        elif abs(due - rule.due(date.last)) > GRAIN:
            yield Broken(3, f"{name}: is {state} for {due:.3f} instead of {rule.due(date.last)}")

    @property
    def _calm(self) -> bool:
        story = self._story
        troubled = story.blows or story.dropped or story.presence_lag or self._evidence.stalled
        return not troubled and not any(fault.system == "webinaris" for fault in story.faults)

    def _everybody(self, case: Case) -> Iterator[Broken]:
        """Nobody lost, nobody who does not belong, everybody ended as they may."""
        wrong = 5 if case.rule.who in ONLINE else 6
        rows = self._evidence.rows("effects", batch_id=case.batch["id"])
        expected = {self._known_as(person): person for person in case.people}
        for email in sorted({row["email"] for row in rows} - set(expected)):
            yield Broken(wrong, f"{case.name}: {email} does not belong to {case.rule.who} and was handed over")
        for email, person in expected.items():
            mine = [row for row in rows if row["email"] == email]
            if not mine and (not email or self._operated.had_before(case, person)):
                continue
            if sorted(row["step_no"] for row in mine) != list(range(len(case.rule.steps))):
                yield Broken(wrong, f"{case.name}: {person.email} is {case.rule.who} and was lost")
            for row in mine:
                yield from self._ended(case, person, row, rows)

    def _known_as(self, person: Person) -> str:
        """Return a person's address as the ledger has it: none any more of who was erased."""
        return "" if person.email == self._story.erased else person.email

    def _ended(self, case: Case, person: Person, row: dict[str, Any], rows: list[dict[str, Any]]) -> Iterator[Broken]:
        step = case.rule.steps[row["step_no"]]
        what = f"{case.name}: step {row['step_no']} of {person.email} is {row['state']} ({row['reason']})"
        stopped = row["lane_held"] and any(
            other["lane_id"] == row["lane_id"] and other["email"] == row["email"] and other["state"] == "held"
            for other in self._evidence.rows("effects")
        )
        doubtful = step == "mail" and self._may_doubt
        late = bool(row["settled_at"]) and (
            row["settled_at"] - self._evidence.zero > case.basis.due + case.rule.grace - EARLY - self._jumped
        )
        # Between the last look and the effect the source may have changed its mind.
        changed = bool(row["settled_at"]) and row["settled_at"] - self._evidence.zero > case.basis.until
        erased, barred = not row["email"], case.rule.barred if case.rule.bars(row["step_no"]) else ""
        fine = {
            "confirmed": not barred, "refused": person.poison or (step == "mail" and self._mails_refused),
            "skipped": person.poison or late or changed or erased or self._after_another(row, rows, "refused")
            or barred == "no consent",
            "held": doubtful or late or changed or self._after_another(row, rows, "held"),
            "planned": bool(stopped) or barred in {"closed", "frozen"} or self._rests_for_tomorrow(case.rule),
        }.get(row["state"], False)  # fmt: skip
        if not fine:
            yield Broken(6, what)
        if row["state"] in {"held", "refused", "skipped"} and not row["reason"]:
            yield Broken(7, f"{what} without a reason")
        if row["state"] == "confirmed" and not erased and not self._seen(case, person, row, step):
            yield Broken(6, f"{what}, and the target knows nothing of it")

    def _rests_for_tomorrow(self, rule: RuleLine) -> bool:
        return self._story.quota is not None and "ac" in rule.steps

    def _after_another(self, row: dict[str, Any], rows: list[dict[str, Any]], state: str) -> bool:
        return any(
            r["handoff_id"] == row["handoff_id"] and r["step_no"] < row["step_no"] and r["state"] == state for r in rows
        )

    @property
    def _mails_refused(self) -> bool:
        return any((fault.system, fault.fault) == ("email", "500") for fault in self._story.faults)

    @property
    def _jumped(self) -> float:
        """The seconds by which a worker's clock may be wrong."""
        return max((abs(blow.seconds) for blow in self._story.blows if blow.kind == "jump"), default=0.0)

    @property
    def _may_doubt(self) -> bool:
        mail = any(fault.system == "email" for fault in self._story.faults)
        return mail or any(blow.kind in VIOLENT for blow in self._story.blows) or self._evidence.stalled

    def _seen(self, case: Case, person: Person, row: dict[str, Any], step: str) -> bool:
        if step == "mail":
            return any(mail["detail"]["message_id"] == row["message_id"] for mail in self._evidence.mails)
        return bool(self._evidence.tagged(case.tag(row["step_no"])).get(person.email))

    def _moments(self, case: Case, email: str) -> list[tuple[int, dict[str, Any]]]:
        """Return what the sandbox saw of one handoff as ``(step, effect)``, in the order in which it took place.

        Nothing for who has several dates of the rule: their effects cannot be told apart.
        """
        others = [other for other in self._cases if other.rule is case.rule and other is not case]
        if any(person.email == email for other in others for person in other.people):
            return []
        rows = [row for row in self._evidence.rows("effects", batch_id=case.batch["id"]) if row["email"] == email]
        found = []
        for row in rows:
            if case.rule.steps[row["step_no"]] == "mail":
                seen = [m for m in self._evidence.mails if m["detail"]["message_id"] == row["message_id"]]
            else:
                seen = self._evidence.tagged(case.tag(row["step_no"])).get(email, [])
            found += [(row["step_no"], effect) for effect in seen]
        return sorted(found, key=lambda item: int(item[1]["seq"]))

    def _in_time(self, case: Case) -> Iterator[Broken]:
        """Nothing before its moment, nothing later than ``late_after``, nothing after a readable cancellation."""
        zero, deadline = self._evidence.zero, case.basis.due + case.rule.grace
        for person in case.people:
            for step, effect in self._moments(case, person.email):
                if case.rule.bars(step):
                    yield Broken(3, f"{case.name}: step {step} of {person.email} went out, but: {case.rule.barred}")
                at = effect["at"] - zero
                if at > deadline + AIR:
                    yield Broken(3, f"{case.name}: step {step} of {person.email} {at - deadline:.1f} s too late")
                if self._calm and case.date.last.cancelled and at > case.date.last.since + KNOWN:
                    yield Broken(3, f"{case.name}: step {step} of {person.email} after the cancellation was known")
                if at < case.basis.due - EARLY and not self._jumped:
                    yield Broken(3, f"{case.name}: step {step} of {person.email} before its moment")
        read = [row["read_at"] - zero for row in self._evidence.rows("verdicts", batch_id=case.batch["id"])]
        if read and min(read) > case.basis.until + EARLY + self._jumped:
            yield Broken(3, f"{case.name}: handed over after the source had changed its mind readably")

    def _explained(self, case: Case) -> Iterator[Broken]:
        """Every verdict says enough, and nobody is without one when everybody was judged."""
        verdicts = self._evidence.rows("verdicts", batch_id=case.batch["id"])
        for row in verdicts:
            told = row["reason"] and (row["has_facts"] or not row["email"] or row["reason"] == "duplicate")
            if not told:
                yield Broken(7, f"{case.name}: the verdict on {row['ref']} says too little ({row['reason']})")
        if not case.whole:
            return
        listed = listed_by(case.date, case.basis.due)
        if len(verdicts) < listed:
            yield Broken(7, f"{case.name}: {listed} listed by the moment and {len(verdicts)} verdicts")
        known = {row["email"] for row in verdicts}
        for person in people(case.date):
            if person.registered <= case.basis.due and person.email not in {*known, self._story.erased}:
                yield Broken(7, f"{case.name}: no verdict on {person.email}")

    def _certified(self, case: Case) -> Iterator[Broken]:
        """A certificate that is even and right."""
        listed = listed_by(case.date, case.basis.due)
        found = self._evidence.rows("certificates", batch_id=case.batch["id"])
        if not found:
            yield Broken(6, f"{case.name}: no certificate")
            return
        paper = found[0]
        right = paper["listed"] == paper["handled"] + sum(paper["excluded"].values()) + paper["pending"]
        if not (paper["even"] and right and paper["listed"] >= listed):
            yield Broken(6, f"{case.name}: the certificate is not even: {paper}, {listed} listed by the moment")
        handed = len({row["handoff_id"] for row in self._evidence.rows("effects", batch_id=case.batch["id"])})
        if paper["handled"] + paper["pending"] != handed:
            yield Broken(6, f"{case.name}: the certificate counts {paper}, {handed} belong to the audience")

    def _order(self, case: Case) -> Iterator[Broken]:
        """Steps in order; in a strict rule also people, in the order of registration."""
        last, whom = 0, ""
        for person in case.people:
            moments = self._moments(case, person.email)
            steps = [step for step, _ in moments]
            if steps != sorted(steps):
                yield Broken(4, f"{case.name}: steps of {person.email} in the order {steps}")
            if case.rule.order == "strict" and moments:
                if moments[0][1]["seq"] < last:
                    yield Broken(4, f"{case.name}: {person.email} before {whom} was done")
                last, whom = max(last, moments[-1][1]["seq"]), person.email

    def _once(self) -> Iterator[Broken]:
        """At most one effect for each contact and step; no mail twice, and none to who has no part in it."""
        for rule in self._story.rules:
            for number, step in enumerate(rule.steps):
                for tag in tags_of(self._story, rule, number) if step != "mail" else ():
                    cases = [case for case in self._cases if case.rule is rule and case.tag(number) == tag]
                    entitled = Counter(person.email for case in cases for person in case.people)
                    for email, effects in self._evidence.tagged(tag).items():
                        if len(effects) > entitled[email]:
                            what = f"{rule.id}: {tag} of {email} took place {len(effects)} times"
                            yield Broken(2 if entitled[email] else 3, f"{what} instead of {entitled[email]}")
        for message_id, times in Counter(mail["detail"]["message_id"] for mail in self._evidence.mails).items():
            if times > 1:
                yield Broken(2, f"the mail {message_id} was sent {times} times")
        entitled = Counter(
            person.email for case in self._cases for step in case.rule.steps if step == "mail" for person in case.people
        )
        for email, times in Counter(mail["contact"] for mail in self._evidence.mails).items():
            if times > entitled[email]:
                yield Broken(2 if entitled[email] else 3, f"{email} got {times} mails instead of {entitled[email]}")

    def _partition(self) -> Iterator[Broken]:
        """Online and not_online rules of one moment: everybody registered in exactly one of them."""
        whole = [case for case in self._cases if case.whole]
        for one in whole:
            for other in whole:
                pair = (one.rule.who, other.rule.who) == ("online", "not_online") and one.date is other.date
                if pair and abs(one.batch["due"] - other.batch["due"]) < GRAIN and one.basis == other.basis:
                    yield from self._split(one, other)

    def _split(self, one: Case, other: Case) -> Iterator[Broken]:
        handed = Counter(
            row["email"] for case in (one, other) for row in self._evidence.rows("verdicts", batch_id=case.batch["id"])
            if row["included"]
        )  # fmt: skip
        for person in people(one.date):
            excused = person.email == self._story.erased or one.rule.again or other.rule.again
            if person.registered <= one.basis.due and handed[person.email] != 1 and not excused:
                yield Broken(
                    5, f"{one.name} and {other.rule.id}: {person.email} is in {handed[person.email]} of the two"
                )

    def _lanes(self) -> Iterator[Broken]:
        """Rules that share a group: a contact's handoffs never mix."""
        shared = [case for case in self._cases if case.rule.group and case.rule.order == "contact"]
        for one in shared:
            for other in shared:
                if one is other or one.rule.group != other.rule.group:
                    continue
                for person in one.people:
                    mine, theirs = (self._moments(case, person.email) for case in (one, other))
                    if mine and theirs and mine[0][1]["seq"] < theirs[0][1]["seq"] < mine[-1][1]["seq"]:
                        yield Broken(4, f"{one.name}, {other.name}: handoffs of {person.email} are mixed")

    def _rate(self) -> Iterator[Broken]:
        limit, calls = self._story.limit, self._evidence.calls.get("activecampaign")
        uneven = self._evidence.stalled or self._evidence.slowest > UNEVEN_SECONDS
        if limit and calls and not uneven and calls["max_per_second"] > limit * 1.2 + 3:
            yield Broken(4, f"{calls['max_per_second']} calls in a second at a limit of {limit}")

    def _few_doubts(self) -> Iterator[Broken]:
        """Of a dead worker's mails those are in doubt that were on their way, not those that waited."""
        story = self._story
        if self._evidence.stalled or any(one.system == "email" and one.fault != "slow" for one in story.faults):
            return
        hit = sum(story.workers if blow.kind == "postgres" else blow.kind in VIOLENT for blow in story.blows)
        most = MAILS_AT_ONCE * hit * sum("mail" in rule.steps for rule in story.rules)
        doubts = sum(
            row["reason"].startswith("outcome unknown") for row in self._evidence.rows("effects", state="held")
        )
        if doubts > most:
            yield Broken(2, f"{doubts} mails in doubt, though at most {most} can have been on their way")
