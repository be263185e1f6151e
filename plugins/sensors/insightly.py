"""Sensors for Insightly: an opportunity (Chance) or a project has come into a state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from handoff.spellings import folded
from hooks.insightly import InsightlyHook
from hooks.protocols.insightly_arrivals import states_of
from hooks.protocols.insightly_records import RecordKind
from sensors.deferring import DeferringSensor, run_start
from triggers.insightly import InsightlyStateTrigger

EARLIEST_YEAR = 1970


class InsightlySensor(DeferringSensor):
    """Waits until records have come into a state; one that is edited later does not count again.

    The XCom is ``{"records": ["opportunity/31", ...], "state": "won", "moment": ISO, "cursor": ISO}``: what came into
    one of the states, and state and moment (UTC) of the last one. Ids only, no names, no contact data. ``cursor`` is
    the ``since`` of a sensor that waits for what comes next.

    :param insightly_conn_id: Airflow connection of type ``insightly``.
    :param states: in any case; ``any`` for every change of state, being created included.
    :param tag: the record must have this tag, when it is read. :param without_tag: it must not have this one.
    :param record_id: wait for this record only.
    :param since: only what came into the state from this second on: ISO (UTC unless it names a zone) or unix seconds;
        default: the start of the DAG run. Far back, it takes a request for every 500 records that changed since.
    :param poll_interval: seconds between two reads, at least 60. A read takes one request where nothing changed.
    """

    template_fields: Sequence[str] = ("insightly_conn_id", "tag", "without_tag", "record_id", "since")
    vendor = "Insightly"
    for_good = DeferringSensor.for_good | {"UnknownRecord", "Refused", "Denied"}
    least_poll_seconds = 60.0
    kind: ClassVar[RecordKind]

    def __init__(
        self,
        *,
        states: str | Iterable[str],
        insightly_conn_id: str = InsightlyHook.default_conn_name,
        tag: str = "",
        without_tag: str = "",
        record_id: int | str | None = None,
        since: str | float | datetime | None = None,
        poll_interval: float = 3600.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(poll_interval=poll_interval, **kwargs)
        self.insightly_conn_id, self.tag, self.without_tag = insightly_conn_id, tag, without_tag
        self.record_id, self.since = record_id, since
        self.states = states_of(self.kind, states)

    def trigger(self, context: Context) -> InsightlyStateTrigger:
        """Return the trigger that reads what changed since then."""
        if folded(self.tag) and folded(self.tag) == folded(self.without_tag):
            raise AirflowFailException(f"{self.task_id}: tag and without_tag must not be the same")
        return InsightlyStateTrigger(
            self.insightly_conn_id,
            self.kind,
            sorted(self.states),
            self._since(context).isoformat(),
            self.tag.strip(),
            self.without_tag.strip(),
            self._record_id(),
            poll_interval=self.poll_interval,
        )

    def result(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return ids, state, moment and cursor. :raises AirflowException: the event does not hold them."""
        found = {name: event.get(name) for name in ("records", "state", "moment", "cursor")}
        if event["status"] != "success" or not isinstance(found["records"], list) or not all(found.values()):
            raise self.unreadable()
        return found

    def _since(self, context: Context) -> datetime:
        given = run_start(context) if self.since is None or self.since == "" else self.since
        try:
            moment = given if isinstance(given, datetime) else _moment_of(str(given).strip())
            if moment.year >= EARLIEST_YEAR:
                return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        except (ValueError, OverflowError, OSError):
            pass  # said below
        words = f"since must be a time like 2026-03-02T14:22:05Z, or unix seconds, not {self.since!r}"
        raise AirflowFailException(f"{self.task_id}: {words}")

    def _record_id(self) -> int | None:
        text = "" if self.record_id is None else str(self.record_id).strip()
        if text and not (text.isascii() and text.isdecimal() and int(text)):
            raise AirflowFailException(f"{self.task_id}: record_id must be Insightly's number, not {self.record_id!r}")
        return int(text) if text else None


class InsightlyOpportunitySensor(InsightlySensor):
    """Waits until an opportunity (Chance) was won, or came into another state (see :class:`InsightlySensor`).

    :param states: ``open``, ``won``, ``lost``, ``abandoned``, ``suspended`` or ``any``. When it came into the state it
        is in is read in its history, one request for each that changed; so ``any`` takes one for every edit.
    """

    kind = "opportunity"

    def __init__(self, *, states: str | Iterable[str] = ("won",), **kwargs: Any) -> None:
        super().__init__(states=states, **kwargs)


class InsightlyProjectSensor(InsightlySensor):
    """Waits until a project was completed, or came into another state (see :class:`InsightlySensor`).

    Insightly keeps no history of projects. A completed one counts when it changed after ``since`` and the day of its
    completion is not before that of ``since``, in the zone in which ``since`` is written. So one that was completed
    on that day but earlier, and edited later, counts too; and one in any other state, for which there is no day,
    counts by any edit. The moment is that of the record's last change.

    :param states: ``not started``, ``in progress``, ``deferred``, ``cancelled``, ``abandoned``, ``completed``, ``any``.
    """

    kind = "project"

    def __init__(self, *, states: str | Iterable[str] = ("completed",), **kwargs: Any) -> None:
        super().__init__(states=states, **kwargs)


def _moment_of(text: str) -> datetime:
    try:
        return datetime.fromtimestamp(float(text), UTC)
    except ValueError:
        return datetime.fromisoformat(text)
