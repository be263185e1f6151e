"""Waits until a source account is to be polled again."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseSensorOperator, Context
from airflow.sdk.exceptions import AirflowException

from hooks.ledger import LedgerHook
from triggers.next_poll import NextPollTrigger


class NextPollSensor(BaseSensorOperator):
    """Waits in the triggerer, without a request to the source; a webhook's news ends the wait early.

    :param source: e.g. ``insightly``. :param account: Airflow connection of the source account.
    :param plan: mapping, or a template of one, see :class:`operators.next_poll.NextPollOperator`.
    """

    template_fields: Sequence[str] = ("source", "account", "plan", "ledger_conn_id")
    ui_color = "#e3f0fb"

    def __init__(
        self,
        *,
        source: str,
        account: str,
        plan: Mapping[str, Any] | Any,
        ledger_conn_id: str = LedgerHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source, self.account, self.plan, self.ledger_conn_id = source, account, plan, ledger_conn_id

    def execute(self, context: Context) -> None:
        """Defer until then; return at once when that has passed."""
        if self.plan["at"] <= time.time():
            return
        moments = {name: self.plan[name] for name in ("at", "seen", "not_before")}
        trigger = NextPollTrigger(self.source, self.account, self.ledger_conn_id, **moments)
        self.defer(trigger=trigger, method_name="execute_complete", timeout=timedelta(seconds=self.timeout))

    def execute_complete(self, context: Context, event: Any = None) -> None:
        """End the wait. :raises AirflowException: the trigger's event cannot be read."""
        status = event.get("status") if isinstance(event, Mapping) else None
        if status not in {"due", "poked"}:
            raise AirflowException(f"{self.task_id}: the trigger's event cannot be read")
        self.log.info("the account is polled: %s", status)
