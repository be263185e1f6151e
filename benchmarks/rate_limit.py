"""Whether several workers share a rate limit: never over it, and hardly under it."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from benchmarks.figure import Figure
from benchmarks.ledger import fresh_ledger
from benchmarks.throughput import ListedSource
from handoff.delivery.desk import Desk, LimiterOf
from handoff.delivery.moment import attend, first_look
from handoff.delivery.worker import Worker
from handoff.ledger import batches
from handoff.ledger.connect import open_ledger_async
from handoff.occasion import Occasion
from handoff.planning.planner import record
from handoff.rules.rule import Rule
from handoff.target import Target
from hooks.activecampaign_target import ActiveCampaignTarget
from sandbox import Sandbox, credentials

LIMIT, COUNT, WORKERS = 5, 100, 2
RULE = Rule.model_validate({
    "id": "limited", "title": "Limited", "when": {"minutes": 0, "after": "end"}, "who": "registered",
    "steps": [{"step": "activecampaign.contact"}],
})  # fmt: skip


def rate_limit() -> list[Figure]:
    """Measure ActiveCampaign's 5 requests a second with two workers and one call a contact."""
    with fresh_ledger() as url:
        arrived, refused = asyncio.run(_deliver(url))
    most = max(sum(at <= other < at + 1.0 for other in arrived) for at in arrived) + refused
    used = (len(arrived) - 1) / (arrived[-1] - arrived[0]) / LIMIT
    note = f"{len(arrived)} calls by {WORKERS} workers; {refused} refused with 429"
    return [
        Figure("rate_limit_most", most, LIMIT, "in any 1 s", False, note),
        Figure("rate_limit_used", used * 100, 95, "%", True, note),
    ]


async def _deliver(url: str) -> tuple[list[float], int]:
    """Return when the target accepted calls (unix seconds), and how many it refused."""
    now = datetime.now(UTC)
    anchors = {"start": now - timedelta(hours=1), "end": now - timedelta(seconds=1)}
    occasion = Occasion("webinaris", "webinaris_default", "d1", "Limited", anchors)
    source, engine = ListedSource(occasion, COUNT), open_ledger_async(url, connections=12)
    async with Sandbox() as sandbox:
        connection = SimpleNamespace(
            host=f"{sandbox.http_url}/activecampaign", schema=None, port=None, login=None,
            password=credentials.ACTIVECAMPAIGN_TOKEN, extra='{"bulk_threshold": 0}',
        )  # fmt: skip

        async def opener(account: str, step: str, limiter_of: LimiterOf) -> Target:
            limiter = limiter_of(ActiveCampaignTarget.limits(account, connection).rate)
            return ActiveCampaignTarget.from_connection(account, connection, limiter)

        await record(engine, [occasion], [RULE])
        async with engine.begin() as ledger:
            (batch,) = await batches.claim(ledger, RULE.id, "bench", horizon=0)
        await first_look(engine, batch, source)
        await attend(engine, batch, source, lambda: None)
        desks = [Desk(engine, opener) for _ in range(WORKERS)]
        workers = [Worker(engine, RULE.order_group, f"worker-{n}", desk, in_flight=16) for n, desk in enumerate(desks)]
        began = time.monotonic()
        await asyncio.gather(*(worker.run() for worker in workers))
        assert time.monotonic() - began < COUNT
        for desk in desks:
            await desk.close()
        await engine.dispose()
        calls = sandbox.calls.as_json()["activecampaign"]
        refused = sum(outcomes.get("429", 0) for outcomes in calls["paths"].values())
        return sorted(effect.at for effect in sandbox.effects if effect.action == "contact"), refused
