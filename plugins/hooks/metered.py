"""Counting the requests of those who read outside of a delivery: triggers, watches, last looks."""

from __future__ import annotations

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.limiter import Limiter
from handoff.delivery.purpose import Purposes, spending
from handoff.ledger.quotas import Quota
from hooks.ledger import LedgerHook

DAY_SECONDS = 86_400.0


class Meter:
    """Awaited before every request of an account that is limited; opens the ledger when it is first needed.

    :param quota: its requests of a day, ``None`` without a limit of them.
    :param purposes: whose requests of the day are used, the first one first.
    :param rate: requests a second, ``None`` where they need not be spaced.
    """

    def __init__(self, account: str, quota: Quota | None, purposes: Purposes, rate: float | None = None) -> None:
        self._account, self._quota, self._purposes, self._rate = account, quota, purposes, rate
        self._engine: AsyncEngine | None = None
        self._limiter: Limiter | None = None
        self._opening = asyncio.Lock()

    @property
    def pace_seconds(self) -> float:
        """How far apart polls have to be so that their share lasts for the whole day; 0 without a limit."""
        return pace_of(self._quota)

    async def __call__(self) -> None:
        """Count one request and wait for its turn.

        :raises QuotaUsedUp: the day has none left for this. :raises LedgerError: there is no ledger to count in.
        """
        limiter = await self._opened()
        with spending(self._purposes):
            await limiter()

    async def close(self) -> None:
        """Let go of the ledger; safe to call twice."""
        if self._engine is not None:
            await self._engine.dispose()

    async def _opened(self) -> Limiter:
        async with self._opening:
            if self._limiter is None:
                self._engine = await LedgerHook.open(LedgerHook.default_conn_name, connections=1)
                self._limiter = Limiter(self._engine, self._account, self._rate, self._quota)
            return self._limiter


def pace_of(quota: Quota | None) -> float:
    """Return how many seconds apart requests have to be so that polling's share of the day lasts; 0 without a limit."""
    return DAY_SECONDS / max(1, quota.most("polling")) if quota else 0.0
