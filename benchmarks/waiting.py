"""What a hundred thousand waiting handoffs cost the triggerer: one look at the ledger, and no memory."""

from __future__ import annotations

import asyncio
import time

import psutil
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.figure import Figure
from benchmarks.ledger import fresh_ledger
from handoff.ledger.connect import open_ledger_async
from triggers.doorbell import Chime, DoorbellTrigger

COUNT, LOOKS, RULES = 100_000, 50, 10
FILL = text("""
    WITH occasion AS (
        INSERT INTO handoff.occasions
            (source, account, key, series, title, anchors, timezone, facts, cancelled, changed)
        SELECT 'webinaris', 'bench', number::text, 's', 't', '{}', 'Europe/Berlin', '{}', false, 0
        FROM generate_series(1, :count) AS number RETURNING id
    )
    INSERT INTO handoff.batches (rule_id, rule_version, occasion_id, due_at, wake_at)
    SELECT 'rule_' || id % :rules, 1, id, now() + make_interval(hours => 1 + (id % 1000)::int),
        now() + make_interval(hours => 1 + (id % 1000)::int) FROM occasion
""")


def waiting_100000() -> list[Figure]:
    """Measure the doorbell's look and memory with nothing and with 100,000 batches waiting."""
    with fresh_ledger() as url:
        return asyncio.run(_measure(url))


async def _measure(url: str) -> list[Figure]:
    engine = open_ledger_async(url, connections=2)
    await _looks(engine)
    before = psutil.Process().memory_info().rss
    await _looks(engine)
    async with engine.begin() as connection:
        await connection.execute(FILL, {"count": COUNT, "rules": RULES})
    async with engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).exec_driver_sql("ANALYZE")
    milliseconds = await _looks(engine) * 1000
    grown = max(0, psutil.Process().memory_info().rss - before) / 2**20
    streams = {DoorbellTrigger(f"rule_{n}", f"rule_{n}").shared_stream_key() for n in range(RULES)}
    await engine.dispose()
    return [
        Figure("waiting_streams", len(streams), 1, "streams", False, f"{RULES} rules, {COUNT} waiting"),
        Figure("waiting_memory", grown, 4, "MiB", False, f"grown with {COUNT} waiting, {LOOKS} looks"),
        Figure("waiting_look", milliseconds, 50, "ms", False, "one look at the ledger"),
    ]


async def _looks(engine: AsyncEngine) -> float:
    """Return the mean seconds of one look."""
    chime = Chime()
    async with engine.connect() as connection:
        began = time.monotonic()
        for _ in range(LOOKS):
            await chime.look(connection)
        return (time.monotonic() - began) / LOOKS
