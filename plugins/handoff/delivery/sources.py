"""The source accounts that the batches of a run are read from."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from handoff.delivery.once import Opened
from handoff.source import Source

Opener = Callable[[str, str], Coroutine[Any, Any, Source]]
"""Opens a source account: ``(source, connection id)``."""


class Sources:
    """Opens each source account once, however many batches ask at a time."""

    def __init__(self, opener: Opener) -> None:
        self._open = opener
        self._accounts = Opened[tuple[str, str], Source]()

    async def of(self, source: str, account: str) -> Source:
        """Return the source account, opened on first use; one that could not be opened is tried again.

        :raises TargetError: when it cannot be opened.
        """
        return await self._accounts.of((source, account), lambda: self._open(source, account))

    async def close(self) -> None:
        """Close them all."""
        await self._accounts.close()
