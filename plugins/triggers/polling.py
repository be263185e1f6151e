"""Waiting by reading a source again and again: once in the task, and then in the triggerer."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import abstractmethod
from collections.abc import AsyncIterator
from typing import Any, ClassVar

from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError
from airflow.triggers.base import BaseTrigger, TriggerEvent
from sqlalchemy.exc import SQLAlchemyError

from handoff.errors import HandoffError, QuotaUsedUp, RateLimited, Transient

log = logging.getLogger(__name__)

PATIENCE = 5
"""Polls in a row that may fail; a wait of days should not end by one dropped connection."""
RETRY_SECONDS = 60.0
"""Where polls are further apart than this, the first retry comes so soon, and each further one after twice as long."""

MOST_DOUBLINGS = 10
"""Where many failures are waited out, twice as long each time would soon be no number of seconds any more."""

Event = dict[str, Any]
PASSING = (Transient, RateLimited, SQLAlchemyError, AirflowRuntimeError)
"""Failures that pass by themselves."""


class PollingTrigger(BaseTrigger):
    """Waits for one event; every failure becomes an error event.

    Error events are ``{"status": "error", "error_type": ..., "message": ...}``. Failed reads are waited out
    for as long as :data:`PATIENCE` polls take, a day whose requests are used up until it is over.

    :param poll_interval: seconds between two reads.
    :param not_before: unix seconds; a task has looked already, and this is when to look again.
    :ivar pace_seconds: reads are at least so far apart, for the day's requests to last; :meth:`look` notes it.
    """

    least_patience_seconds: ClassVar[float] = 0.0
    """How long failing reads are waited out even where :data:`PATIENCE` polls take less."""

    def __init__(self, poll_interval: float, not_before: float = 0.0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.poll_interval, self.not_before, self.pace_seconds = poll_interval, not_before, 0.0

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and arguments, plain JSON without secrets."""
        always = {"poll_interval": self.poll_interval, "not_before": self.not_before}
        return f"{type(self).__module__}.{type(self).__qualname__}", self.arguments() | always

    @abstractmethod
    def arguments(self) -> dict[str, Any]:
        """Return the arguments of its own to build this trigger again, as far as it has looked."""

    @abstractmethod
    async def look(self) -> tuple[Event | None, float]:
        """Read once. Returns the event, or ``None``, and the seconds until the next read."""

    async def first_look(self) -> Event | None:
        """Look once, and note when to look again; what passes by itself is left to the wait.

        :raises Exception: what is not raised on purpose.
        """
        try:
            event, pause = await self.look()
        except PASSING as error:
            event, pause = None, self._rest(error, 1)
            log.warning("reading failed: %s", _words(error))
        except (HandoffError, AirflowException) as error:
            return error_event(error)
        self.not_before = time.time() + max(pause, self.pace_seconds)
        return event

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event."""
        try:
            if (left := self.not_before - time.time()) > 0:
                await asyncio.sleep(left)
            event = await self._wait()
        except Exception as error:
            event = error_event(error)
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    async def _wait(self) -> Event:
        """Look until there is an event, and return it. :raises Exception: what :meth:`look` raises for good."""
        failures, began = 0, time.monotonic()
        while True:
            try:
                event, pause = await self.look()
                failures = 0
            except QuotaUsedUp as error:
                event, pause = None, error.retry_after or self.poll_interval
                log.warning("%s", error)
            except PASSING as error:
                failures, began = failures + 1, began if failures else time.monotonic()
                if failures >= PATIENCE and time.monotonic() - began >= self._patience():
                    raise
                event, pause = None, self._rest(error, failures)
                log.warning("reading failed, %d in a row: %s", failures, _words(error))
            if event is not None:
                return event
            await asyncio.sleep(max(pause, self.pace_seconds))

    def _patience(self) -> float:
        return max((PATIENCE - 1) * self.poll_interval, self.least_patience_seconds)

    def _rest(self, error: Exception, failures: int) -> float:
        """Return the seconds until the next read after so many failed ones."""
        soon = min(self.poll_interval, RETRY_SECONDS * 2 ** min(failures - 1, MOST_DOUBLINGS))
        return max(soon, getattr(error, "retry_after", None) or 0.0)


def error_event(error: Exception) -> Event:
    """Return the event that tells a task of an error; what others than we raise may quote secrets and is not told."""
    words = str(error) if isinstance(error, HandoffError | AirflowException) else ""
    return {"status": "error", "error_type": type(error).__name__, "message": words}


def _words(error: Exception) -> str:
    return error_event(error)["message"] or type(error).__name__
