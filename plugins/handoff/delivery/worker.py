"""One worker: keeps many lanes of a rule in flight, holds their leases, and ends when nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from functools import partial

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.consents import Consents
from handoff.delivery.desk import Desk
from handoff.delivery.gate import Gate
from handoff.delivery.lane_run import LaneRun
from handoff.errors import LedgerError, WrongCredentials
from handoff.ledger import lanes
from handoff.ledger.connect import single_statements
from handoff.ledger.journal import Journal
from handoff.ledger.lanes import ClaimedLane

LANES_IN_FLIGHT = 256
FIRST_TAKEN = 8
"""Who has nothing in flight takes a few first: their effects go out while the others are claimed."""
RENEW_SECONDS = 4.0
SAFETY_SECONDS = 2.0
LOOK_AGAIN_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 1.0
UNTOLD_SECONDS = 0.5

MoreToCome = Callable[[], Awaitable[bool]]


class Worker:
    """Works in the lanes of one order group: so many slots, each busy with one lane at a time.

    Lanes are claimed ahead of the slots, so that none waits for the ledger between two lanes.

    :param owner: this worker's name in leases; unique for every attempt of every task.
    :param gate: shared with whatever else the task does; without one the worker makes its own.
    :param in_flight: how many lanes are worked in at once.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        order_group: str,
        owner: str,
        desk: Desk,
        *,
        gate: Gate | None = None,
        in_flight: int = LANES_IN_FLIGHT,
    ) -> None:
        self._gate = gate or Gate(engine)
        self._engine, self._order_group, self._owner, self._desk = engine, order_group, owner, desk
        self._slots = in_flight
        self._journal, self._consents = Journal(engine, owner), Consents(engine)
        self._ready: asyncio.Queue[ClaimedLane] = asyncio.Queue()
        self._leased: dict[int, ClaimedLane] = {}
        self._renewed_at = time.monotonic()
        self._news, self._room = asyncio.Event(), asyncio.Event()

    @property
    def stopped(self) -> dict[str, WrongCredentials]:
        """The accounts whose credentials were found wrong, and no success since."""
        return self._gate.stopped

    def wake(self) -> None:
        """Say that new work may be waiting."""
        self._news.set()

    async def run(self, *, horizon: float = 0.0, more_to_come: MoreToCome | None = None) -> None:
        """Work until no lane gets ready within ``horizon`` seconds and no more is to come.

        :raises LedgerError: when the ledger can no longer be read or written.
        """
        journal = asyncio.create_task(self._journal.run())
        background = self._feed(horizon, more_to_come), self._keep_leases(), self._gate.keep()
        working = [asyncio.create_task(work) for work in background]
        working += [asyncio.create_task(self._slot()) for _ in range(self._slots)]
        try:
            done, _ = await asyncio.wait([journal, *working], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except SQLAlchemyError as error:
            raise LedgerError("the ledger cannot be used now; nothing more is sent") from error
        finally:
            await _cancel(*working)
            # Last, and not cut off: what got its answer shall not become doubtful.
            with contextlib.suppress(LedgerError, SQLAlchemyError):
                await self._journal.flush()
                await self._gate.refresh()
            await _cancel(journal)

    async def _slot(self) -> None:
        while True:
            lane = await self._ready.get()
            fresh = partial(self._fresh, lane)
            await LaneRun(lane, self._desk, self._journal, self._gate, self._consents, fresh).run()
            self._forget(lane)
            if self._ready.qsize() <= self._slots // 2:
                self._room.set()
            if not self._leased:
                self._news.set()

    async def _feed(self, horizon: float, more_to_come: MoreToCome | None) -> None:
        """Keep lanes ready for the slots; return when there are none and none is to come."""
        await self._gate.refresh()
        while True:
            self._news.clear()
            self._room.clear()
            # Asked before claiming: what is added between the two is claimed, not missed.
            to_come = more_to_come is not None and await more_to_come()
            room = self._ready.qsize() <= self._slots // 2
            taken = await self._take(self._slots if self._leased else FIRST_TAKEN) if room else 0
            if not taken and not self._leased and not to_come:
                pause = await self._pause(horizon)
                if pause is None:
                    return
                await asyncio.sleep(pause)
            elif not taken:
                with contextlib.suppress(TimeoutError):
                    # Woken when there is news; other workers give lanes back without a word, so look now and then.
                    await asyncio.wait_for((self._news if room else self._room).wait(), UNTOLD_SECONDS)

    async def _pause(self, horizon: float) -> float | None:
        """Return how long to wait for a lane to be ready or free within the horizon, ``None`` when there is none."""
        # Not cut off by the worker's end: a group that is written half counts as lost, and nothing after it is written.
        await asyncio.shield(self._journal.flush())
        await self._gate.tell()
        async with self._engine.connect() as connection:
            waiting, seconds = await lanes.waiting(connection, self._order_group, horizon=horizon)
        if not waiting or seconds > horizon:
            return None
        # A lane that another worker has leased may be given back long before its lease ends.
        return min(max(seconds, LOOK_AGAIN_SECONDS), LONGEST_PAUSE_SECONDS)

    async def _take(self, most: int) -> int:
        began = time.monotonic()
        async with single_statements(self._engine) as connection:
            claimed = await lanes.claim(connection, self._order_group, self._owner, most=most)
        if not self._leased:
            self._renewed_at = began
        await self._gate.meet({effect.rule_id for lane in claimed for effect in lane.effects})
        for lane in claimed:
            self._leased[lane.id] = lane
            self._ready.put_nowait(lane)
        return len(claimed)

    def _fresh(self, lane: ClaimedLane) -> bool:
        """Tell whether a lane, as it was claimed then, is certainly still this worker's."""
        recent = time.monotonic() - self._renewed_at < lanes.LEASE_SECONDS - SAFETY_SECONDS
        return recent and self._leased.get(lane.id) is lane

    def _forget(self, lane: ClaimedLane) -> None:
        # After a long sleep this very worker may have claimed it anew.
        if self._leased.get(lane.id) is lane:
            del self._leased[lane.id]

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            if self._leased:
                began, leased = time.monotonic(), dict(self._leased)
                async with self._engine.begin() as connection:
                    kept = await lanes.renew(connection, self._owner, list(leased))
                for lost in leased.keys() - kept:
                    # Before the others count as fresh: who slept so long that one was taken must not go on with it.
                    self._forget(leased[lost])
                self._renewed_at = began


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
