"""Planning a rule's waiting batches anew, with the rule as it is now.

What waits keeps the version that it was planned with until somebody asks for this.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from handoff.ledger import batches, occasions, rule_versions
from handoff.ledger.bells import ring
from handoff.ledger.occasions import KnownOccasion, occasion_from_row
from handoff.occasion import BY_HAND, Occasion
from handoff.planning.planner import Planned, due_moment, lock, long_past, plan
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


CANDIDATES = text("""
    SELECT occasion.* FROM handoff.batches AS batch
    JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
    WHERE batch.rule_id = :rule_id AND occasion.source <> :by_hand AND NOT occasion.cancelled
      AND (batch.state IN ('waiting', 'missed') OR batch.reason = :rule_changed)
    ORDER BY batch.due_at, batch.id
""")
BATCH = text("""
    SELECT id, state, reason, rule_version, due_at,
        -- A run that died has left no lease, but effects of the version that it judged by.
        COALESCE(leased_until > clock_timestamp(), false)
            OR EXISTS (SELECT FROM handoff.verdicts WHERE batch_id = batches.id) AS in_hand
    FROM handoff.batches WHERE rule_id = :rule_id AND occasion_id = :occasion_id
    ORDER BY round DESC LIMIT 1 FOR UPDATE
""")
# Another version may need another time: an early start is foreseen again.
PIN = text("""
    UPDATE handoff.batches SET rule_version = :version, starts_at = NULL,
        wake_at = CASE WHEN starts_at IS NULL THEN wake_at ELSE due_at END
    WHERE id = :id AND rule_version <> :version
""")


async def rejudge(engine: AsyncEngine, rule: Rule, *, apply: bool) -> AsyncIterator[Change]:
    """Plan the rule's waiting batches anew, each in its own transaction, and say what changes.

    :param rule: the rule as it is now.
    :param apply: ``False`` shows the same changes and takes each of them back.
    """
    for occasion in await _candidates(engine, rule):
        async with engine.connect() as connection:
            await lock(connection, occasion)
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
    parameters = {"rule_id": rule.id, "by_hand": BY_HAND, "rule_changed": RULE_CHANGED}
    async with engine.connect() as connection:
        rows = (await connection.execute(CANDIDATES, parameters)).mappings()
        planned = [occasion_from_row(row) for row in rows]
        known = await occasions.open_occasions(connection, rule.source, rule.conn_id)
    return planned + [occasion for occasion, has in known if rule.id not in has and rule.matches(occasion)]


async def _change(connection: AsyncConnection, known: KnownOccasion, rule: Rule) -> Change | None:
    batch = await _batch(connection, known, rule)
    if batch is None:
        await plan(connection, known, [rule], Planned())
        planned = await _batch(connection, known, rule)
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
    due_at = due_moment(rule, known.occasion)
    waits = batch.state == "waiting"
    if not waits and (not (batch.state == "missed" or batch.reason == RULE_CHANGED) or long_past(due_at)):
        return None
    version = await rule_versions.pin(connection, rule)
    what = "unchanged" if version == batch.rule_version else "updated"
    await connection.execute(PIN, {"id": batch.id, "version": version})
    if not waits or due_at != batch.due_at:
        await batches.move(connection, batch.id, due_at)
        what = "moved" if waits else "revived"
    return _said(what, known, batch, await _batch(connection, known, rule))


async def _batch(connection: AsyncConnection, known: KnownOccasion, rule: Rule) -> Row[tuple[object, ...]] | None:
    return (await connection.execute(BATCH, {"rule_id": rule.id, "occasion_id": known.id})).first()


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
