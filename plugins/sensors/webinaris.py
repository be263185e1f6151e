"""Sensors for Webinaris: a webinar has started, has finished, or any date has changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from hooks.webinaris import WebinarisHook
from sensors.deferring import DeferringSensor, run_start
from triggers.webinaris import Anchor, WebinarChangedTrigger, WebinarMomentTrigger


class WebinarisSensor(DeferringSensor):
    """Looks once, then waits in the triggerer (see :class:`~sensors.deferring.DeferringSensor`).

    :param webinaris_conn_id: Airflow connection of type ``webinaris``.
    :param poll_interval: seconds between two reads of the source, at least 1.
    """

    template_fields: Sequence[str] = ("webinaris_conn_id",)
    vendor = "Webinaris"
    for_good = DeferringSensor.for_good | {"UnknownDate"}

    def __init__(
        self,
        *,
        webinaris_conn_id: str = WebinarisHook.default_conn_name,
        poll_interval: float = 30.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(poll_interval=poll_interval, **kwargs)
        self.webinaris_conn_id = webinaris_conn_id


class WebinarMomentSensor(WebinarisSensor):
    """Waits for the start or end of a webinar date; a date that moves is waited for at its new time.

    The XCom is ``{"date_ids": [...], "moment": ISO}``: the dates whose moment has passed, and the last of
    those moments. No contact data.

    :param webinar_id: wait for the next date of this webinar, counted from the start of the DAG run;
        empty and without ``date_id``: the next date of any webinar.
    :param date_id: wait for this date, also when its moment has passed already.
    :param minutes_after: elapsed minutes after the start or end.
    :param cancelled: what becomes of the task when the date ``date_id`` is cancelled.
    """

    template_fields = ("webinaris_conn_id", "webinar_id", "date_id")
    anchor: ClassVar[Anchor]

    def __init__(
        self,
        *,
        webinar_id: str = "",
        date_id: str = "",
        minutes_after: float = 0,
        cancelled: Literal["fail", "skip"] = "fail",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.webinar_id, self.date_id, self.minutes_after = webinar_id, date_id, minutes_after
        if cancelled not in ("fail", "skip"):
            raise ValueError(f"cancelled must be 'fail' or 'skip', not {cancelled!r}")
        self.cancelled = cancelled

    def trigger(self, context: Context) -> WebinarMomentTrigger:
        """Return the trigger that waits for the moment."""
        return WebinarMomentTrigger(
            self.webinaris_conn_id,
            self.anchor,
            self.webinar_id,
            self.date_id,
            self.minutes_after,
            run_start(context).timestamp(),
            self.poll_interval,
        )

    def result(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return ids and moment. :raises AirflowException: the event holds neither."""
        if event["status"] == "cancelled":
            kind = AirflowSkipException if self.cancelled == "skip" else AirflowFailException
            raise kind(f"{self.task_id}: the webinar date {self.date_id!r} was cancelled")
        date_ids, moment = event.get("date_ids"), event.get("moment")
        if event["status"] != "success" or not isinstance(date_ids, list) or not moment:
            raise self.unreadable()
        return {"date_ids": [str(date_id) for date_id in date_ids], "moment": str(moment)}


class WebinarFinishedSensor(WebinarMomentSensor):
    """Waits until a webinar date is over (see :class:`WebinarMomentSensor`)."""

    anchor = "end"


class WebinarStartedSensor(WebinarMomentSensor):
    """Waits until a webinar date has begun (see :class:`WebinarMomentSensor`)."""

    anchor = "start"


class WebinarChangedSensor(WebinarisSensor):
    """Waits until any webinar date was added, moved, cancelled or otherwise changed after a cursor.

    The XCom is ``{"changed": count, "cursor": unix seconds}``.

    :param since: the cursor: unix seconds, or a template that renders to them.
    :param at_most: seconds after which the wait ends without a change (``changed`` is 0), ``None`` for never.
    """

    template_fields: Sequence[str] = ("webinaris_conn_id", "since")

    def __init__(self, *, since: float | str = 0.0, at_most: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.since, self.at_most = since, at_most

    def trigger(self, context: Context) -> WebinarChangedTrigger:
        """Return the trigger that waits for a change."""
        return WebinarChangedTrigger(self.webinaris_conn_id, self._cursor(), self.poll_interval, self.at_most)

    def result(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return count and cursor. :raises AirflowException: the event does not hold them."""
        try:
            return {"changed": int(event["changed"]), "cursor": float(event["cursor"])}
        except (KeyError, TypeError, ValueError):
            raise self.unreadable() from None

    def _cursor(self) -> float:
        try:
            return float(self.since or 0.0)
        except ValueError:
            raise AirflowFailException(f"{self.task_id}: since must be unix seconds, not {self.since!r}") from None
