"""eTermin's sensor and its trigger: what they look for, what they tell, and what becomes of each event."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred

from sensors.etermin import ETerminAppointmentSensor
from tests.support.etermin_account import NOW, PRIVATE, ETerminAccount, gone, row, serving
from triggers.etermin import ETerminAppointmentTrigger

STARTED = NOW - timedelta(hours=2)
CONTEXT: Any = {"dag_run": SimpleNamespace(start_date=STARTED)}
OLD = {"CreationDate": "2026-05-01T08:00:00"}
EVENT = {
    "status": "success", "appointments": ["uid-1"], "event": "created", "moment": "2026-05-10T06:00:00+00:00",
    "cursor": "7@2026-05-10T06:59:59+00:00",
}  # fmt: skip


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[ETerminAccount]:
    with serving() as served:
        monkeypatch.setenv("AIRFLOW_CONN_ETERMIN_DEFAULT", served.values())
        monkeypatch.setattr("hooks.metered.Meter.__call__", turn)
        served.feed(row(), row("old", **OLD))
        yield served


async def turn(_: Any) -> None:
    """Let a request leave without a ledger to count it in."""


def a_sensor(**more: Any) -> ETerminAppointmentSensor:
    return ETerminAppointmentSensor(task_id="wait", **more)


def deferred(sensor: ETerminAppointmentSensor) -> ETerminAppointmentTrigger:
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute(CONTEXT)
    return caught.value.trigger  # type: ignore[return-value]


def hasty(trigger: ETerminAppointmentTrigger) -> ETerminAppointmentTrigger:
    """Let the trigger read at once again."""
    trigger.poll_interval, trigger.not_before = 0.01, 0.0
    return trigger


async def event_of(trigger: ETerminAppointmentTrigger) -> dict[str, Any]:
    async with asyncio.timeout(20):
        return [event.payload async for event in trigger.run()][0]


def test_what_was_booked_since_needs_no_trigger_and_ids_are_all_that_is_told(account: ETerminAccount) -> None:
    found = a_sensor().execute(CONTEXT)
    token, _, moment = found.pop("cursor").partition("@")
    assert (token, moment[:16]) in {("7", "2026-05-10T06:59"), ("7", "2026-05-10T07:00")}
    assert found == {"appointments": ["uid-1"], "event": "created", "moment": "2026-05-10T06:00:00+00:00"}
    assert account.queries("/appointmentdeleted") == []


@pytest.mark.parametrize("since", ["2026-05-10T06:30:00Z", "2026-05-10T08:30:00+02:00", "2026-05-10T06:30:00"])
def test_what_was_booked_before_since_is_waited_out(account: ETerminAccount, since: str) -> None:
    trigger = deferred(a_sensor(since=since, calendar=" Beratung ", events=["Created", "deleted"]))
    path, arguments = trigger.serialize()
    assert path == "triggers.etermin.ETerminAppointmentTrigger"
    assert time.time() + 200 < arguments["not_before"] <= time.time() + 300
    assert json.loads(json.dumps(arguments)) | {"since": "", "not_before": 0} == {
        "etermin_conn_id": "etermin_default", "events": ["created", "deleted"], "since": "", "calendar": "Beratung",
        "token": "7", "poll_interval": 300.0, "not_before": 0,
    }  # fmt: skip
    assert arguments["since"].startswith(since[:13])
    assert ETerminAppointmentTrigger(**json.loads(json.dumps(arguments))).serialize() == (path, arguments)
    assert PRIVATE not in json.dumps(arguments)


@pytest.mark.parametrize(("calendar", "found"), [("90709", True), ("Beratung", True), ("", True), ("Sport", False)])
def test_one_calendar_by_id_or_name(account: ETerminAccount, calendar: str, found: bool) -> None:
    if found:
        assert a_sensor(calendar=calendar).execute(CONTEXT)["appointments"] == ["uid-1"]
    else:
        deferred(a_sensor(calendar=calendar))


def test_a_deletion_since(account: ETerminAccount) -> None:
    account.answer("/appointmentdeleted", (200, [gone("early", TimeStamp="2026-05-10T06:00:00"), gone("uid-9")]))
    found = a_sensor(events="deleted").execute(CONTEXT)
    assert (found["appointments"], found["event"]) == (["uid-9"], "deleted")
    assert found["moment"] == "2026-05-10T06:30:00+00:00"


@pytest.mark.parametrize(
    ("since", "at", "told"),
    [
        ("00:40", "02:20", ["2026-10-25T01:20:00+00:00"]),
        ("00:10", "02:25", ["2026-10-25T00:25:00+00:00"]),
        ("00:40", "02:25", []),
        ("01:21", "02:20", []),
    ],
)
def test_in_the_doubled_hour_a_deletion_is_told(account: ETerminAccount, since: str, at: str, told: list[str]) -> None:
    # In Berlin it is twenty past two for the second time; five minutes later it was so once, an hour ago.
    account.now = datetime(2026, 10, 25, 1, 20, 30, tzinfo=UTC)
    account.answer("/appointmentdeleted", (200, [gone("uid-9", TimeStamp=f"2026-10-25T{at}:00")]))
    sensor = a_sensor(events="deleted", since=f"2026-10-25T{since}:00Z")
    if told:
        assert [sensor.execute(CONTEXT)["moment"]] == told
    else:
        deferred(sensor)


async def test_the_trigger_goes_on_with_the_token_and_tells_a_change_from_a_booking(account: ETerminAccount) -> None:
    trigger = hasty(await asyncio.to_thread(deferred, a_sensor(events=("modified",))))
    account.answer("/appointmentsync", (200, [], "8"), (502, None), (200, [row("new"), row("old", **OLD)], "9"))
    event = await event_of(trigger)
    assert (event["appointments"], event["event"], event["status"]) == (["old"], "modified", "success")
    assert event["cursor"].startswith("9@")
    assert [query["synctoken"] for query in account.queries("/appointmentsync")] == ["1", "7", "8", "8"]


async def test_the_next_sensor_begins_where_the_last_one_ended(account: ETerminAccount) -> None:
    cursor = (await asyncio.to_thread(a_sensor().execute, CONTEXT))["cursor"]
    account.feed(token="8")
    trigger = hasty(await asyncio.to_thread(deferred, a_sensor(cursor=cursor)))
    account.feed(row("uid-2", CreationDate="2026-05-10T09:10:00"), token="9")
    assert (await event_of(trigger))["appointments"] == ["uid-2"]
    assert [query["synctoken"] for query in account.queries("/appointmentsync")] == ["1", "7", "8"]


def test_what_cannot_be_read_now_is_left_to_the_trigger(account: ETerminAccount) -> None:
    account.answer("/appointmentsync", (503, None))
    assert deferred(a_sensor()).serialize()[1]["token"] == ""


@pytest.mark.parametrize(
    ("answer", "kind"),
    [((401, {}), "WrongCredentials"), ((200, {"Status": "9", "StatusMsg": "no"}), "Declined"), ((400, {}), "Denied")],
)
def test_an_error_that_a_retry_cannot_cure_ends_the_task(account: ETerminAccount, answer: Any, kind: str) -> None:
    account.answer("/appointmentsync", answer)
    with pytest.raises(AirflowFailException, match=f"wait: waiting for eTermin failed: {kind}") as caught:
        a_sensor().execute(CONTEXT)
    assert PRIVATE not in str(caught.value)


def test_wrong_options_are_named() -> None:
    with pytest.raises(ValueError, match=r"events are created, modified, deleted; not 'moved'"):
        a_sensor(events=["moved"])
    with pytest.raises(ValueError, match="not nothing"):
        a_sensor(events=[])
    with pytest.raises(ValueError, match="poll_interval must be at least 10 seconds, not 9"):
        a_sensor(poll_interval=9)
    with pytest.raises(AirflowFailException, match="wait: since must be a time like .*, not 'soon'"):
        a_sensor(since="soon").execute(CONTEXT)
    for cursor in ("7", "7@", "7@2026-05-10T10:00:00"):
        with pytest.raises(AirflowFailException, match="cursor must be the cursor of another"):
            a_sensor(cursor=cursor).execute(CONTEXT)


@pytest.mark.parametrize(
    "event",
    [None, "done", {}, EVENT | {"appointments": []}, EVENT | {"appointments": "uid-1"}, EVENT | {"status": "odd"}]
    + [{name: value for name, value in EVENT.items() if name != missing} for missing in EVENT],
)
def test_an_event_that_cannot_be_read_is_an_error(event: Any) -> None:
    with pytest.raises(AirflowException, match="cannot be read"):
        a_sensor().execute_complete(CONTEXT, event)
    assert a_sensor().execute_complete(CONTEXT, EVENT)["appointments"] == ["uid-1"]


def test_connection_calendar_since_and_cursor_are_templates() -> None:
    assert set(ETerminAppointmentSensor.template_fields) == {"etermin_conn_id", "calendar", "since", "cursor"}


def test_a_deletion_without_a_time_is_named_and_not_told(
    account: ETerminAccount, caplog: pytest.LogCaptureFixture
) -> None:
    account.answer("/appointmentdeleted", (200, [gone("uid-8", TimeStamp="?"), gone("uid-9")]))
    assert a_sensor(events="deleted").execute(CONTEXT)["appointments"] == ["uid-9"]
    assert "uid-8: when it was deleted cannot be read" in caplog.text
