"""Waits until a source account is to be polled again, or a webhook says that there is news."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError
from airflow.triggers.base import BaseTrigger, TriggerEvent
from sqlalchemy.exc import SQLAlchemyError

from handoff.errors import HandoffError
from handoff.ledger import cursors
from hooks.ledger import LedgerHook

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
RECONNECT_SECONDS = 2.0


class NextPollTrigger(BaseTrigger):
    """Fires at a moment, or as soon as somebody has poked the account: ``{"status": "due" | "poked"}``.

    :param at: unix seconds. :param seen: the account's last poke that was heeded, see :func:`cursors.poked`.
    :param not_before: unix seconds; a poke that comes earlier is heeded then.
    """

    def __init__(
        self, source: str, account: str, ledger_conn_id: str, at: float, seen: str, not_before: float = 0.0
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.source, self.account, self.ledger_conn_id = source, account, ledger_conn_id
        self.at, self.seen, self.not_before = at, seen, not_before

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and its plain arguments."""
        return "triggers.next_poll.NextPollTrigger", {
            "source": self.source, "account": self.account, "ledger_conn_id": self.ledger_conn_id,
            "at": self.at, "seen": self.seen, "not_before": self.not_before,
        }  # fmt: skip

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event; a lost ledger is waited for."""
        await asyncio.sleep(max(0.0, min(self.at, self.not_before) - time.time()))
        status = None
        while status is None:
            try:
                status = await self._status()
            except (SQLAlchemyError, OSError, HandoffError, AirflowException, AirflowRuntimeError) as error:
                log.warning("the ledger cannot be read (%s); trying again", type(error).__name__)
                await asyncio.sleep(RECONNECT_SECONDS)
        yield TriggerEvent({"status": status})  # type: ignore[no-untyped-call]

    async def _status(self) -> str:
        """Return why it fires, once it does."""
        if self.at <= time.time():
            return "due"
        engine = await LedgerHook.open(self.ledger_conn_id, connections=1)
        try:
            while (left := self.at - time.time()) > 0:
                async with engine.connect() as connection:
                    if await cursors.poked(connection, self.source, self.account) != self.seen:
                        return "poked"
                await asyncio.sleep(min(left, LOOK_SECONDS))
        finally:
            await engine.dispose()
        return "due"
