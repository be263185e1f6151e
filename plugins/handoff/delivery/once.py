"""What is opened or read once, however many ask for it at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

log = logging.getLogger(__name__)


class Closable(Protocol):
    """An account that holds connections."""

    async def close(self) -> None:
        """Release them."""
        ...


Key = TypeVar("Key")
Value = TypeVar("Value")
Account = TypeVar("Account", bound=Closable)


class Once(Generic[Key, Value]):
    """Makes a value for each key once; what could not be made is tried again by the next who asks."""

    def __init__(self) -> None:
        self._making: dict[Key, asyncio.Task[Value]] = {}

    async def of(self, key: Key, make: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """Return the key's value; the first to ask has it made. Raises what ``make`` raises."""
        making = self._making.get(key)
        if making is None:
            making = self._making[key] = asyncio.create_task(make())
            making.add_done_callback(partial(self._keep_if_made, key))
        elif making.done() and _succeeded(making):
            # What every effect asks for several times.
            return making.result()
        # Whoever asks may be cut off; others wait for the same.
        return await asyncio.shield(making)

    def forget(self, key: Key, value: Value) -> None:
        """Let a value that is out of date be made anew, unless somebody has seen to that already."""
        making = self._making.get(key)
        if making is not None and making.done() and _succeeded(making) and making.result() is value:
            del self._making[key]

    async def made(self) -> list[Value]:
        """Return all values; those that are being made are waited for."""
        made = await asyncio.gather(*self._making.values(), return_exceptions=True)
        return [value for value in made if not isinstance(value, BaseException)]

    def _keep_if_made(self, key: Key, making: asyncio.Task[Value]) -> None:
        if not _succeeded(making) and self._making.get(key) is making:
            del self._making[key]


class Opened(Once[Key, Account]):
    """Accounts that are opened once and closed together."""

    async def close(self) -> None:
        """Close every account; one that cannot be closed is no reason to leave another open."""
        closing = [account.close() for account in await self.made()]
        for failure in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(failure, BaseException):
                log.warning("the connections of an account could not be closed: %s", type(failure).__name__)


def _succeeded(task: asyncio.Task[Any]) -> bool:
    return not task.cancelled() and task.exception() is None
