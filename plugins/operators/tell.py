"""Tells the team what it does not know yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseAsyncOperator, Context
from airflow.sdk.exceptions import AirflowSkipException

from hooks.ledger import LedgerHook
from notifications.handoff_notifier import TO, HandoffNotifier
from notifications.tell_team import tell_team
from operators.work import open_engine


class TellOperator(BaseAsyncOperator):
    """Sends one message for each notice that nobody has been told, to whom the environment names.

    :param ledger_conn_id: connection of type ``handoff_ledger``.
    :returns: how many messages were sent.
    """

    template_fields: Sequence[str] = ("ledger_conn_id",)

    def __init__(self, *, ledger_conn_id: str = LedgerHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ledger_conn_id = ledger_conn_id

    async def aexecute(self, context: Context) -> int:
        """Tell; skipped when nobody is named, and failed when a message could not be sent."""
        notifier = HandoffNotifier.from_environment()
        if notifier is None:
            raise AirflowSkipException(f"nobody is named to be told; set {TO}, see docs/operate.md")
        async with open_engine(self.ledger_conn_id) as engine:
            return await tell_team(engine, notifier)
