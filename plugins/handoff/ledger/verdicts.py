"""Writing a judged batch: verdicts, and for those included their handoffs, lanes and effects."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.ledger import reentry
from handoff.ledger.storable import storable_json
from handoff.occasion import BY_HAND
from handoff.rules.rule import Rule

ALREADY_HANDED_OVER = "already_handed_over"


class Judged(NamedTuple):
    """The verdict on one listed entry.

    :param position: place in the order of registration, from 0.
    :param lane: name of the lane its effects go through; empty when it is excluded.
    """

    ref: str
    contact_id: int | None
    position: int
    included: bool
    reason: str
    lane: str
    facts: dict[str, Any]


# Before the lanes: who erases a person locks contacts first as well, and then finds what is written here.
KEPT = text("""
    SELECT id FROM handoff.contacts WHERE id = ANY(CAST(:contacts AS bigint[])) AND NOT erased
    ORDER BY id FOR KEY SHARE
""")
# Lanes are locked in the order of their ids by everybody who locks several, and made by one at a time:
# so nobody waits in a circle when the same people are judged again while they are being handed over.
ALONE = text("SELECT pg_advisory_xact_lock(hashtext('handoff-lanes/' || :order_group))")
LOCK = text("""
    SELECT id FROM handoff.lanes WHERE order_group = :order_group AND name = ANY(CAST(:lanes AS text[]))
    ORDER BY id FOR NO KEY UPDATE
""")
WRITE = text("""
    WITH entry AS (
        SELECT entry.*, EXISTS (SELECT FROM handoff.handoffs
            WHERE batch_id = :batch_id AND contact_id = entry.contact_id) AS included_before
        FROM jsonb_to_recordset(CAST(:entries AS jsonb)) AS entry (
            ref text, contact_id bigint, position bigint, included boolean, reason text, lane text, facts jsonb)
    ), verdict AS (
        INSERT INTO handoff.verdicts (batch_id, ref, contact_id, included, reason, facts, moment, read_at)
        -- After a crash between two parts a list may show an earlier entry of somebody who was handed over already.
        SELECT :batch_id, ref, contact_id, included AND NOT included_before,
            CASE WHEN included AND included_before THEN 'duplicate' ELSE reason END, facts, :moment, :read_at FROM entry
        ON CONFLICT (batch_id, ref) DO NOTHING RETURNING ref, included
    ), added AS (
        SELECT entry.* FROM entry JOIN verdict USING (ref) WHERE verdict.included
    ), lane AS (
        INSERT INTO handoff.lanes (order_group, name, ready_at)
        SELECT :order_group, lane, clock_timestamp() FROM added GROUP BY lane ORDER BY min(position)
        ON CONFLICT (order_group, name) DO UPDATE SET revision = lanes.revision + 1,
            ready_at = LEAST(lanes.ready_at, EXCLUDED.ready_at)
        RETURNING id, name
    ), handoff AS (
        INSERT INTO handoff.handoffs (batch_id, contact_id, lane_id, position)
        SELECT :batch_id, added.contact_id, lane.id, added.position
        FROM added JOIN lane ON lane.name = added.lane ORDER BY added.position
        ON CONFLICT (batch_id, contact_id) DO NOTHING
        RETURNING id, lane_id
    )
    INSERT INTO handoff.effects (handoff_id, lane_id, step_no, step, account, late_allowed)
    SELECT handoff.id, handoff.lane_id, step.no, step.step, step.account,
        (SELECT late_allowed FROM handoff.batches WHERE id = :batch_id)
    FROM handoff CROSS JOIN jsonb_to_recordset(CAST(:steps AS jsonb)) AS step (no smallint, step text, account text)
    ORDER BY handoff.id, step.no
""")
# Of the rounds of an occasion the one that counts: the newest, unless it ended before its moment.
DECIDED = text("""
    SELECT DISTINCT ON (occasion.id) occasion.*, batch.id AS batch_id, batch.state, batch.reason, batch.rule_version,
        batch.due_at, batch.starts_at
    FROM handoff.occasions AS occasion
    LEFT JOIN handoff.batches AS batch ON batch.occasion_id = occasion.id AND batch.rule_id = :rule_id
    WHERE occasion.source <> :by_hand AND (batch.state = 'judged' OR NOT occasion.cancelled)
      AND (batch.id IS NOT NULL OR (occasion.source = :source AND occasion.account = :account))
    ORDER BY occasion.id, batch.state = 'cancelled', batch.round DESC
