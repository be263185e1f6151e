"""Sensor for eTermin: an appointment was booked, changed or deleted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from hooks.etermin import ETerminHook
from hooks.protocols.etermin_arrivals import events_of, token_and_moment
from sensors.deferring import DeferringSensor, run_start
from triggers.etermin import ETerminAppointmentTrigger


class ETerminAppointmentSensor(DeferringSensor):
    """Waits until appointments were booked, changed or deleted.

    The XCom is ``{"appointments": [ids], "event": "created", "moment": ISO, "cursor": text}``: the ids of those to
    which it happened, and what happened last and when (UTC). Ids only, no names, no contact data.

    :param etermin_conn_id: Airflow connection of type ``etermin``.
    :param events: one or more of ``created`` (Neu erstellt), ``modified`` (bearbeitet) and ``deleted`` (gelöscht).
    :param calendar: id or name of a calendar (Kalender); empty: all, also future ones.
    :param since: only what was booked or deleted from this second on: ISO (UTC unless it names a zone); default: the
        start of the DAG run.
    :param cursor: the ``cursor`` of a sensor before this one, instead of ``since``: what came after it counts. Without
        it the first look reads all appointments once, and changes count only after that.
    :param poll_interval: seconds between two reads, at least 10. A read takes one request, with ``deleted`` two.
    """

    template_fields: Sequence[str] = ("etermin_conn_id", "calendar", "since", "cursor")
    vendor = "eTermin"
    for_good = DeferringSensor.for_good | {"Refused", "Denied", "Declined"}
    least_poll_seconds = 10.0

    def __init__(
        self,
        *,
        events: str | Iterable[str] = ("created",),
        etermin_conn_id: str = ETerminHook.default_conn_name,
        calendar: str = "",
        since: str | datetime | None = None,
        cursor: str = "",
        poll_interval: float = 300.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(poll_interval=poll_interval, **kwargs)
        self.etermin_conn_id, self.calendar, self.since, self.cursor = etermin_conn_id, calendar, since, cursor
        self.events = events_of(events)

    def trigger(self, context: Context) -> ETerminAppointmentTrigger:
        """Return the trigger that reads what happened since then."""
        token, since = self._begin(context)
        events, calendar = sorted(self.events), self.calendar.strip()
        conn_id, interval = self.etermin_conn_id, self.poll_interval
        return ETerminAppointmentTrigger(conn_id, events, since.isoformat(), calendar, token, interval)

    def result(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return ids, event, moment and cursor. :raises AirflowException: the event does not hold them."""
        found = {name: event.get(name) for name in ("appointments", "event", "moment", "cursor")}
        if event["status"] != "success" or not isinstance(found["appointments"], list) or not all(found.values()):
            raise self.unreadable()
        return found

    def _begin(self, context: Context) -> tuple[str, datetime]:
        try:
            return token_and_moment(self.cursor) if self.cursor.strip() else ("", self._since(context))
        except ValueError:
            words = "cursor must be the cursor of another eTermin sensor's XCom"
        raise AirflowFailException(f"{self.task_id}: {words}")

    def _since(self, context: Context) -> datetime:
        if self.since is None or self.since == "":
            return run_start(context)
        try:
            given = self.since if isinstance(self.since, datetime) else datetime.fromisoformat(str(self.since).strip())
        except ValueError:
            words = f"since must be a time like 2026-05-10T10:00:00Z, not {self.since!r}"
        else:
            return given if given.tzinfo else given.replace(tzinfo=UTC)
        raise AirflowFailException(f"{self.task_id}: {words}")
