"""How many effects of some batches are in which state, by target account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(slots=True)
class Outcomes:
    """One account's effects. :param step: one of the account's steps; :param states: counts by state."""

    account: str
    step: str
    states: dict[str, int] = field(default_factory=dict)


BY_ACCOUNT = text("""
    SELECT effect.account, min(effect.step) AS step, effect.state, count(*) AS effects
    FROM handoff.effects AS effect JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
    WHERE handoff.batch_id = ANY(CAST(:batches AS bigint[]))
    GROUP BY effect.account, effect.state ORDER BY effect.account, effect.state
""")


async def by_account(connection: AsyncConnection, batch_ids: Sequence[int]) -> list[Outcomes]:
    """Return what became of the effects of these batches."""
    found: dict[str, Outcomes] = {}
    for row in await connection.execute(BY_ACCOUNT, {"batches": list(batch_ids)}):
        found.setdefault(row.account, Outcomes(row.account, row.step)).states[row.state] = row.effects
    return list(found.values())
