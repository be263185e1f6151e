"""All that stands still now, in one query: what a person froze, and which accounts rest."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import text
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
