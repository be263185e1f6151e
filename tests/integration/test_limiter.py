"""The limit of an account holds over all workers, and is used nearly to the full."""

from __future__ import annotations

import asyncio
import time

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.limiter import Limiter
from handoff.ledger.connect import open_ledger_async

RATE = 50
SECONDS = 2.4


async def callers(limiter: Limiter, count: int, until: float, moments: list[float]) -> None:
    async def one() -> None:
        while time.monotonic() < until:
            await limiter.reserve()
            await limiter()
            moments.append(time.monotonic())

    await asyncio.gather(*(one() for _ in range(count)))


async def test_three_workers_share_one_limit(ledger_url: str) -> None:
    engines = [open_ledger_async(ledger_url, connections=2) for _ in range(3)]
    moments: list[float] = []
    until = time.monotonic() + SECONDS
    await asyncio.gather(*(callers(Limiter(engine, "account", RATE), 20, until, moments) for engine in engines))
    for engine in engines:
        await engine.dispose()
    moments.sort()
    windows = [sum(begin <= moment < begin + 1.0 for moment in moments) for begin in moments]
    assert max(windows) <= RATE
    while_all_worked = [moment for moment in moments if moment < until]
    assert (len(while_all_worked) - 1) / (while_all_worked[-1] - while_all_worked[0]) >= 0.95 * RATE


async def test_after_a_pause_there_is_no_burst(ledger: AsyncEngine) -> None:
    limiter = Limiter(ledger, "account", 20)
    await limiter()
    await asyncio.sleep(0.5)
    moments = []
    for _ in range(5):
        await limiter()
        moments.append(time.monotonic())
    assert min(later - earlier for earlier, later in zip(moments, moments[1:], strict=False)) > 0.04


async def test_accounts_do_not_wait_for_each_other_and_some_have_no_limit(ledger: AsyncEngine) -> None:
    slow, other, free = Limiter(ledger, "slow", 1), Limiter(ledger, "other", 1), Limiter(ledger, "free", None)
    began = time.monotonic()
    await slow()
    await other()
    for _ in range(1000):
        await free()
    assert time.monotonic() - began < 0.5


async def test_a_reserved_slot_is_used_by_the_next_call_only(ledger: AsyncEngine) -> None:
    limiter = Limiter(ledger, "account", 10)
    await limiter.reserve()
    began = time.monotonic()
    await limiter()
    assert time.monotonic() - began < 0.02
    await limiter()
    assert time.monotonic() - began > 0.08


async def test_who_is_kept_from_calling_after_the_turn_came_takes_another(ledger: AsyncEngine) -> None:
    """Else all whose announcements a slow ledger held up would call at once."""
    limiter, announced, moments = Limiter(ledger, "account", 5), asyncio.Event(), list[float]()
    reserved: list[int] = []

    async def effect(number: int) -> None:
        await limiter.reserve()
        reserved.append(number)
        await announced.wait()
        await limiter()
        moments.append(time.monotonic())

    effects = [asyncio.create_task(effect(number)) for number in range(8)]
    async with asyncio.timeout(60):
        while len(reserved) < 8:
            await asyncio.sleep(0.01)
        announced.set()
        await asyncio.gather(*effects)
    windows = [sum(begin <= moment < begin + 1.0 for moment in moments) for begin in moments]
    assert max(windows) <= 6
