"""Recording what was just stored, in this process: one task at a time, and none while nothing waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.arrivals import take_in
from handoff.rule import Rule
from hooks.source_rules import rules_of

log = logging.getLogger(__name__)
REST_SECONDS = 0.1
"""Between two rounds: pushes that arrive meanwhile share one, and the reading of the rules."""


class Recorder:
    """Lets the planner record deliveries soon after their commit.

    :param ledger: opens the ledger, or returns it opened.
    """

    def __init__(self, ledger: Callable[[], Awaitable[AsyncEngine]]) -> None:
        self._ledger = ledger
        self._task: asyncio.Task[None] | None = None
        self._more = False

    def wake(self) -> None:
        """Let what waits be recorded; what fails is left to the sweep."""
        self._more = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._record())

    async def _record(self) -> None:
        while self._more:
            self._more = False
            try:
                await take_in(await self._ledger(), _rules_of)
            except Exception as error:
                log.error("accepted pushes cannot be recorded now, the sweep will: %s", type(error).__name__)
            await asyncio.sleep(REST_SECONDS)


async def _rules_of(source: str, account: str) -> Sequence[Rule]:
    # Files are read: not in the loop that serves requests.
    return await asyncio.to_thread(rules_of, source, account)
