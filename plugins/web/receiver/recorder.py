"""Recording what was just stored, in this process: one task at a time, and none while nothing waits."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.planning.arrivals import take_in
from handoff.rules.rule import Rule
from hooks.source_rules import rules_of

log = logging.getLogger(__name__)
REST_SECONDS = 0.3
"""Between two rounds: pushes that arrive meanwhile share one."""
RULES_SECONDS = 1.0
"""How long the rules are not read again: in a flood, reading their files would take a good part of this process."""


class Recorder:
    """Lets the planner record deliveries soon after their commit.

    :param ledger: opens the ledger, or returns it opened.
    """

    def __init__(self, ledger: Callable[[], Awaitable[AsyncEngine]]) -> None:
        self._ledger = ledger
        self._task: asyncio.Task[None] | None = None
        self._more = False
        self._rules: dict[tuple[str, str], tuple[float, Sequence[Rule]]] = {}

    def wake(self) -> None:
        """Let what waits be recorded; what fails is left to the sweep."""
        self._more = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._record())

    async def _record(self) -> None:
        while self._more:
            self._more = False
            try:
                await take_in(await self._ledger(), self._rules_of)
            except Exception as error:
                log.error("accepted pushes cannot be recorded now, the sweep will: %s", type(error).__name__)
            await asyncio.sleep(REST_SECONDS)

    async def _rules_of(self, source: str, account: str) -> Sequence[Rule]:
        read_at, rules = self._rules.get((source, account), (-RULES_SECONDS, ()))
        if time.monotonic() - read_at >= RULES_SECONDS:
            read_at = time.monotonic()
            # Files are read: not in the loop that serves requests.
            rules = await asyncio.to_thread(rules_of, source, account)
            self._rules[source, account] = read_at, rules
        return rules
