"""How many contacts a second one worker hands over, crash-safe, against a target that takes 20 ms."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from benchmarks.figure import Figure
from benchmarks.ledger import fresh_ledger
from handoff.delivery.desk import Desk, LimiterOf
from handoff.delivery.garbage import seldom_collected
from handoff.delivery.moment import attend, first_look
from handoff.delivery.worker import Worker
from handoff.ledger import batches
from handoff.ledger.connect import open_ledger_async
from handoff.occasion import Occasion
from handoff.planning.planner import record
from handoff.registration import Registration, Roster
from handoff.rules.rule import Rule
from handoff.source import Listing
from handoff.target import Target
from hooks.accounts import VENDORS

LATENCY_SECONDS = 0.02
RULE = Rule.model_validate({
    "id": "bench", "title": "Bench", "when": {"minutes": 0, "after": "end"}, "who": "registered",
    "steps": [{"step": "klicktipp.tag", "tag": "bench"}],
})  # fmt: skip


class ListedSource:
    """So many people who registered a second apart."""

    def __init__(self, occasion: Occasion, count: int) -> None:
        first = occasion.anchors["start"] - timedelta(days=1)
        self._occasion = occasion
        self._people = tuple(
            Registration(f"p{number:06}", f"person{number}@example.org", first + timedelta(seconds=number))
            for number in range(count)
        )

    async def occasions(self, since: datetime) -> Listing:
        """Return the one occasion."""
        return Listing((self._occasion,))

    async def occasion(self, known: Occasion) -> Occasion | None:
        """Return the occasion, unchanged."""
        return self._occasion

    async def roster(self, known: Occasion, since: datetime | None) -> Roster:
        """Return everybody at the first look, and no news later."""
        now = datetime.now(UTC)
        return Roster(now, now, () if since else self._people)

    async def close(self) -> None:
        """Hold nothing open."""


def throughput_1000() -> list[Figure]:
    """Measure a batch of 1,000."""
    return [_figure(1_000, 1_500)]


def throughput_10000() -> list[Figure]:
    """Measure a batch of 10,000."""
    return [_figure(10_000, 2_000)]


def _figure(count: int, bar: float) -> Figure:
    with fresh_ledger() as url:
        command = [sys.executable, "-m", "benchmarks.slow_target", str(LATENCY_SECONDS)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as target:
            assert target.stdin
            assert target.stdout
            with seldom_collected():
                seconds = asyncio.run(_deliver(url, int(target.stdout.readline()), count))
            target.stdin.close()
            handed_over = json.loads(target.stdout.readline())
    once = sum(times == 1 for times in handed_over.values())
    note = f"one call each at {LATENCY_SECONDS * 1000:.0f} ms; {once} of {count} exactly once"
    rate = count / seconds if once == count else 0.0
    return Figure(f"throughput_{count}", rate, bar, "contacts/s", True, note)


async def _deliver(url: str, port: int, count: int) -> float:
    """Return the seconds from the batch's moment until its last effect is settled in the ledger."""
    now = datetime.now(UTC)
    anchors = {"start": now - timedelta(hours=1), "end": now - timedelta(seconds=1)}
    occasion = Occasion("webinaris", "webinaris_default", "d1", "Bench", anchors)
    source, engine = ListedSource(occasion, count), open_ledger_async(url, connections=6)
    connection = SimpleNamespace(
        host=f"http://127.0.0.1:{port}", schema=None, port=None, login="bench", password="bench", extra=None
    )

    async def opener(account: str, step: str, limiter_of: LimiterOf) -> Target:
        limiter_of(None)
        return VENDORS["klicktipp"].from_connection(account, connection)

    desk = Desk(engine, opener)
    try:
        await record(engine, [occasion], [RULE])
        async with engine.begin() as ledger:
            (batch,) = await batches.claim(ledger, RULE.id, "bench", horizon=0)
        await first_look(engine, batch, source)
        worker = Worker(engine, RULE.order_group, "worker", desk)
        began = time.monotonic()
        judging = asyncio.create_task(attend(engine, batch, source, worker.wake))

        async def more_to_come() -> bool:
            return not judging.done()

        await worker.run(more_to_come=more_to_come)
        await judging
        return time.monotonic() - began
    finally:
        await desk.close()
        await engine.dispose()
