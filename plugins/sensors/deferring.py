"""What the sensors of all sources share: they look once, then wait in the triggerer."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from airflow.sdk import BaseSensorOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from triggers.polling import PollingTrigger


class DeferringSensor(BaseSensorOperator):
    """Looks once, then waits in the triggerer.

    Each look, the first one too, is one of the trigger's: spaced and counted with all that the account does.

    :param poll_interval: seconds between two reads of the source, at least :attr:`least_poll_seconds`.
    :param timeout: how long to wait at most; Airflow's own default would end a wait after seven days.
    """

    ui_color = "#e3f0fb"
    vendor: ClassVar[str]
    """The source's name, for messages."""
    for_good: ClassVar[frozenset[str]] = frozenset({"WrongCredentials", "AirflowNotFoundException"})
    """Errors that repeating the task cannot cure."""
    least_poll_seconds: ClassVar[float] = 1.0

    def __init__(self, *, poll_interval: float, timeout: timedelta | float = timedelta(days=30), **kwargs: Any) -> None:
        super().__init__(timeout=timeout, **kwargs)
        least = self.least_poll_seconds
        if poll_interval < least:
            raise ValueError(f"poll_interval must be at least {least:.0f} seconds, not {poll_interval:g}")
        self.poll_interval = poll_interval

    @abstractmethod
    def trigger(self, context: Context) -> PollingTrigger:
        """Return the trigger that waits for the event."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Return at once when there is nothing to wait for, else defer."""
        trigger = self.trigger(context)
        event = asyncio.run(trigger.first_look())
        if event is None:
            self.defer(trigger=trigger, method_name="execute_complete", timeout=timedelta(seconds=self.timeout))
        return self.execute_complete(context, event)

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Check what the trigger reported and return it without its status.

        :raises AirflowFailException: for errors that a retry cannot cure. :raises AirflowException: for others.
        """
        if not isinstance(event, Mapping) or "status" not in event:
            raise self.unreadable()
        if event["status"] == "error":
            kind = str(event.get("error_type"))
            failure = AirflowFailException if kind in self.for_good else AirflowException
            raise failure(f"{self.task_id}: waiting for {self.vendor} failed: {kind}: {event.get('message')}")
        return self.result(event)

    @abstractmethod
    def result(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return the XCom for an event that is no error."""

    def unreadable(self) -> AirflowException:
        """Return the error for an event that does not hold what it should."""
        return AirflowException(f"{self.task_id}: the trigger's event cannot be read")


def run_start(context: Context) -> datetime:
    """Return when the DAG run began (aware)."""
    return context["dag_run"].start_date or datetime.now(UTC)
