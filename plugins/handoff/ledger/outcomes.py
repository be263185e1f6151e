"""How many effects of some batches are in which state, by target account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(slots=True)
class Outcomes:
    """One account's effects. :param steps: the names of their steps, sorted; :param states: counts by state."""

    account: str
    steps: tuple[str, ...]
    states: dict[str, int] = field(default_factory=dict)


BY_ACCOUNT = text("""
    WITH mine AS (
        SELECT effect.account, effect.step, effect.state FROM handoff.effects AS effect
        JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
        WHERE handoff.batch_id = ANY(CAST(:batches AS bigint[]))
    ), steps AS (
        SELECT account, array_agg(DISTINCT step ORDER BY step) AS steps FROM mine GROUP BY account
    )
    SELECT mine.account, steps.steps, mine.state, count(*) AS effects
    FROM mine JOIN steps ON steps.account = mine.account
    GROUP BY mine.account, steps.steps, mine.state ORDER BY mine.account, mine.state
""")


async def by_account(connection: AsyncConnection, batch_ids: Sequence[int]) -> list[Outcomes]:
    """Return what became of the effects of these batches."""
    found: dict[str, Outcomes] = {}
    for row in await connection.execute(BY_ACCOUNT, {"batches": list(batch_ids)}):
        found.setdefault(row.account, Outcomes(row.account, tuple(row.steps))).states[row.state] = row.effects
    return list(found.values())
