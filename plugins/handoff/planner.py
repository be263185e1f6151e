"""From an event to batches that wait: in one transaction, whatever order events arrive in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from handoff.ledger import batches, occasions, rule_versions
from handoff.ledger.bells import ring
from handoff.ledger.occasions import KnownOccasion
from handoff.occasion import Occasion
from handoff.rule import Rule

FIRST_SEEN_GRACE = timedelta(hours=1)
"""A batch whose moment passed longer ago than this when its occasion is first seen is not started:
switching a rule on must not hand over the webinars of last year."""


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
    await lock(connection, occasion)
    if not await occasions.hear(connection, occasion):
        planned.repeated += 1
        return
    planned.events += 1
    known = await occasions.take_over(connection, occasion)
    if known is None:
        return
    await follow(connection, known, planned)
    if not occasion.cancelled:
        await plan(connection, known, rules, planned)
    await ring(connection)


async def lock(connection: AsyncConnection, occasion: Occasion) -> None:
    """Let nobody else plan for this occasion until the transaction ends."""
    name = f"{occasion.source}/{occasion.account}/{occasion.key}"
    await connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": name})


async def follow(connection: AsyncConnection, known: KnownOccasion, planned: Planned) -> None:
    """Move, cancel or revive the batches that wait for this occasion, each by the rule it is pinned to."""
    for row in await batches.planned(connection, known.id):
        if known.occasion.cancelled:
            if row["state"] in {"waiting", "held"}:
                await batches.cancel(connection, row["id"])
                planned.cancelled += 1
            continue
        rule = await rule_versions.load(connection, row["rule_id"], row["rule_version"])
        due_at = due_moment(rule, known.occasion)
        if row["state"] == "missed" and long_past(due_at):
            continue
        # What is held or was skipped has had its moment; only another moment is news for it.
        if due_at != row["due_at"] or row["state"] not in {"waiting", "held", "skipped"}:
            await batches.move(connection, row["id"], due_at)
            planned.moved += 1


async def plan(connection: AsyncConnection, known: KnownOccasion, rules: Sequence[Rule], planned: Planned) -> None:
    """Create a batch for every rule that waits for such an occasion and has none yet."""
    for rule in rules:
        if not rule.matches(known.occasion):
            continue
        due_at = due_moment(rule, known.occasion)
        too_late = long_past(due_at)
        planned.new += await batches.plan(
            connection,
            rule_id=rule.id,
            rule_version=await rule_versions.pin(connection, rule),
            occasion_id=known.id,
            due_at=due_at,
            state="missed" if too_late else "waiting",
            reason="past_when_first_seen" if too_late else "",
        )


async def plan_new_rules(engine: AsyncEngine, source: str, account: str, rules: Sequence[Rule]) -> Planned:
    """Let rules that were added or selected anew wait for occasions that are known already."""
    planned = Planned()
    async with engine.connect() as connection:
        candidates = await occasions.open_occasions(connection, source, account)
    for occasion, has in candidates:
        if any(rule.id not in has and rule.matches(occasion) for rule in rules):
            async with engine.begin() as connection:
                # Read again behind the lock: it may have moved, and a move follows only batches it can see.
                await lock(connection, occasion)
                known = await occasions.latest(connection, occasion)
                if known is not None and not known.occasion.cancelled:
                    await plan(connection, known, rules, planned)
                    await ring(connection)
    return planned


def long_past(due_at: datetime) -> bool:
    """Tell whether a moment (aware) is too long past for a batch to begin waiting for it."""
    return due_at < datetime.now(UTC) - FIRST_SEEN_GRACE


def due_moment(rule: Rule, occasion: Occasion) -> datetime:
    """Return the moment (UTC) at which the rule is due for the occasion."""
    return rule.when.due(occasion.anchors[rule.when.anchor], occasion.timezone)
