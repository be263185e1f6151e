"""Counting refusals: in memory, and written every second or so, so that a flood of them costs nothing."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger import webhook_counts

log = logging.getLogger(__name__)
EVERY_SECONDS = 1.0
REST_SECONDS = 30.0


class Tally:
    """Counts by account and reason. A server that is killed loses those of the last second."""

    def __init__(self, ledger: Callable[[], Awaitable[AsyncEngine]]) -> None:
        self._ledger = ledger
        self._counts: Counter[tuple[str, str]] = Counter()
        self._writer: asyncio.Task[None] | None = None

    def count(self, account: str, reason: str) -> None:
        """Count one refusal of a known account."""
        self._counts[account, reason] += 1
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())

    async def flush(self) -> None:
        """Write what was counted; when that fails it is kept for the next time."""
        counted, self._counts = self._counts, Counter()
        try:
            async with (await self._ledger()).begin() as connection:
                await webhook_counts.add(connection, counted)
        except BaseException:
            self._counts.update(counted)
            raise

    async def _write(self) -> None:
        while self._counts:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                await self.flush()
            except Exception as error:
                log.error("refused pushes cannot be counted now: %s", type(error).__name__)
                await asyncio.sleep(REST_SECONDS)
