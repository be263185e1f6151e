"""Sensors: one look, then a deferral with absolute moments; and what becomes of each event."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException, TaskDeferred

from sensors.webinaris import WebinarChangedSensor, WebinarFinishedSensor, WebinarisSensor, WebinarStartedSensor
from tests.support.webinaris_account import KEY, WebinarisAccount, date, serving

STARTED = datetime(2026, 3, 24, 18, tzinfo=UTC)
CONTEXT: Any = {"dag_run": SimpleNamespace(start_date=STARTED)}


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebinarisAccount]:
    with serving() as served:
        monkeypatch.setenv("AIRFLOW_CONN_WEBINARIS_DEFAULT", served.connection())
        yield served


def deferred(sensor: WebinarisSensor) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute(CONTEXT)
    return caught.value


def test_a_moment_that_has_passed_needs_no_trigger(account: WebinarisAccount) -> None:
    begun = time.time() - 60
    account.dates(date(start=begun))
    result = WebinarStartedSensor(task_id="wait", date_id="d1").execute(CONTEXT)
    assert result == {"date_ids": ["d1"], "moment": datetime.fromtimestamp(begun, UTC).isoformat()}


def test_a_moment_to_come_is_waited_for_in_the_triggerer(account: WebinarisAccount) -> None:
    account.dates(date(start=time.time() - 60))
    sensor = WebinarFinishedSensor(
        task_id="wait", date_id="d1", minutes_after=10, poll_interval=5, timeout=timedelta(days=90)
    )
    pause = deferred(sensor)
    path, arguments = pause.trigger.serialize()
    assert path == "triggers.webinaris.WebinarMomentTrigger"
    assert time.time() < arguments.pop("not_before") <= time.time() + 5, "it is not read again at once"
    assert json.loads(json.dumps(arguments)) == {
        "webinaris_conn_id": "webinaris_default", "anchor": "end", "webinar_id": "", "date_id": "d1",
        "minutes_after": 10, "since": STARTED.timestamp(), "poll_interval": 5,
    }  # fmt: skip
    assert pause.timeout == timedelta(days=90)
    assert KEY not in json.dumps(arguments)
    assert callable(getattr(sensor, pause.method_name))


def test_the_wait_may_be_longer_than_airflows_seven_days() -> None:
    assert WebinarFinishedSensor(task_id="wait").timeout > 7 * 86400


def test_a_source_that_cannot_be_read_now_is_left_to_the_trigger(account: WebinarisAccount) -> None:
    account.answer("/api/assumed/dates", (503, ""))
    assert deferred(WebinarFinishedSensor(task_id="wait", date_id="d1")).method_name == "execute_complete"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [(403, "", "WrongCredentials"), (200, {"now": 1, "dates": []}, "UnknownDate")],
)
def test_an_error_that_a_retry_cannot_cure_ends_the_task(
    account: WebinarisAccount, status: int, body: Any, kind: str
) -> None:
    account.answer("/api/assumed/dates", (status, body))
    with pytest.raises(AirflowFailException, match=f"wait: waiting for Webinaris failed: {kind}"):
        WebinarFinishedSensor(task_id="wait", date_id="d1").execute(CONTEXT)


@pytest.mark.parametrize(("option", "error"), [("fail", AirflowFailException), ("skip", AirflowSkipException)])
def test_a_cancelled_date_fails_or_skips(account: WebinarisAccount, option: Any, error: type[Exception]) -> None:
    account.dates(date(start=time.time() + 60, status="cancelled"))
    with pytest.raises(error, match="'d1' was cancelled"):
        WebinarFinishedSensor(task_id="wait", date_id="d1", cancelled=option).execute(CONTEXT)


@pytest.mark.parametrize(
    "event", [None, "done", {}, {"status": "success"}, {"status": "odd", "date_ids": [], "moment": "x"}]
)
def test_an_event_that_cannot_be_read_is_an_error(event: Any) -> None:
    with pytest.raises(AirflowException, match="cannot be read"):
        WebinarFinishedSensor(task_id="wait").execute_complete(CONTEXT, event)


def test_other_error_events_may_be_retried() -> None:
    event = {"status": "error", "error_type": "Transient", "message": "webinaris_default: no answer"}
    with pytest.raises(AirflowException, match="Transient: webinaris_default: no answer") as caught:
        WebinarFinishedSensor(task_id="wait").execute_complete(CONTEXT, event)
    assert not isinstance(caught.value, AirflowFailException)


def test_a_wrong_option_is_named() -> None:
    with pytest.raises(ValueError, match="'ignore'"):
        WebinarFinishedSensor(task_id="wait", cancelled="ignore")  # type: ignore[arg-type]
    for interval in (0, -1):
        with pytest.raises(ValueError, match=f"poll_interval must be at least 1 seconds, not {interval}"):
            WebinarFinishedSensor(task_id="wait", poll_interval=interval)


def test_a_missing_connection_ends_the_task_and_says_what_to_do() -> None:
    with pytest.raises(AirflowFailException, match="WrongCredentials: nowhere.*create it under Admin"):
        WebinarFinishedSensor(task_id="wait", webinaris_conn_id="nowhere").execute(CONTEXT)


def test_connection_and_ids_are_templates() -> None:
    assert {"webinaris_conn_id", "webinar_id", "date_id"} <= set(WebinarFinishedSensor.template_fields)
    assert {"webinaris_conn_id", "since"} <= set(WebinarChangedSensor.template_fields)


def test_a_change_that_has_happened_is_returned(account: WebinarisAccount) -> None:
    account.dates(date(updated=6.5), date("d2", updated=7.5))
    assert WebinarChangedSensor(task_id="wait", since="6.5").execute(CONTEXT) == {"changed": 1, "cursor": 7.5}


def test_a_change_to_come_is_waited_for(account: WebinarisAccount) -> None:
    account.dates(date(updated=6.5))
    path, arguments = deferred(
        WebinarChangedSensor(task_id="wait", since=6.5, poll_interval=2, at_most=60)
    ).trigger.serialize()
    assert path == "triggers.webinaris.WebinarChangedTrigger"
    assert time.time() < arguments.pop("not_before") <= time.time() + 2
    assert arguments == {"webinaris_conn_id": "webinaris_default", "since": 6.5, "poll_interval": 2, "at_most": 60}


def test_a_cursor_that_is_no_number_is_named() -> None:
    with pytest.raises(AirflowFailException, match="since must be unix seconds, not 'yesterday'"):
        WebinarChangedSensor(task_id="wait", since="yesterday").execute(CONTEXT)
