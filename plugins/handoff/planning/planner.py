"""From an event to batches that wait: in one transaction, whatever order events arrive in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from handoff.ledger import batches, occasions, rule_versions
from handoff.ledger.bells import ring
from handoff.ledger.occasions import KnownOccasion
from handoff.occasion import MOVABLE, Occasion
from handoff.planning.missed import tell, why_missed
from handoff.rules.rule import Rule

FIRST_SEEN_GRACE = timedelta(hours=1)
"""A batch whose moment passed longer ago than this when its occasion is first seen is only started if rule and occasion
were there in time: switching a rule on must not hand over the webinars of last year."""
WAITING = frozenset({"waiting", "held"})
ENDED = frozenset({"occasion_moved", "moved_back"})
"""Why a round ended whose time came to nothing; for that time too it only begins again if it is still to come."""


@dataclass(slots=True)
class Planned:
    """What recording some events changed."""

    events: int = 0
    repeated: int = 0
    new: int = 0
    moved: int = 0
    cancelled: int = 0


async def record(engine: AsyncEngine, events: Iterable[Occasion], rules: Sequence[Rule]) -> Planned:
    """Put events into the inbox and let waiting batches follow, each event in its own transaction.

    :param rules: the rules as they are now; new batches are pinned to this content.
    """
    planned = Planned()
    for occasion in events:
        async with engine.begin() as connection:
            await record_one(connection, occasion, rules, planned)
    return planned


async def record_one(connection: AsyncConnection, occasion: Occasion, rules: Sequence[Rule], planned: Planned) -> None:
    """Record one event on a connection whose transaction the caller holds."""
    await occasions.lock(connection, [occasion])
    if not await occasions.hear(connection, occasion):
        planned.repeated += 1
        return
    planned.events += 1
    known = await occasions.take_over(connection, occasion)
    if known is None:
        return
    await follow(connection, known, rules, planned)
    if not occasion.cancelled:
        await plan(connection, known, rules, planned, heard=True)
    await ring(connection)


async def follow(connection: AsyncConnection, known: KnownOccasion, rules: Sequence[Rule], planned: Planned) -> None:
    """Move, cancel or revive the batches that wait for this occasion, each by the rule it is pinned to.

    Where the rule has handed over already, if only in part, another round begins when the occasion was moved to a time
    still to come.
    """
    for rounds in await batches.planned(connection, known.id):
        row = rounds[-1]
        if known.occasion.cancelled:
            await _cancel(connection, row, planned, reason="occasion_cancelled")
        elif row["follows"]:
            then = await _of_the_same_time(connection, known.occasion, rounds)
            if then is None:
                await _move(connection, known, rules, rounds, planned)
                continue
            if then is not row:
                await _cancel(connection, row, planned, reason="moved_back")
            await _wait(connection, then, then["due_at"], planned)


async def _cancel(connection: AsyncConnection, row: RowMapping, planned: Planned, *, reason: str) -> None:
    if row["state"] in WAITING:
        await batches.cancel(connection, row["id"], reason)
        planned.cancelled += 1


async def _of_the_same_time(
    connection: AsyncConnection, occasion: Occasion, rounds: Sequence[RowMapping]
) -> RowMapping | None:
    """Return the round that handed people over, or the last one that is to, for the very time the occasion has now."""
    for one in rounds:
        # By the rule as it was then: a changed rule is no move.
        then = await rule_versions.load(connection, one["rule_id"], one["rule_version"])
        to_come = one is rounds[-1] and one["reason"] not in ENDED
        if then.due(occasion) == one["due_at"] and (to_come or await _handed_over(connection, one)):
            return one
    return None


async def _handed_over(connection: AsyncConnection, row: RowMapping) -> bool:
    """Tell whether a batch was judged, if only in part."""
    return row["state"] == "judged" or await batches.begun(connection, row["id"])


async def _last_handed_over(connection: AsyncConnection, rounds: Sequence[RowMapping]) -> RowMapping | None:
    for one in reversed(rounds):
        if await _handed_over(connection, one):
            return one
    return None


async def _move(
    connection: AsyncConnection,
    known: KnownOccasion,
    rules: Sequence[Rule],
    rounds: Sequence[RowMapping],
    planned: Planned,
) -> None:
    """Let a rule follow to another time; what was judged in part ends, or goes on where no other round begins."""
    row, handed_over = rounds[-1], await _last_handed_over(connection, rounds)
    rule = await rule_versions.load(connection, row["rule_id"], row["rule_version"])
    due_at = rule.due(known.occasion)
    if handed_over is row and await plan_round(connection, known, rules, rounds, planned):
        await _cancel(connection, row, planned, reason="occasion_moved")
    elif handed_over is None or (
        handed_over is not row and _takes_place_again(known.occasion, row, handed_over, due_at)
    ):
        await _wait(connection, row, due_at, planned)
    else:
        await _stand_for_it(connection, handed_over, rounds, planned)


async def _stand_for_it(
    connection: AsyncConnection, handed_over: RowMapping, rounds: Sequence[RowMapping], planned: Planned
) -> None:
    """Let a round that handed people over, if only in part, stand for a time for which none begins."""
    for one in rounds:
        if one["state"] in {*WAITING, "cancelled"} and one["follows"] and not await _handed_over(connection, one):
            planned.cancelled += one["state"] in WAITING
            await batches.cancel(connection, one["id"], "occasion_moved")
    await _wait(connection, handed_over, handed_over["due_at"], planned)


def _takes_place_again(occasion: Occasion, row: RowMapping, handed_over: RowMapping, due_at: datetime) -> bool:
    """Tell whether a round is to hand over once more at another time, ``due_at`` (aware).

    :param handed_over: the round that did before.
    """
    now, start = datetime.now(UTC), occasion.anchors.get("start", due_at)
    if row["state"] not in WAITING:
        return min(start, due_at) > now
    # What began before people were handed over only ends later. Who was due already when it moved is still owed it.
    return start > handed_over["due_at"] and (due_at > now or row["due_at"] <= now)


async def _wait(connection: AsyncConnection, row: RowMapping, due_at: datetime, planned: Planned) -> None:
    """Let a batch wait for a moment, unless it does, or was judged, or may not any more."""
    if row["state"] == "judged" or not row["follows"] or (row["state"] == "missed" and long_past(due_at)):
        return
    # What is held or was skipped has had its moment; only another moment is news for it.
    if due_at != row["due_at"] or row["state"] not in {"waiting", "held", "skipped"}:
        await batches.move(connection, row["id"], due_at)
        planned.moved += 1


async def plan_round(
    connection: AsyncConnection,
    known: KnownOccasion,
    rules: Sequence[Rule],
    rounds: Sequence[RowMapping],
    planned: Planned,
) -> bool:
    """Let a rule wait once more for an occasion that was moved after people were handed over; tell whether it does.

    :param rules: as they are now; one that is not among them is taken as it was.
    :param rounds: as :func:`handoff.ledger.batches.planned` returns them.
    """
    row = rounds[-1]
    then = await rule_versions.load(connection, row["rule_id"], row["rule_version"])
    rule = next((one for one in rules if one.id == then.id), then)
    if rule.when.anchor not in MOVABLE or not rule.matches(known.occasion):
        return False
    due_at = rule.due(known.occasion)
    # What has begun and only ends later takes place once.
    if min(due_at, known.occasion.anchors.get("start", due_at)) <= datetime.now(UTC):
        return False
    planned.new += await batches.plan(
        connection,
        rule_id=rule.id,
        rule_version=await rule_versions.pin(connection, rule),
        occasion_id=known.id,
        round=max(one["round"] for one in rounds) + 1,
        due_at=due_at,
    )
    return True


async def plan(
    connection: AsyncConnection, known: KnownOccasion, rules: Sequence[Rule], planned: Planned, *, heard: bool = False
) -> None:
    """Create a batch for every rule that waits for such an occasion and has none yet.

    :param heard: its source told of it just now; else the occasion was known, and the rule is new.
    """
    for rule in rules:
        if not rule.matches(known.occasion):
            continue
        due_at = rule.due(known.occasion)
        missed = await why_missed(connection, rule, known.occasion, due_at, heard) if long_past(due_at) else None
        new = await batches.plan(
            connection,
            rule_id=rule.id,
            rule_version=await rule_versions.pin(connection, rule),
            occasion_id=known.id,
            due_at=due_at,
            state="missed" if missed else "waiting",
            reason=missed.reason if missed else "",
        )
        planned.new += new
        if new and missed and missed.doubtful:
            await tell(connection, rule, known.occasion)


async def plan_new_rules(engine: AsyncEngine, source: str, account: str, rules: Sequence[Rule]) -> Planned:
    """Let rules that were added or selected anew wait for occasions that are known already."""
    planned = Planned()
    async with engine.begin() as connection:
        # From now on the rule is at work: what happens from here on and is heard of late is not lost.
        for rule in rules:
            await rule_versions.pin(connection, rule)
        candidates = await occasions.open_occasions(connection, source, account)
    for occasion, has in candidates:
        if any(rule.id not in has and rule.matches(occasion) for rule in rules):
            async with engine.begin() as connection:
                # Read again behind the lock: it may have moved, and a move follows only batches it can see.
                await occasions.lock(connection, [occasion])
                known = await occasions.latest(connection, occasion)
                if known is not None and not known.occasion.cancelled:
                    await plan(connection, known, rules, planned)
                    await ring(connection)
    return planned


def long_past(due_at: datetime) -> bool:
    """Tell whether a moment (aware) is too long past for a batch to begin waiting for it."""
    return due_at < datetime.now(UTC) - FIRST_SEEN_GRACE
