"""Waits until a source account is to be polled again, or a webhook says that there is news."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from handoff.ledger import cursors
from hooks.ledger import LedgerHook

LOOK_SECONDS = 2.0


class NextPollTrigger(BaseTrigger):
    """Fires at a moment, or as soon as somebody has poked the account: ``{"status": "due" | "poked"}``.

    :param at: unix seconds. :param seen: the account's last poke that was heeded, see :func:`cursors.poked`.
    """

    def __init__(self, source: str, account: str, ledger_conn_id: str, at: float, seen: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.source, self.account, self.ledger_conn_id = source, account, ledger_conn_id
        self.at, self.seen = at, seen

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and its plain arguments."""
        return "triggers.next_poll.NextPollTrigger", {
            "source": self.source, "account": self.account, "ledger_conn_id": self.ledger_conn_id,
            "at": self.at, "seen": self.seen,
        }  # fmt: skip

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event."""
        status = "due"
        engine = await LedgerHook.open(self.ledger_conn_id, connections=1)
        try:
            while (left := self.at - time.time()) > 0:
                async with engine.connect() as connection:
                    if await cursors.poked(connection, self.source, self.account) != self.seen:
                        status = "poked"
                        break
                await asyncio.sleep(min(left, LOOK_SECONDS))
        finally:
            await engine.dispose()
        yield TriggerEvent({"status": status})  # type: ignore[no-untyped-call]
