"""One rate limit per target account, shared by all workers through the ledger.

Slots are handed out evenly spaced rather than in bursts, so that no window of one second, wherever
it begins, holds more calls than the limit allows.
"""

from __future__ import annotations

import asyncio
import math
import time
from contextvars import ContextVar

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger.connect import single_statements

SPACING = 1.03
"""Calls are this much further apart than the limit needs: room for a network that is not even."""
AT_ONCE_SECONDS = 0.25
"""Slots for this long are reserved in one go, to ask the ledger a few times a second at most."""
LATE_SECONDS = 0.05
COLD_SECONDS, COLD_AFTER_SECONDS = 0.1, 2.0
"""After a rest the first call has to open a connection and arrives late: the next one waits longer."""
SLOW_INTERVAL_SECONDS = 0.03
"""Only accounts slower than this need it; a faster one has room for one late call in its second."""

RESERVE = text("""
    -- A slot that a crash of the database forgets does no harm: nobody waits for the disk, above all not
    -- those who wait for this row.
    WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
    INSERT INTO handoff.buckets AS bucket (account, next_at)
    SELECT :account, clock_timestamp() + make_interval(secs => :span) FROM quick
    ON CONFLICT (account) DO UPDATE
        SET next_at = GREATEST(bucket.next_at, clock_timestamp()) + make_interval(secs => :span)
    RETURNING EXTRACT(EPOCH FROM next_at - clock_timestamp()) - :span
""")


class Limiter:
    """Hands out the moments at which calls of one account may leave.

    :param rate: calls per second over all workers; ``None`` when the account has no limit.
    """

    def __init__(self, engine: AsyncEngine, account: str, rate: float | None) -> None:
        self._engine, self._account = engine, account
        self._interval = SPACING / rate if rate else 0.0
        self._slots: list[float] = []
        self._waiting = 0
        self._last = -math.inf
        self._refill = asyncio.Lock()
        self._held: ContextVar[bool] = ContextVar("held_slot", default=False)

    async def reserve(self) -> None:
        """Wait for a slot for this task's next call, before anything is announced in the ledger."""
        await self._wait()
        self._held.set(True)

    async def __call__(self) -> None:
        """Wait until a call may leave; a slot that this task reserved is used up first."""
        if self._held.get():
            self._held.set(False)
        else:
            await self._wait()

    async def _wait(self) -> None:
        if not self._interval:
            return
        self._waiting += 1
        try:
            while True:
                slot = await self._next_slot()
                delay = slot - time.monotonic()
                if delay > 0:
                    await asyncio.sleep(delay)
                # Slots missed by a busy worker are thrown away: used late, they would come as a burst.
                if time.monotonic() - slot <= max(LATE_SECONDS, self._interval / 2):
                    return
        finally:
            self._waiting -= 1

    async def _next_slot(self) -> float:
        async with self._refill:
            if not self._slots:
                self._slots = await self._reserve()
            self._last = self._slots.pop(0)
            return self._last

    async def _reserve(self) -> list[float]:
        # Whoever woke at the same time shall share these slots.
        await asyncio.sleep(0)
        count = max(1, min(self._waiting, math.ceil(AT_ONCE_SECONDS / self._interval)))
        rested = time.monotonic() - self._last > COLD_AFTER_SECONDS
        cold = rested and self._interval > SLOW_INTERVAL_SECONDS
        if cold:
            count = 1
        span = count * self._interval + (COLD_SECONDS if cold else 0.0)
        parameters = {"account": self._account, "span": span}
        async with single_statements(self._engine) as connection:
            ahead = float((await connection.execute(RESERVE, parameters)).scalar_one())
        first = time.monotonic() + ahead
        return [first + number * self._interval for number in range(count)]
