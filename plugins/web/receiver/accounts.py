"""The accounts that may push here, by the ids of their connections; kept in memory for some seconds."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from hooks.webhook_account import WebhookAccount
from web.adapters import ADAPTERS, Adapter
from web.receiver.keyring import Keyring

log = logging.getLogger(__name__)
KNOWN_SECONDS = 10.0
"""After so long a changed secret counts."""
MOST_UNKNOWN = 1000
LOOKUPS_AT_ONCE = 4
"""Whoever guesses names shall not keep Airflow's database busy."""


@dataclass(frozen=True, slots=True)
class Known:
    """An account that pushes are taken for."""

    account: WebhookAccount
    adapter: Adapter
    keyring: Keyring


class Accounts:
    """Looks accounts up. :param adapters: by connection type."""

    def __init__(self, adapters: Mapping[str, Adapter] = ADAPTERS) -> None:
        self._adapters = adapters
        self._known: dict[str, tuple[float, Known]] = {}
        # Apart, so that guessed names do not push known ones out.
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._lookups = asyncio.Semaphore(LOOKUPS_AT_ONCE)

    async def of(self, conn_id: str) -> Known | None:
        """Return an account, ``None`` when no such connection is there or its type has no adapter."""
        now = time.monotonic()
        if (found := self._known.get(conn_id)) is not None and now < found[0] + KNOWN_SECONDS:
            return found[1]
        if (looked := self._unknown.get(conn_id)) is not None and now < looked + KNOWN_SECONDS:
            return None
        async with self._lookups:
            known = await self._look_up(conn_id)
        self._remember(conn_id, known)
        return known

    def _remember(self, conn_id: str, known: Known | None) -> None:
        if known is not None:
            self._known[conn_id] = time.monotonic(), known
            return
        self._known.pop(conn_id, None)
        self._unknown[conn_id] = time.monotonic()
        while len(self._unknown) > MOST_UNKNOWN:
            self._unknown.popitem(last=False)

    async def _look_up(self, conn_id: str) -> Known | None:
        account = await WebhookAccount.find(conn_id)
        adapter = self._adapters.get(account.conn_type) if account else None
        if account is None or adapter is None:
            return None
        keyring = Keyring(account.secrets)
        if keyring.unusable:
            log.warning("%s: %s of webhook_secrets are too short or no base64 and do not count", conn_id,
                        keyring.unusable)  # fmt: skip
        return Known(account, adapter, keyring)
