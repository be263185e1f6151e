"""Planning a rule's waiting batches anew, with the rule as it is now.

What waits keeps the version that it was planned with until somebody asks for this.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from handoff.ledger import batches, occasions, rule_versions
from handoff.ledger.bells import ring
from handoff.ledger.occasions import KnownOccasion
from handoff.occasion import Occasion
from handoff.planning.planner import Planned, long_past, plan
from handoff.rules.rule import Rule

RULE_CHANGED = "rule_changed"


@dataclass(frozen=True, slots=True)
class Change:
    """What planning anew does to one batch.

    :param what: ``planned`` (new), ``moved`` (another moment), ``updated`` (same moment, another version),
        ``cancelled`` (matches no more), ``revived`` (matches again), ``unchanged``, or ``in_hand``: it
        is being handed over at this moment, or a part of it was judged already, and it stays as it is.
    :param due_before: aware; ``None`` for a new one, like ``version_before``.
    :param due_after: aware; ``None`` for a cancelled one, like ``version_after``.
    :param past: the new moment has passed already; the rule's ``late_after`` decides what becomes of it.
    """

    what: str
    occasion: str
    title: str
    due_before: datetime | None
    due_after: datetime | None
    version_before: int | None
    version_after: int | None
    past: bool


async def rejudge(engine: AsyncEngine, rule: Rule, *, apply: bool) -> AsyncIterator[Change]:
    """Plan the rule's waiting batches anew, each in its own transaction, and say what changes.

    :param rule: the rule as it is now.
    :param apply: ``False`` shows the same changes and takes each of them back.
    """
    for occasion in await _candidates(engine, rule):
        async with engine.connect() as connection:
            await occasions.lock(connection, [occasion])
            known = await occasions.latest(connection, occasion)
            change = await _change(connection, known, rule) if known and not known.occasion.cancelled else None
            if apply and change:
                await ring(connection)
                await connection.commit()
            else:
                await connection.rollback()
        if change:
            yield change


async def _candidates(engine: AsyncEngine, rule: Rule) -> list[Occasion]:
    async with engine.connect() as connection:
        planned = await batches.open_to_change(connection, rule.id, RULE_CHANGED)
        known = await occasions.open_occasions(connection, rule.source, rule.conn_id)
    return planned + [occasion for occasion, has in known if rule.id not in has and rule.matches(occasion)]


async def _change(connection: AsyncConnection, known: KnownOccasion, rule: Rule) -> Change | None:
    batch = await batches.newest(connection, rule.id, known.id)
    if batch is None:
        await plan(connection, known, [rule], Planned())
        planned = await batches.newest(connection, rule.id, known.id)
        return _said("planned", known, None, planned) if planned and planned.state == "waiting" else None
    if batch.state == "waiting" and batch.in_hand:
        return _said("in_hand", known, batch, batch)
    if not rule.matches(known.occasion):
        if batch.state != "waiting":
            return None
        await batches.close(connection, batch.id, "cancelled", RULE_CHANGED)
        return _said("cancelled", known, batch, None)
    return await _follow(connection, known, rule, batch)


async def _follow(
    connection: AsyncConnection, known: KnownOccasion, rule: Rule, batch: Row[tuple[object, ...]]
) -> Change | None:
    """Let a batch that matches wait for the rule's moment, in the rule's version."""
    due_at = rule.due(known.occasion)
    waits = batch.state == "waiting"
    if not waits and (not (batch.state == "missed" or batch.reason == RULE_CHANGED) or long_past(due_at)):
        return None
    version = await rule_versions.pin(connection, rule)
    what = "unchanged" if version == batch.rule_version else "updated"
    await batches.pin(connection, batch.id, version)
    if not waits or due_at != batch.due_at:
        await batches.move(connection, batch.id, due_at)
        what = "moved" if waits else "revived"
    return _said(what, known, batch, await batches.newest(connection, rule.id, known.id))


def _said(
    what: str, known: KnownOccasion, before: Row[tuple[object, ...]] | None, after: Row[tuple[object, ...]] | None
) -> Change:
    return Change(
        what=what,
        occasion=known.occasion.key,
        title=known.occasion.title,
        due_before=before.due_at if before else None,
        due_after=after.due_at if after else None,
        version_before=before.rule_version if before else None,
        version_after=after.rule_version if after else None,
        past=after is not None and after.due_at < datetime.now(UTC),
    )
