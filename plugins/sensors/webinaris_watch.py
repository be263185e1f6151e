"""What the watch of a Webinaris account waits with: for a change, or, where requests are few, for the next poll."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import Context

from hooks.ledger import LedgerHook
from hooks.webinaris import WebinarisHook
from sensors.webinaris import WebinarChangedSensor
from triggers.next_poll import NextPollTrigger


class WebinarWatchSensor(WebinarChangedSensor):
    """Waits for a change; where the day's requests would not last for that, for the moment of the next poll.

    A change that is seen takes two requests: the look, and the recording, which reads it again. So an account with few
    of them is not looked at: each recording is a poll, planned like those of the other sources.

    :param plan: mapping, or a template of one, see :class:`operators.webinaris.NextWebinarPollOperator`.
    """

    template_fields = ("webinaris_conn_id", "plan", "ledger_conn_id")

    def __init__(
        self, *, plan: Mapping[str, Any] | Any, ledger_conn_id: str = LedgerHook.default_conn_name, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.plan, self.ledger_conn_id = plan, ledger_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Look and wait, or defer until the next poll; return at once when that is due."""
        self.since = self.plan["since"]
        if 2 * self.plan["pace"] <= self.poll_interval:
            return super().execute(context)
        if self.plan["at"] > time.time():
            moments = {name: self.plan[name] for name in ("at", "seen", "not_before")}
            trigger = NextPollTrigger(WebinarisHook.conn_type, self.webinaris_conn_id, self.ledger_conn_id, **moments)
            self.defer(trigger=trigger, method_name="poll_is_due", timeout=timedelta(seconds=self.timeout))
        return self.poll_is_due(context)

    def poll_is_due(self, context: Context, event: Any = None) -> dict[str, Any]:
        """End the wait; nothing is known of a change."""
        return {"changed": 0, "cursor": self.plan["since"]}
