"""Claiming batches: what a run has claimed stays its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger import batches
from tests.support.delivery import plan
from tests.support.domain import FixedSource, a_rule, an_occasion


async def claimed(ledger: AsyncEngine, owner: str, horizon: float) -> list[int]:
    async with ledger.begin() as connection:
        return [batch.id for batch in await batches.claim(connection, "test_rule", owner, horizon=horizon)]


async def test_a_later_task_of_a_run_has_what_the_first_claimed_though_the_lead_got_shorter(
    ledger: AsyncEngine,
) -> None:
    rule, occasion = a_rule(), an_occasion(start=datetime.now(UTC) - timedelta(minutes=60), minutes=60.25)
    await plan(ledger, FixedSource(occasion), [rule], occasion)
    first = await claimed(ledger, "run", horizon=17)
    assert len(first) == 1
    assert await claimed(ledger, "run", horizon=5) == first
    assert await claimed(ledger, "another run", horizon=60) == []
