"""The doorbell: which rules have something to do now or soon."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

CHANNEL = "handoff_bell"
FIRST_LEAD_SECONDS = 20.0
LANE_PATIENCE_SECONDS = 2.0
"""A lane that is ready is left for so long to a run that is just coming to it."""
SHORTEST_LEAD_SECONDS, LONGEST_LEAD_SECONDS = 20.0, 60.0
"""A slow machine with two cores needs so long to start ten runs at once; one that waits costs a slot, little else."""


@dataclass(frozen=True, slots=True)
class Bell:
    """Something to do at a moment (aware).

    :param kind: ``batch``, then ``name`` is the id of a rule with a batch, or with lanes that rest because it is
        paused; or ``lane``, then it is an order group.
    """

    kind: str
    name: str
    moment: datetime


# What is frozen does not ring; the end of a freeze does. A lane is known to be frozen when it has been given back.
# A lane that rests because a rule's DAG is paused rings for that DAG alone: the rules that share its order group
# could only put it back to rest.
DUE = text("""
    SELECT kind, name, min(moment) AS moment FROM (
        SELECT 'batch' AS kind, rule_id AS name, min(GREATEST(wake_at, leased_until)) AS moment
        FROM handoff.batches
        WHERE state = 'waiting' AND wake_at <= clock_timestamp() + make_interval(secs => :lead)
          AND NOT EXISTS (SELECT FROM handoff.freezes WHERE scope IN ('all', 'rule:' || rule_id))
          AND (leased_until IS NULL OR leased_until < clock_timestamp())
        GROUP BY rule_id
        UNION ALL
        SELECT CASE WHEN rests LIKE 'paused:%' THEN 'batch' ELSE 'lane' END,
            CASE WHEN rests LIKE 'paused:%' THEN substr(rests, 8) ELSE order_group END,
            min(GREATEST(ready_at, leased_until))
        FROM handoff.lanes AS lane
        WHERE ready_at <= clock_timestamp() - make_interval(secs => :patience) AND held IS NULL
          AND NOT EXISTS (SELECT FROM handoff.freezes WHERE scope IN ('all', lane.rests))
          AND (leased_until IS NULL OR leased_until < clock_timestamp())
          AND NOT EXISTS (
            SELECT FROM handoff.lanes AS busy WHERE busy.order_group = lane.order_group AND busy.ready_at IS NOT NULL
              AND busy.held IS NULL AND busy.leased_until > clock_timestamp())
        GROUP BY 1, 2
    ) AS ringing GROUP BY kind, name
""")
NEXT = text("""
    SELECT EXTRACT(EPOCH FROM min(moment) - clock_timestamp()) FROM (
        -- In the order of an index, up to the first: of a hundred thousand that wait only one is looked at.
        (SELECT wake_at - make_interval(secs => :lead) AS moment FROM handoff.batches
        WHERE state = 'waiting' AND wake_at > clock_timestamp() + make_interval(secs => :lead)
          AND NOT EXISTS (SELECT FROM handoff.freezes WHERE scope = 'all')
          AND NOT EXISTS (SELECT FROM handoff.freezes WHERE scope = 'rule:' || rule_id)
        ORDER BY wake_at LIMIT 1)
        UNION ALL
        SELECT min(ready_at) + make_interval(secs => :patience) FROM handoff.lanes
        WHERE ready_at > clock_timestamp() - make_interval(secs => :patience) AND held IS NULL
          AND NOT EXISTS (SELECT FROM handoff.freezes WHERE scope IN ('all', rests))
        -- A lease that ends without having been renewed was a dead worker's: its work goes on at once.
        UNION ALL
        SELECT min(leased_until) FROM handoff.batches
        WHERE state = 'waiting' AND wake_at <= clock_timestamp() + make_interval(secs => :lead)
          AND leased_until > clock_timestamp()
        UNION ALL
        SELECT min(leased_until) FROM handoff.lanes
        WHERE ready_at <= clock_timestamp() AND held IS NULL AND leased_until > clock_timestamp()
    ) AS moments
""")
LEAD = text("""
    SELECT max(seconds) FROM (SELECT seconds FROM handoff.starts ORDER BY id DESC LIMIT 50) AS recent
""")
STARTED = text("INSERT INTO handoff.starts (rule_id, seconds) VALUES (:rule_id, :seconds)")


async def ring(connection: AsyncConnection) -> None:
    """Tell the doorbell, at commit, that moments have changed."""
    await connection.exec_driver_sql(f"NOTIFY {CHANNEL}")


async def due(connection: AsyncConnection, lead: float) -> list[Bell]:
    """Return the rules with a batch waking within ``lead`` seconds, and groups whose ready lanes nobody works in."""
    rows = await connection.execute(DUE, {"lead": lead, "patience": LANE_PATIENCE_SECONDS})
    return [Bell(row.kind, row.name, row.moment) for row in rows]


async def seconds_to_next(connection: AsyncConnection, lead: float) -> float | None:
    """Return the seconds until the next bell would be due, or ``None`` when nothing waits."""
    parameters = {"lead": lead, "patience": LANE_PATIENCE_SECONDS}
    seconds = (await connection.execute(NEXT, parameters)).scalar_one_or_none()
    return None if seconds is None else max(0.0, float(seconds))


async def started(connection: AsyncConnection, rule_id: str, seconds: float) -> None:
    """Remember how long a run took from its bell until it stood ready."""
    await connection.execute(STARTED, {"rule_id": rule_id, "seconds": seconds})


async def lead_seconds(connection: AsyncConnection) -> float:
    """Return how long before its moment a bell must ring, from the slowest of the last fifty starts."""
    slowest = (await connection.execute(LEAD)).scalar_one_or_none()
    if slowest is None:
        return FIRST_LEAD_SECONDS
    return min(max(slowest * 1.5 + 2.0, SHORTEST_LEAD_SECONDS), LONGEST_LEAD_SECONDS)
