"""The accounts that may push here, by the ids of their connections; kept in memory for some seconds."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from hooks.webhook_account import WebhookAccount
from web.adapters import ADAPTERS, Adapter
from web.receiver.keyring import PLACES, Keyring

log = logging.getLogger(__name__)
KNOWN_SECONDS = 10.0
"""After so long a changed secret counts."""
REFRESH_SECONDS, DOUBT_SECONDS = 5.0, 1.0
"""So old, an account that is asked for is read again while it serves: one that is there, and one in doubt."""
GONE_SECONDS = 600.0
"""Airflow says of a connection that it is not there also when its database is away: only when nothing else was heard
for so long, an account that was known is taken for gone."""
MOST_UNKNOWN = 1000
GUESSES_AT_ONCE, MOST_GUESSES = 2, 64
"""Whoever guesses names shall keep neither Airflow's database busy nor those waiting who are known."""


@dataclass(frozen=True, slots=True)
class Known:
    """An account that pushes are taken for.

    :param lost_at: since when (monotonic seconds) its connection is not found, ``None`` when it is there.
    """

    account: WebhookAccount
    adapter: Adapter
    keyring: Keyring
    lost_at: float | None = None


class Accounts:
    """Looks accounts up. :param adapters: by connection type."""

    def __init__(self, adapters: Mapping[str, Adapter] = ADAPTERS) -> None:
        self._adapters = adapters
        self._known: dict[str, tuple[float, Known]] = {}
        # Apart, so that guessed names do not push known ones out.
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._lookups: dict[str, asyncio.Task[Known | None]] = {}
        self._guesses = asyncio.Semaphore(GUESSES_AT_ONCE)

    async def of(self, conn_id: str) -> Known | None:
        """Return an account, ``None`` when no such connection is there or its type has no adapter.

        Also ``None`` when nobody could look, because too many names are looked up: see :attr:`crowded`.
        """
        now = time.monotonic()
        if (found := self._known.get(conn_id)) is not None:
            read_at, known = found
            if now >= read_at + KNOWN_SECONDS:
                return await asyncio.shield(self._lookup(conn_id))
            if now >= read_at + (REFRESH_SECONDS if known.lost_at is None else DOUBT_SECONDS):
                self._lookup(conn_id)
            return known
        if (looked := self._unknown.get(conn_id)) is not None and now < looked + KNOWN_SECONDS:
            return None
        if conn_id not in self._lookups and self.crowded:
            return None
        return await asyncio.shield(self._lookup(conn_id))

    @property
    def crowded(self) -> bool:
        """Whether so many names are looked up that no other is: of one that was not accepted nobody knows, then."""
        return len(self._lookups) >= MOST_GUESSES

    def _lookup(self, conn_id: str) -> asyncio.Task[Known | None]:
        """Return the one look-up of a name; who waits for it may go away."""
        if conn_id not in self._lookups:
            self._lookups[conn_id] = asyncio.create_task(self._look_up(conn_id), name=conn_id)
            self._lookups[conn_id].add_done_callback(self._ended)
        return self._lookups[conn_id]

    def _ended(self, lookup: asyncio.Task[Known | None]) -> None:
        del self._lookups[lookup.get_name()]
        if not lookup.cancelled() and (error := lookup.exception()) is not None:
            # Not its words: a backend's may quote what it read.
            log.error("the connections cannot be read: %s", type(error).__name__)

    async def _look_up(self, conn_id: str) -> Known | None:
        if conn_id in self._known:
            return await self._read(conn_id)
        async with self._guesses:
            return await self._read(conn_id)

    async def _read(self, conn_id: str) -> Known | None:
        # What is read is as old as the asking for it.
        began = time.monotonic()
        account = await WebhookAccount.find(conn_id)
        known = self._in_doubt(conn_id, began) if account is None else self._understood(account)
        if known is not None:
            self._known[conn_id] = began, known
            return known
        self._known.pop(conn_id, None)
        self._unknown[conn_id] = began
        while len(self._unknown) > MOST_UNKNOWN:
            self._unknown.popitem(last=False)
        return None

    def _in_doubt(self, conn_id: str, now: float) -> Known | None:
        """Return an account that is not found as it was known, ``None`` when it never was or is gone for good."""
        if conn_id not in self._known:
            return None
        _, known = self._known[conn_id]
        lost_at = now if known.lost_at is None else known.lost_at
        if known.lost_at is None:
            log.warning("%s: this connection is not found any more; if Airflow's database or a secrets backend is away,"
                        " its pushes are told to come again", conn_id)  # fmt: skip
        return replace(known, lost_at=lost_at) if now < lost_at + GONE_SECONDS else None

    def _understood(self, account: WebhookAccount) -> Known | None:
        if (before := self._known.get(account.conn_id)) is not None and before[1].account == account:
            return replace(before[1], lost_at=None)
        adapter = self._adapters.get(account.conn_type)
        if adapter is None:
            return None
        keyring = Keyring(account.secrets, account.required)
        if keyring.unusable:
            log.warning("%s: %s of webhook_secrets are too short or no base64 and do not count", account.conn_id,
                        keyring.unusable)  # fmt: skip
        if wrong := account.required - PLACES:
            log.warning("%s: webhook_require knows no %s, so no push is accepted; it knows %s", account.conn_id,
                        ", ".join(sorted(wrong)), ", ".join(sorted(PLACES)))  # fmt: skip
        return Known(account, adapter, keyring)
