"""One worker: keeps many lanes of a rule in flight, holds their leases, and ends when nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.desk import Desk
from handoff.delivery.lane_run import LaneRun
from handoff.errors import WrongCredentials
from handoff.ledger import lanes
from handoff.ledger.journal import Journal
from handoff.ledger.lanes import ClaimedLane

LANES_IN_FLIGHT = 128
RENEW_SECONDS = 4.0
SAFETY_SECONDS = 2.0
LOOK_AGAIN_SECONDS = 0.05


class Worker:
    """Works in the lanes of one order group.

    :param owner: this worker's name in leases; unique for every attempt of every task.
    """

    def __init__(
        self, engine: AsyncEngine, order_group: str, owner: str, desk: Desk, *, in_flight: int = LANES_IN_FLIGHT
    ) -> None:
        self._engine, self._order_group, self._owner, self._desk = engine, order_group, owner, desk
        self._most = in_flight
        self._journal = Journal(engine, owner)
        self._running: dict[asyncio.Task[None], int] = {}
        self._renewed_at = time.monotonic()
        self._news = asyncio.Event()
        self.stopped: dict[str, WrongCredentials] = {}

    def wake(self) -> None:
        """Say that new work may be waiting."""
        self._news.set()

    async def run(self, *, horizon: float = 0.0, more_to_come: Callable[[], Awaitable[bool]] | None = None) -> None:
        """Work until no lane gets ready within ``horizon`` seconds and no more is to come.

        :raises LedgerError: when the ledger can no longer be written.
        """
        background = [asyncio.create_task(self._journal.run()), asyncio.create_task(self._keep_leases())]
        try:
            while await self._turn(horizon, more_to_come):
                for task in background:
                    if task.done():
                        task.result()
        finally:
            for task in [*self._running, *background]:
                task.cancel()
            await asyncio.gather(*self._running, *background, return_exceptions=True)
            with contextlib.suppress(Exception):
                await self._journal.flush()

    async def _turn(self, horizon: float, more_to_come: Callable[[], Awaitable[bool]] | None) -> bool:
        """Take up what is ready, wait for something to happen; ``False`` when all is done."""
        self._news.clear()
        taken = 0
        if len(self._running) <= self._most // 2:
            # Asked before claiming: what is added between the two is claimed, not missed.
            to_come = more_to_come is not None and await more_to_come()
            taken = await self._take(self._most - len(self._running))
            if not taken and not self._running and not to_come:
                await self._journal.flush()
                async with self._engine.connect() as connection:
                    waiting, seconds = await lanes.waiting(connection, self._order_group, horizon=horizon)
                if not waiting or seconds > horizon:
                    return False
                await asyncio.sleep(max(seconds, LOOK_AGAIN_SECONDS))
                return True
        if self._running:
            timeout = None if len(self._running) > self._most // 2 or taken else LOOK_AGAIN_SECONDS * 4
            done, _ = await asyncio.wait(self._running, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                del self._running[task]
                task.result()
        else:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), LOOK_AGAIN_SECONDS)
        return True

    async def _take(self, most: int) -> int:
        began = time.monotonic()
        async with self._engine.begin() as connection:
            claimed = await lanes.claim(connection, self._order_group, self._owner, most=most)
        if not self._running:
            self._renewed_at = began
        for lane in claimed:
            task = asyncio.create_task(self._lane_run(lane).run())
            self._running[task] = lane.id
        return len(claimed)

    def _lane_run(self, lane: ClaimedLane) -> LaneRun:
        return LaneRun(lane, self._desk, self._journal, self.stopped, self._fresh)

    def _fresh(self) -> bool:
        return time.monotonic() - self._renewed_at < lanes.LEASE_SECONDS - SAFETY_SECONDS

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            if self._running:
                began = time.monotonic()
                async with self._engine.begin() as connection:
                    await lanes.renew(connection, self._owner, list(self._running.values()))
                self._renewed_at = began
