"""When a source account is to be polled again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from airflow.sdk import BaseAsyncOperator
from airflow.sdk.definitions.context import Context

from handoff.ledger import cursors
from hooks import callexa, etermin, insightly
from hooks.account import Account, ConnectionValues
from hooks.accounts import connection_of
from hooks.last_poll import LastPoll
from hooks.ledger import LedgerHook
from hooks.metered import pace_of
from operators.work import open_engine

POLL_MINUTES = 60.0
ACCOUNTS: dict[str, Callable[[str, ConnectionValues], Account]] = {
    "insightly": insightly.account_of,
    "callexa": callexa.account_of,
    "etermin": etermin.account_of,
}
"""The polled sources."""


class NextPollOperator(BaseAsyncOperator):
    """Returns when an account is to be polled again.

    That is so many minutes after the last poll as the connection says (``poll_minutes``, at least 1; default 60, of
    eTermin 5), or later when the day's requests would not last; at once when it was never polled.

    :param source: ``insightly``, ``callexa`` or ``etermin``. :param account: Airflow connection of the source account.
    :param requests: how many requests a poll takes.
    :returns: the arguments ``at`` (unix seconds) and ``seen`` of a :class:`sensors.next_poll.NextPollSensor`.
    """

    template_fields: Sequence[str] = ("source", "account", "ledger_conn_id")

    def __init__(
        self,
        *,
        source: str,
        account: str,
        requests: int = 1,
        ledger_conn_id: str = LedgerHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source, self.account, self.requests, self.ledger_conn_id = source, account, requests, ledger_conn_id

    async def aexecute(self, context: Context) -> dict[str, Any]:
        """Read the cursor and the connection. :raises WrongCredentials: the connection cannot be used."""
        account = ACCOUNTS[self.source](self.account, await connection_of(self.account))
        minutes = account.number("poll_minutes", POLL_MINUTES, 1)
        pace = pace_of(account.limits.quota) * self.requests
        async with open_engine(self.ledger_conn_id, connections=1) as engine, engine.connect() as ledger:
            last = LastPoll.parse(await cursors.read(ledger, self.source, self.account))
        at = last.polled_at.timestamp() + max(minutes * 60, pace) if last.polled_at else 0.0
        return {"at": at, "seen": last.heeded}
