"""Storing deliveries in groups: those that arrive within a few milliseconds share one commit."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger.deliveries import NewDelivery, store
from web.receiver.refusal import Refusal

log = logging.getLogger(__name__)
GATHER_SECONDS = 0.008
"""At a hundred a second two share a commit then; a sender does not notice it."""
LARGEST_GROUP = 128
MOST_WAITING = 2000
"""More than this many would be answered after their senders gave up."""
COMMIT_SECONDS = 10.0
RETRY_SECONDS = 5.0

Kept = asyncio.Future[bool | None]


class Journal:
    """Stores deliveries; one transaction at a time, so the group grows while the one before is written.

    :param ledger: opens the ledger, or returns it opened.
    """

    def __init__(self, ledger: Callable[[], Awaitable[AsyncEngine]]) -> None:
        self._ledger = ledger
        self._waiting: deque[tuple[NewDelivery, Kept]] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def keep(self, delivery: NewDelivery) -> bool:
        """Return once a delivery is committed; tell whether it is new.

        :raises Refusal: it could not be stored, or nobody knows yet; it may be sent again, which changes nothing if
            it was stored after all.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise Refusal("unavailable", retry_after=RETRY_SECONDS)
        kept: Kept = asyncio.get_running_loop().create_future()
        self._waiting.append((delivery, kept))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        try:
            # Others of the group wait for the same commit: whoever goes away does not end it.
            new = await asyncio.wait_for(asyncio.shield(kept), COMMIT_SECONDS)
        except TimeoutError:
            new = None
        if new is None:
            raise Refusal("unavailable", retry_after=RETRY_SECONDS)
        return new

    async def _write(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(GATHER_SECONDS)
                size = min(len(self._waiting), LARGEST_GROUP)
                await self._write_group([self._waiting.popleft() for _ in range(size)])
        finally:
            # Only when this task is ended: nobody shall wait for what nobody writes.
            _tell([kept for _, kept in self._waiting], [None] * len(self._waiting))
            self._waiting.clear()

    async def _write_group(self, group: list[tuple[NewDelivery, Kept]]) -> None:
        outcomes: list[bool | None] = [None] * len(group)
        try:
            outcomes = list(await self._store([delivery for delivery, _ in group]))
        except OperationalError as error:
            log.error("pushes cannot be stored: %s", error)
        except DBAPIError as error:
            log.error("a group of %s pushes cannot be stored, each is tried alone: %s", len(group), error)
            outcomes = [await self._store_alone(delivery) for delivery, _ in group]
        except Exception:
            log.exception("pushes cannot be stored")
        finally:
            _tell([kept for _, kept in group], outcomes)

    async def _store_alone(self, delivery: NewDelivery) -> bool | None:
        try:
            return (await self._store([delivery]))[0]
        except DBAPIError as error:
            log.error("a push to %s cannot be stored: %s", delivery.account, error)
            return None

    async def _store(self, group: list[NewDelivery]) -> list[bool]:
        async with (await self._ledger()).begin() as connection:
            return await store(connection, group)


def _tell(waiting: list[Kept], outcomes: list[bool | None]) -> None:
    for kept, outcome in zip(waiting, outcomes, strict=True):
        if not kept.done():
            kept.set_result(outcome)