""")
INCLUDED = text("""
    SELECT verdict.ref, contact.key FROM handoff.verdicts AS verdict
    JOIN handoff.contacts AS contact ON contact.id = verdict.contact_id
    WHERE verdict.batch_id = :batch_id AND verdict.included
""")
FORGET = text("""
    DELETE FROM handoff.verdicts
    WHERE batch_id = :batch_id AND ref = ANY(CAST(:refs AS text[])) AND reason = 'unreadable' AND NOT included
""")


def _steps(rule: Rule) -> str:
    steps = [{"no": number, "step": step.step, "account": step.conn_id} for number, step in enumerate(rule.steps)]
    return storable_json(steps)


async def write(
    connection: AsyncConnection,
    batch_id: int,
    rule: Rule,
    judged: Sequence[Judged],
    *,
    moment: datetime,
    read_at: datetime,
) -> None:
    """Write verdicts and make the included ready to go out; entries written before are left as they are.

    :param moment: the moment the audience was judged for.
    :param read_at: when the facts were read from the source.
    """
    if rule.again != "per_occasion":
        judged = await _without_earlier(connection, batch_id, rule, judged, moment)
    judged = await _without_erased(connection, judged)
    parameters = {
        "entries": storable_json([entry._asdict() for entry in judged]),
        "steps": _steps(rule),
        "batch_id": batch_id,
        "order_group": rule.order_group,
        "moment": moment,
        "read_at": read_at,
    }
    lanes = list({entry.lane for entry in judged if entry.lane})
    await connection.execute(ALONE, parameters)
    await connection.execute(LOCK, {"order_group": rule.order_group, "lanes": lanes})
    await connection.execute(WRITE, parameters)


async def forget_unreadable(connection: AsyncConnection, batch_id: int, refs: Sequence[str]) -> None:
    """Make room for verdicts on entries that could not be read before; :func:`write` them in the same transaction."""
    await connection.execute(FORGET, {"batch_id": batch_id, "refs": list(refs)})


async def decided(connection: AsyncConnection, rule: Rule) -> Sequence[RowMapping]:
    """Return the occasions of the rule's account, and others that it had a batch for, each with that batch.

    :returns: the occasion's columns, and ``batch_id`` (``None`` without a batch), ``state``, ``reason``,
        ``rule_version``, ``due_at`` and ``starts_at`` of the batch.
    """
    given = {"rule_id": rule.id, "by_hand": BY_HAND, "source": rule.source, "account": rule.conn_id}
    return (await connection.execute(DECIDED, given)).mappings().all()


async def included(connection: AsyncConnection, batch_id: int | None) -> dict[str, str]:
    """Return whom a batch handed over: the keys of the contacts, by their entries' refs; nobody without a batch."""
    found = await connection.execute(INCLUDED, {"batch_id": batch_id})
    return {row.ref: row.key for row in found}


async def _without_earlier(
    connection: AsyncConnection, batch_id: int, rule: Rule, judged: Sequence[Judged], moment: datetime
) -> list[Judged]:
    """Exclude those whom the rule has handed over before and does not hand over again, with the fact of when."""
    contacts = [entry.contact_id for entry in judged if entry.included and entry.contact_id is not None]
    earlier = await reentry.earlier(connection, batch_id, rule, contacts, moment)
    return [
        entry._replace(
            included=False,
            reason=ALREADY_HANDED_OVER,
            lane="",
            facts=entry.facts | {"handed_over_at": before.moment.isoformat(), "handed_over_for": before.key},
        )
        if entry.included and (before := earlier.get(entry.contact_id or 0))
        else entry
        for entry in judged
    ]


async def _without_erased(connection: AsyncConnection, judged: Sequence[Judged]) -> list[Judged]:
    """Exclude those whose data was erased since the list was read, and let nobody be erased until this is written."""
    contacts = [entry.contact_id for entry in judged if entry.contact_id is not None]
    kept = {None, *(await connection.execute(KEPT, {"contacts": contacts})).scalars()}
    return [
        entry if entry.contact_id in kept else entry._replace(included=False, reason="erased", lane="", facts={})
        for entry in judged
    ]
