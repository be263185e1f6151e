"""How old the last look at the source is when an effect takes place: what nobody can promise away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from benchmarks.figure import Figure, percentile
from benchmarks.ledger import fresh_ledger
from benchmarks.throughput import RULE, ListedSource
from handoff.delivery.desk import Desk, LimiterOf
from handoff.delivery.moment import attend, first_look
from handoff.delivery.worker import Worker
from handoff.ledger import batches
from handoff.ledger.connect import open_ledger_async
from handoff.occasion import Occasion
from handoff.planning.planner import record
from handoff.target import Target
from hooks.accounts import VENDORS
from sandbox import Sandbox, credentials

COUNT, TIMES = 200, 5
LATENCY_SECONDS = 0.02


class Watched(ListedSource):
    """Remembers when it was last asked whether its occasion still is as it was (unix seconds)."""

    asked_at = 0.0

    async def occasion(self, known: Occasion) -> Occasion | None:
        """Return the occasion, unchanged."""
        self.asked_at = time.time()
        return await super().occasion(known)


def last_look() -> list[Figure]:
    """Measure batches of 200 at the sandbox's KlickTipp, which answers after 20 ms; no rate limit."""
    ages = []
    for _ in range(TIMES):
        with fresh_ledger() as url:
            ages.append(asyncio.run(_deliver(url)))
    missing = sum(COUNT - len(batch) for batch in ages)
    effects = [age for batch in ages for age in batch]
    firsts = [min(batch) for batch in ages]
    note = f"{TIMES} batches of {COUNT} at {LATENCY_SECONDS * 1000:.0f} ms{f'; {missing} MISSING' if missing else ''}"
    return [
        _figure("last_look_first", firsts, 0.25, f"first effect of a batch; {note}", missing),
        _figure("last_look_all", effects, 2.0, f"all effects; {note}", missing),
    ]


def _figure(name: str, ages: Sequence[float], bar: float, note: str, missing: int) -> Figure:
    measured = float("inf") if missing else max(ages)
    return Figure(name, measured, bar, "s (most)", False, f"{note}; median {percentile(list(ages), 0.5):.3f} s")


async def _deliver(url: str) -> list[float]:
    """Return for each effect how long before it the source had been asked (seconds)."""
    now = datetime.now(UTC)
    # The moment is still to come, as it is when a bell rang for it: so everything stands ready.
    anchors = {"start": now - timedelta(hours=1), "end": now + timedelta(seconds=5)}
    occasion = Occasion("webinaris", "webinaris_default", "d1", "Bench", anchors)
    source, engine = Watched(occasion, COUNT), open_ledger_async(url, connections=6)
    async with Sandbox(latency=LATENCY_SECONDS) as sandbox:
        account = sandbox.world.klicktipp
        account.put_tag("bench")
        for person in (await source.roster(occasion, None)).registrations:
            account.put_contact(person.email, "", account.default_opt_in, "Subscribed")
        connection = SimpleNamespace(
            host=f"{sandbox.http_url}/klicktipp", schema=None, port=None, login=credentials.KLICKTIPP_USERNAME,
            password=credentials.KLICKTIPP_PASSWORD, extra=None,
        )  # fmt: skip

        async def opener(account: str, step: str, limiter_of: LimiterOf) -> Target:
            limiter_of(None)
            return VENDORS["klicktipp"].from_connection(account, connection)

        desk = Desk(engine, opener)
        await record(engine, [occasion], [RULE])
        async with engine.begin() as ledger:
            (batch,) = await batches.claim(ledger, RULE.id, "bench", horizon=60)
        await first_look(engine, batch, source)
        worker = Worker(engine, RULE.order_group, "worker", desk)
        judging = asyncio.create_task(
            attend(engine, batch, source, worker.wake, prepare=lambda: desk.prepare(batch.id))
        )

        async def more_to_come() -> bool:
            return not judging.done()

        await worker.run(more_to_come=more_to_come)
        await judging
        await desk.close()
        await engine.dispose()
        return [effect.at - source.asked_at for effect in sandbox.effects if effect.action == "tag"]
