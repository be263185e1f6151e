"""When a source account is to be polled again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseAsyncOperator, Context

from handoff.ledger import cursors, poll_plans, quotas
from handoff.ledger.poll_plans import PollPlan
from hooks.accounts import connection_of
from hooks.last_poll import LastPoll
from hooks.ledger import LedgerHook
from hooks.metered import pace_of
from hooks.vendor_hook import VendorHook
from operators.work import open_engine

LEAST_APART_SECONDS = 5.0
"""However many webhooks come: each poll sees what all of them told of."""
MOST_DOUBLED = 10
"""With each poll that fails a webhook waits twice as long, so many times at most, and no longer than without it."""


class NextPollOperator(BaseAsyncOperator):
    """Returns when an account is to be polled again.

    That is so many minutes after the last poll as the connection says (``poll_minutes``, at least 1; where it names
    none, the hook's), or later when the day's requests would not last, or when none is left today; at once when it was
    never polled.

    :param hook: the source's, whose connection type is the source's name.
    :param account: Airflow connection of the source account.
    :param requests: how many requests a poll takes.
    :returns: the plan of a :class:`sensors.next_poll.NextPollSensor`, in unix seconds: ``at``, ``seen``, and
        ``not_before``, the moment before which news does not hasten the poll; and ``pace``, how many seconds polls
        have to be apart for the day's requests to last (0 without a limit).
    """

    template_fields: Sequence[str] = ("source", "account", "ledger_conn_id")

    def __init__(
        self,
        *,
        hook: type[VendorHook],
        account: str,
        requests: int = 1,
        ledger_conn_id: str = LedgerHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.hook, self.source, self.account = hook, hook.conn_type, account
        self.requests, self.ledger_conn_id = requests, ledger_conn_id

    async def aexecute(self, context: Context) -> dict[str, Any]:
        """Read the cursor and the connection, and note what it allows.

        :raises WrongCredentials: the connection cannot be used.
        """
        account = self.hook.read_account(self.account, await connection_of(self.account))
        every, quota = 60 * account.number("poll_minutes", self.hook.poll_minutes, 1), account.limits.quota
        pace = pace_of(quota) * self.requests
        async with open_engine(self.ledger_conn_id, connections=1) as engine, engine.begin() as ledger:
            text = await cursors.read(ledger, self.source, self.account)
            plan = {"pace": pace, **_moments(LastPoll.parse(text), every, pace)}
            await poll_plans.keep(ledger, self.source, self.account, PollPlan(plan["at"], pace, account.polling))
            await quotas.declare(ledger, self.account, account.limits)
        return plan | self.more(text)

    def more(self, cursor: str | None) -> dict[str, Any]:
        """Return what else a source's own sensor wants to know."""
        return {}


def _moments(last: LastPoll, every: float, pace: float) -> dict[str, Any]:
    """Return when to poll next and from when on news hastens that, each so many seconds after the last poll."""
    if last.polled_at is None:
        return {"at": 0.0, "not_before": 0.0, "seen": last.heeded}
    polled, resume = last.polled_at.timestamp(), last.resume_at.timestamp() if last.resume_at else 0.0
    apart = min(every, LEAST_APART_SECONDS * 2 ** min(last.failed, MOST_DOUBLED))
    at = max(polled + max(every, pace), resume)
    return {"at": at, "not_before": max(polled + max(apart, pace), resume), "seen": last.heeded}
