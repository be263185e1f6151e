"""What a changed rule would have done differently, judged again on the facts that the ledger has.

Nothing is asked of any source or target, and nothing is written. What the facts cannot say is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from handoff.ledger import registrations, rule_versions, verdicts
from handoff.ledger.occasions import occasion_from_row
from handoff.ledger.registrations import Listed
from handoff.occasion import Occasion
from handoff.planning.judging import judge_list
from handoff.rules.rule import Rule
from handoff.rules.steps import Step

NOT_REHEARSED = (
    "late_after and what it does, sending windows, re-entry (again), consent, early starts that were not foreseen "
    "then, freezes, quotas, and what targets answer"
)
"""What the comparison leaves out: it is about who would have been handed over, when, and with which steps."""


@dataclass(frozen=True, slots=True)
class StepChange:
    """Steps of the new rule that the version used then did not have, and the other way round, in words."""

    added: Sequence[str] = ()
    removed: Sequence[str] = ()
    reordered: bool = False


@dataclass(frozen=True, slots=True)
class Hindsight:
    """One occasion: what was decided, and what the rule would have decided; people by their keys.

    :param state: what became of the rule's batch then, e.g. ``judged`` or ``missed: past_when_first_seen``;
        ``not planned`` when there was none.
    :param due_before: aware, ``None`` when there was no batch.
    :param due_after: aware, ``None`` when the rule does not match the occasion.
    :param steps: ``None`` when there is no version to compare with.
    :param unknown: how many entries cannot be judged again because their data was erased or not kept.
    :param missing: what the recorded facts cannot say, in words.
    """

    occasion: str
    title: str
    state: str
    version: int | None
    due_before: datetime | None
    due_after: datetime | None
    newly_included: Sequence[str] = ()
    no_longer_included: Sequence[str] = ()
    same: Sequence[str] = ()
    steps: StepChange | None = None
    unknown: int = 0
    missing: Sequence[str] = field(default_factory=tuple)


async def rehearse(engine: AsyncEngine, rule: Rule, days: int) -> list[Hindsight]:
    """Judge again every occasion whose moment, by the rule then or now, was in the last ``days`` days.

    :param rule: the changed rule; its id says with whose decisions it is compared.
    :returns: one comparison an occasion, in the order of their moments.
    """
    now = datetime.now(UTC)
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        rows = await verdicts.decided(connection, rule)
        found = [await _compared(connection, rule, row, now) for row in rows if _recent(rule, row, now, days)]
    return sorted(found, key=lambda one: (one.due_after or one.due_before or now, one.occasion))


def _due(rule: Rule, occasion: Occasion) -> datetime | None:
    return rule.due(occasion) if rule.matches(occasion) else None


def _recent(rule: Rule, row: RowMapping, now: datetime, days: int) -> bool:
    moments = row["due_at"], _due(rule, occasion_from_row(row))
    return any(moment and now - timedelta(days=days) <= moment <= now for moment in moments)


async def _compared(connection: AsyncConnection, rule: Rule, row: RowMapping, now: datetime) -> Hindsight:
    occasion = occasion_from_row(row)
    due, listed = _due(rule, occasion), await registrations.listed(connection, row["id"])
    gone = {entry.registration.ref for entry in listed if entry.unusable in {"erased", "not_kept"}}
    before = await _included_then(connection, row, gone)
    judged_now = due is not None and due <= now
    # Who was judged early then would be again.
    early = row["starts_at"] if rule.start_early and due == row["due_at"] else None
    after = _included_now(rule, occasion, early or due, listed) if due and judged_now else {}
    if due and not judged_now:
        before = {}
    return Hindsight(
        occasion=occasion.key,
        title=occasion.title,
        state=": ".join(filter(None, (row["state"], row["reason"]))) if row["batch_id"] else "not planned",
        version=row["rule_version"],
        due_before=row["due_at"],
        due_after=due,
        newly_included=[key for ref, key in after.items() if ref not in before],
        no_longer_included=[key for ref, key in before.items() if ref not in after],
        same=[key for ref, key in after.items() if ref in before],
        steps=await _steps(connection, rule, row) if row["batch_id"] and due else None,
        unknown=len(gone),
        missing=_missing(due, now, await registrations.read_at(connection, row["id"]), listed, len(gone)),
    )


async def _included_then(connection: AsyncConnection, row: RowMapping, gone: set[str]) -> dict[str, str]:
    """Return ref to contact key of those who were handed over, as far as they can be judged again."""
    found = await verdicts.included(connection, row["batch_id"])
    return {ref: key for ref, key in found.items() if ref not in gone}


def _included_now(rule: Rule, occasion: Occasion, due: datetime, listed: Sequence[Listed]) -> dict[str, str]:
    keys = {entry.registration.ref: entry.contact_key for entry in listed}
    return {one.ref: keys[one.ref] for one in judge_list(rule, occasion, 0, due, listed) if one.included}


async def _steps(connection: AsyncConnection, rule: Rule, row: RowMapping) -> StepChange:
    then = [in_words(step) for step in (await rule_versions.load(connection, rule.id, row["rule_version"])).steps]
    now = [in_words(step) for step in rule.steps]
    added, removed = Counter(now) - Counter(then), Counter(then) - Counter(now)
    stay = [[step for step in steps if step in then and step in now] for steps in (then, now)]
    return StepChange(list(added.elements()), list(removed.elements()), reordered=stay[0] != stay[1])


def in_words(step: Step) -> str:
    """Return a step for people, with what it does not have by default, e.g. ``klicktipp.tag (tag: besucht)``."""
    given = step.model_dump(mode="json", exclude_defaults=True, exclude={"step"})
    details = ", ".join(f"{name}: {value}" for name, value in given.items())
    return f"{step.step} ({details})" if details else step.step


def _missing(
    due: datetime | None, now: datetime, read_at: datetime | None, listed: Sequence[Listed], gone: int
) -> list[str]:
    """Say what the recorded facts cannot say about a judgement for ``due``."""
    if due is None:
        return []
    if due > now:
        return ["the new moment is still to come; nobody can be judged for it yet"]
    words = []
    if not listed:
        words.append("no entry of its list was ever read")
    elif read_at is None:
        words.append("its list is not kept any more; who was present when is not known")
    elif read_at < due:
        last = f"its list was last read at {read_at:%Y-%m-%d %H:%M:%S} UTC"
        words.append(f"{last}; who registered, came or left between then and the moment is not known")
    if gone:
        words.append(f"{gone} entries cannot be judged again: their data was erased or is not kept any more")
    return words
