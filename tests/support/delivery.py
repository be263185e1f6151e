"""Running the delivery engine in a test, without Airflow."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.desk import Desk, LimiterOf
from handoff.delivery.moment import attend, first_look
from handoff.delivery.worker import Worker
from handoff.ledger import batches
from handoff.planning.planner import record
from handoff.rules.rule import Rule
from handoff.source import Source
from handoff.target import Target


def desk_of(engine: AsyncEngine, targets: dict[str, Target], rate: float | None = None) -> Desk:
    """Return a desk that opens these targets by connection id."""

    async def opener(account: str, step: str, limiter_of: LimiterOf) -> Target:
        limiter_of(rate)
        return targets[account]

    return Desk(engine, opener)


async def plan(engine: AsyncEngine, source: Source, rules: Sequence[Rule], occasion: object) -> None:
    """Record the occasion as an event."""
    await record(engine, [occasion], rules)  # type: ignore[list-item]


async def judge_due(engine: AsyncEngine, rule: Rule, source: Source, *, horizon: float = 0.0) -> list[str]:
    """Gather and attend the rule's batches that are due; return what became of them."""
    async with engine.begin() as connection:
        claimed = await batches.claim(connection, rule.id, "test-run", horizon=horizon)
    became = []
    for batch in claimed:
        await first_look(engine, batch, source)
        became.append(await attend(engine, batch, source, lambda: None))
    return became


async def work(engine: AsyncEngine, rule: Rule, desk: Desk, *, horizon: float = 30.0, in_flight: int = 64) -> Worker:
    """Let one worker work until nothing is left within the horizon."""
    worker = Worker(engine, rule.order_group, f"worker/{uuid.uuid4()}", desk, in_flight=in_flight)
    await worker.run(horizon=horizon)
    return worker


async def states(engine: AsyncEngine) -> dict[str, int]:
    """Return how many effects are in which state."""
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT state, count(*) AS effects FROM handoff.effects GROUP BY state"))
        return {row["state"]: row["effects"] for row in rows.mappings()}
