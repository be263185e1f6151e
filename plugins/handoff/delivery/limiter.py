"""One rate limit and one daily quota per account, shared by all workers and by polling through the ledger.

Slots are handed out evenly spaced rather than in bursts, so that no window of one second, wherever
it begins, holds more calls than the limit allows. Requests of the day are counted with the slots, a
few at a time, in the same statement.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from contextlib import nullcontext
from contextvars import ContextVar
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery import standing
from handoff.delivery.purpose import WRITING, Purposes, purposes_now
from handoff.errors import QuotaUsedUp
from handoff.ledger import quotas
from handoff.ledger.connect import single_statements
from handoff.ledger.quotas import SPACING, Purpose, Quota

AT_ONCE_SECONDS = 0.25
"""Slots for this long are reserved in one go, to ask the ledger a few times a second at most."""
MOST_AT_ONCE = 50
"""Requests of the day that are counted in one go where there is no limit a second."""
LATE_SECONDS = 0.05
COLD_SECONDS, COLD_AFTER_SECONDS = 0.1, 2.0
"""After a rest the first call has to open a connection and arrives late: the next one waits longer."""
SLOW_INTERVAL_SECONDS = 0.03
"""Only accounts slower than this need it; a faster one has room for one late call in its second. And only there
effects begin one after the other: 256 lanes that all have their slot already would keep it for minutes from whoever
takes over when this worker dies, and would leave every effect of several calls half done."""
CLOCK_SECONDS = 1.0
"""How far this machine's clock may be ahead of the ledger's when a new day begins."""


class Limiter:
    """Hands out the moments at which calls of one account may leave, as long as its day has requests left.

    :param rate: calls per second over all workers; ``None`` when the account has no limit.
    :param quota: its requests of a day; ``None`` when it has no limit.
    """

    def __init__(self, engine: AsyncEngine, account: str, rate: float | None, quota: Quota | None = None) -> None:
        self._engine, self._account, self._rate, self._quota = engine, account, rate, quota
        self._interval = SPACING / rate if rate else 0.0
        self._slots: list[float] = []
        self._waiting = 0
        self._last = -math.inf
        self._refill, self._door = asyncio.Lock(), asyncio.Lock()
        # A list, which the tasks that this task starts share: their contexts are copies, and a slot is used once.
        self._held: ContextVar[list[float]] = ContextVar("held_slot")
        self._day, self._counted = quotas.today(), Counter[Purpose]()
        self._used_up: set[Purpose] = set()

    async def reserve(self) -> None:
        """Wait for a slot for this task's next call, before anything is announced in the ledger.

        A request of today that was reserved for a call that never left, because of a freeze for instance, is kept.

        :raises QuotaUsedUp: the day's requests for writing are used up.
        """
        counted = bool(self._held.get([])) and self._day == quotas.today()
        begins = self._interval > SLOW_INTERVAL_SECONDS
        self._held.set([await self._wait(WRITING, begins=begins, counted=counted)])

    def check(self) -> None:
        """Ask whether anything more may be written today, as far as is known without asking the ledger.

        :raises QuotaUsedUp: it may not.
        """
        if self._quota and self._day == quotas.today() and "writes" in self._used_up:
            raise self._refusal(self._quota)

    async def __call__(self) -> None:
        """Wait until a call may leave; a slot that this task reserved is used up first, if it has not become too old.

        :raises QuotaUsedUp: the day's requests for what it is for (see :mod:`handoff.delivery.purpose`) are used up.
        :raises LeaseLost: it belongs to an effect that another worker may carry out by now.
        """
        held = self._held.get([])
        if not held:
            await self._wait(purposes_now())
        elif not self._in_time(held.pop()) and self._interval > SLOW_INTERVAL_SECONDS:
            # Many whose announcements waited for the ledger would leave together.
            await self._turn()
        standing.check()

    async def _wait(self, purposes: Purposes, *, begins: bool = False, counted: bool = False) -> float:
        """Wait for a slot and a request of the day, as far as they are limited; return the slot's moment."""
        if not self._interval and not self._quota:
            return time.monotonic()
        self._waiting += 1
        try:
            if self._quota and not counted:
                await self._count(purposes, self._quota)
            # Whoever has begun does not queue at the door, and is done before many others begin.
            async with self._door if begins else nullcontext():
                return await self._turn()
        finally:
            self._waiting -= 1

    async def _turn(self) -> float:
        """Wait for a slot and until its moment; return it."""
        while self._interval:
            slot = await self._next_slot()
            delay = slot - time.monotonic()
            if delay > 0:
                await asyncio.sleep(delay)
            if self._in_time(slot):
                return slot
        return time.monotonic()

    def _in_time(self, slot: float) -> bool:
        """Tell whether a slot can be used: those missed by a busy worker are thrown away, or they came as a burst."""
        return time.monotonic() - slot <= max(LATE_SECONDS, self._interval / 2)

    async def _count(self, purposes: Purposes, quota: Quota) -> None:
        """Take one request of the day out of those that were counted; count more when there are none."""
        async with self._refill:
            if self._day != (today := quotas.today()):
                self._day = today
                self._counted.clear()
                self._used_up.clear()
            for purpose in purposes:
                if self._counted[purpose] or await self._count_more(purpose, quota):
                    self._counted[purpose] -= 1
                    return
        raise self._refusal(quota)

    async def _count_more(self, purpose: Purpose, quota: Quota) -> bool:
        """Count as many requests as are about to be made, with slots for them if there are none; at least one."""
        if purpose in self._used_up:
            return False
        await asyncio.sleep(0)
        for count in dict.fromkeys((self._most_at_once(), 1)):
            slots = await self._reserve(0 if self._slots else count, (purpose, count))
            if slots is not None:
                self._slots += slots
                self._counted[purpose] += count
                return True
        self._used_up.add(purpose)
        async with self._engine.begin() as connection:
            await quotas.used_up(connection, self._account, purpose, quota)
        return False

    async def _next_slot(self) -> float:
        async with self._refill:
            if not self._slots:
                # Whoever woke at the same time shall share these slots.
                await asyncio.sleep(0)
                self._slots = await self._reserve(self._most_at_once()) or []
            self._last = self._slots.pop(0)
            return self._last

    def _most_at_once(self) -> int:
        if not self._interval:
            return max(1, min(self._waiting, MOST_AT_ONCE))
        return 1 if self._cold() else max(1, min(self._waiting, math.ceil(AT_ONCE_SECONDS / self._interval)))

    def _cold(self) -> bool:
        return time.monotonic() - self._last > COLD_AFTER_SECONDS and self._interval > SLOW_INTERVAL_SECONDS

    async def _reserve(self, count: int, counting: tuple[Purpose, int] | None = None) -> list[float] | None:
        """Reserve so many slots in one round trip; ``None`` when the day has not enough requests left."""
        span = count * self._interval + (COLD_SECONDS if count and self._cold() else 0.0)
        async with single_statements(self._engine) as connection:
            ahead = await quotas.reserve(connection, self._account, span, self._rate, self._quota, counting)
        if ahead is None:
            return None
        first = time.monotonic() + ahead
        return [first + number * self._interval for number in range(count if self._interval else 0)]

    def _refusal(self, quota: Quota) -> QuotaUsedUp:
        now = datetime.now(UTC)
        begins = quotas.next_day(now)
        words = f"{quota.per_day:,} a day; goes on at {begins:%Y-%m-%d %H:%M} UTC"
        rest = (begins - now).total_seconds() + CLOCK_SECONDS
        return QuotaUsedUp(self._account, "count a request", words, retry_after=rest)
