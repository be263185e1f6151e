"""What waits: batches for their moments, effects for their turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.ledger.stops import standstill


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits, the earliest first; lateness in seconds, 0 when the moment is still to come.

    :param batches: the first waiting batches; :param batch_count: how many there are in all.
    :param effects: open effects counted by rule, account, step and state.
    :param lanes: the first lanes with open effects; :param lane_count: how many there are in all.
    :param standstill: what was frozen, and which accounts rest, whatever the rule; see :func:`standstill`.
    """

    batches: list[RowMapping]
    batch_count: int
    effects: list[RowMapping]
    lanes: list[RowMapping]
    lane_count: int
    standstill: list[RowMapping]


BATCHES = text("""
    SELECT batch.id AS batch_id, batch.rule_id, batch.rule_version, occasion.title, occasion.key AS occasion_key,
        batch.due_at, batch.wake_at, batch.reason, batch.late_allowed,
        COALESCE(batch.leased_until > clock_timestamp(), false) AS worked_on,
        GREATEST(0, EXTRACT(EPOCH FROM clock_timestamp() - batch.due_at))::float AS late_seconds,
        (SELECT count(*) FROM handoff.registrations WHERE occasion_id = occasion.id) AS listed,
        count(*) OVER () AS in_all
    FROM handoff.batches AS batch JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
    WHERE batch.state = 'waiting' AND (CAST(:rule_id AS text) IS NULL OR batch.rule_id = :rule_id)
    ORDER BY batch.due_at, batch.id LIMIT :most
""")
# Written out so that the index of open effects is used.
OPEN = """
    FROM handoff.effects AS effect
    JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
    JOIN handoff.batches AS batch ON batch.id = handoff.batch_id
    {joins}
    WHERE effect.state IN ('planned', 'sending', 'unknown', 'held')
      AND (CAST(:rule_id AS text) IS NULL OR batch.rule_id = :rule_id)
"""
LATENESS = "GREATEST(0, EXTRACT(EPOCH FROM clock_timestamp() - min(batch.due_at)))::float AS late_seconds"
EFFECTS = text(f"""
    SELECT batch.rule_id, effect.account, effect.step, effect.state, count(*) AS effects,
        count(DISTINCT effect.lane_id) AS lanes, min(batch.due_at) AS due_at, {LATENESS}
    {OPEN.format(joins="")}
    GROUP BY batch.rule_id, effect.account, effect.step, effect.state
    ORDER BY batch.rule_id, effect.account, effect.step, effect.state
""")  # noqa: S608 - nothing but the constants above
LANES = text(f"""
    SELECT lane.id AS lane_id, lane.order_group, lane.name, lane.ready_at, lane.held, lane.rests,
        COALESCE(lane.leased_until > clock_timestamp(), false) AS worked_on,
        count(*) FILTER (WHERE effect.state = 'planned') AS planned,
        count(*) FILTER (WHERE effect.state = 'sending') AS sending,
        count(*) FILTER (WHERE effect.state = 'unknown') AS unknown,
        count(*) FILTER (WHERE effect.state = 'held') AS held_effects,
        min(batch.due_at) AS due_at, {LATENESS}, count(*) OVER () AS in_all
    {OPEN.format(joins="JOIN handoff.lanes AS lane ON lane.id = effect.lane_id")}
    GROUP BY lane.id ORDER BY min(batch.due_at), lane.id LIMIT :most
""")  # noqa: S608 - nothing but the constants above
KNOWN = text("""
    SELECT EXISTS (SELECT FROM handoff.batches WHERE rule_id = :rule_id)
        OR EXISTS (SELECT FROM handoff.rule_versions WHERE rule_id = :rule_id)
""")


async def waiting(connection: AsyncConnection, rule_id: str | None, most: int) -> Waiting:
    """Return what waits, of one rule or of all.

    :param most: how many batches and lanes to name.
    """
    parameters = {"rule_id": rule_id, "most": most}
    batches = (await connection.execute(BATCHES, parameters)).mappings().all()
    effects = (await connection.execute(EFFECTS, {"rule_id": rule_id})).mappings().all()
    lanes = (await connection.execute(LANES, parameters)).mappings().all()
    still = await standstill(connection)
    return Waiting(list(batches), _in_all(batches), list(effects), list(lanes), _in_all(lanes), still)


async def rule_known(connection: AsyncConnection, rule_id: str) -> bool:
    """Tell whether the rule was ever at work."""
    return bool((await connection.execute(KNOWN, {"rule_id": rule_id})).scalar_one())


def _in_all(rows: Any) -> int:
    return int(rows[0]["in_all"]) if rows else 0
