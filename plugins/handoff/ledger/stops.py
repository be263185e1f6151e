"""All that stands still now: what a person froze, and which accounts rest; for the gate, and for people."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.ledger.circuits import CircuitNow


@dataclass(frozen=True, slots=True)
class Stops:
    """What stands still.

    :param frozen: scopes: ``all``, ``rule:<id>``, ``account:<connection id>``.
    :param circuits: by account; an account that never failed has none.
    """

    frozen: frozenset[str] = frozenset()
    circuits: dict[str, CircuitNow] = field(default_factory=dict)


STOPS = text("""
    SELECT scope AS frozen, NULL AS account, NULL AS failures, NULL AS cause, NULL AS probe_in, NULL AS rest
    FROM handoff.freezes
    UNION ALL
    SELECT NULL, account, failures, cause,
        -- While one worker's probe is under way, probe_at is when it counts as lost; for the others' lanes that is
        -- far too late to look again, should it fail at once.
        CASE WHEN opened_at IS NOT NULL
            THEN LEAST(GREATEST(EXTRACT(EPOCH FROM probe_at - clock_timestamp()), 0), pause_seconds) END,
        COALESCE(GREATEST(EXTRACT(EPOCH FROM rests_until - clock_timestamp()), 0), 0)
    FROM handoff.circuits
""")
STANDSTILL = text("""
    SELECT scope, 'frozen' AS kind, reason, at AS since, CAST(NULL AS timestamptz) AS until FROM handoff.freezes
    UNION ALL
    SELECT 'account:' || account, 'circuit open', cause, opened_at, NULL
    FROM handoff.circuits WHERE opened_at IS NOT NULL
    UNION ALL
    SELECT 'account:' || account, 'rests', 'the target asked to wait (rate limit)', NULL, rests_until
    FROM handoff.circuits WHERE rests_until > clock_timestamp()
    ORDER BY since, scope
""")


async def stops(connection: AsyncConnection) -> Stops:
    """Return what stands still now."""
    frozen, circuits = set[str](), dict[str, CircuitNow]()
    for row in await connection.execute(STOPS):
        if row.frozen is not None:
            frozen.add(row.frozen)
        else:
            probe_in = None if row.probe_in is None else float(row.probe_in)
            circuits[row.account] = CircuitNow(row.account, row.failures, row.cause, probe_in, float(row.rest))
    return Stops(frozenset(frozen), circuits)


async def standstill(connection: AsyncConnection) -> list[RowMapping]:
    """Return what stands still for people to see, the longest first.

    :returns: rows of ``scope, kind, reason``, ``since`` when (not known of an account that its target asked to
        rest) and ``until`` when (known of such an account only); both aware.
    """
    return list((await connection.execute(STANDSTILL)).mappings().all())
