"""Insightly's sensors: what they look for, what they hand to the trigger, and what becomes of each event."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred

from sensors.insightly import InsightlyOpportunitySensor, InsightlyProjectSensor, InsightlySensor
from tests.support.webinaris_account import KEY, WebinarisAccount, serving
from triggers.insightly import InsightlyStateTrigger

STARTED = datetime(2026, 3, 2, 12, 0, 0, 500_000, tzinfo=UTC)
CONTEXT: Any = {"dag_run": SimpleNamespace(start_date=STARTED)}
SEARCH, HISTORY = "/v3.1/Opportunities/Search", "/v3.1/Opportunities/31/StateHistory"
WON = {
    "OPPORTUNITY_ID": 31, "OPPORTUNITY_NAME": "Relaunch Meier", "OPPORTUNITY_STATE": "WON",
    "DATE_CREATED_UTC": "2026-01-10 08:00:11", "DATE_UPDATED_UTC": "2026-03-02 14:22:05",
    "TAGS": [{"TAG_NAME": "Süd"}], "LINKS": [{"LINK_OBJECT_NAME": "Contact", "LINK_OBJECT_ID": 55}],
}  # fmt: skip
EVENT = {
    "status": "success", "records": ["opportunity/31"], "state": "won", "moment": "2026-03-02T14:22:05+00:00",
    "cursor": "2026-03-02T14:22:06+00:00",
}  # fmt: skip


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebinarisAccount]:
    with serving() as served:
        values = {"conn_type": "insightly", "host": served.url, "password": KEY, "extra": {"timeout": 2}}
        monkeypatch.setenv("AIRFLOW_CONN_INSIGHTLY_DEFAULT", json.dumps(values))
        monkeypatch.setattr("hooks.metered.Meter.__call__", turn)
        served.answer(SEARCH, (200, [WON]))
        served.answer(HISTORY, (200, [{"FOR_OPPORTUNITY_STATE": "WON", "DATE_CHANGED_UTC": "2026-03-02 14:22:05"}]))
        yield served


async def turn(_: Any) -> None:
    """Let a request leave without a ledger to count it in."""


def deferred(sensor: InsightlySensor) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute(CONTEXT)
    return caught.value


def test_what_has_happened_needs_no_trigger_and_ids_are_all_that_is_told(account: WebinarisAccount) -> None:
    found = InsightlyOpportunitySensor(task_id="wait").execute(CONTEXT)
    assert found == {name: value for name, value in EVENT.items() if name != "status"}
    assert [path for _, path, _, _ in account.asked] == [SEARCH, HISTORY]
    assert account.queries(SEARCH)[0]["updated_after_utc"] == "2026-03-02T11:59:59Z"


def test_what_is_to_come_is_waited_for_in_the_triggerer_from_where_was_looked(account: WebinarisAccount) -> None:
    account.answer(HISTORY, (200, [{"FOR_OPPORTUNITY_STATE": "WON", "DATE_CHANGED_UTC": "2026-02-02 14:22:05"}]))
    sensor = InsightlyOpportunitySensor(
        task_id="wait", states=("won", "Lost"), tag=" süd ", without_tag="Nord", timeout=timedelta(days=90)
    )
    pause = deferred(sensor)
    path, arguments = pause.trigger.serialize()
    assert path == "triggers.insightly.InsightlyStateTrigger"
    assert time.time() + 3500 < arguments["not_before"] <= time.time() + 3600
    assert json.loads(json.dumps(arguments)) | {"not_before": 0} == {
        "insightly_conn_id": "insightly_default", "kind": "opportunity", "states": ["LOST", "WON"],
        "since": STARTED.isoformat(), "tag": "süd", "without_tag": "Nord", "record_id": None,
        "cursor": "2026-03-02T14:22:06+00:00", "poll_interval": 3600.0, "not_before": 0,
    }  # fmt: skip
    assert InsightlyStateTrigger(**json.loads(json.dumps(arguments))).serialize() == (path, arguments)
    assert pause.timeout == timedelta(days=90)
    assert KEY not in json.dumps(arguments)
    assert callable(getattr(sensor, pause.method_name))


def test_what_happened_in_a_second_that_may_bring_more_is_left_to_the_trigger(account: WebinarisAccount) -> None:
    later = "2999-03-02 14:22:05"
    account.answer(SEARCH, (200, [WON | {"DATE_UPDATED_UTC": later}]))
    account.answer(HISTORY, (200, [{"FOR_OPPORTUNITY_STATE": "WON", "DATE_CHANGED_UTC": later}]))
    trigger = deferred(InsightlyOpportunitySensor(task_id="wait")).trigger
    assert trigger.serialize()[1]["cursor"] == STARTED.replace(microsecond=0).isoformat()


def test_the_wait_may_be_longer_than_airflows_seven_days() -> None:
    assert InsightlyProjectSensor(task_id="wait").timeout > 7 * 86400


def test_projects_are_waited_for_by_their_own_states(account: WebinarisAccount) -> None:
    account.answer("/v3.1/Projects/Search", (200, []))
    arguments = deferred(InsightlyProjectSensor(task_id="wait")).trigger.serialize()[1]
    assert (arguments["kind"], arguments["states"]) == ("project", ["COMPLETED"])
    arguments = deferred(InsightlyProjectSensor(task_id="wait", states="any")).trigger.serialize()[1]
    assert arguments["states"] == []


@pytest.mark.parametrize(
    ("since", "read"),
    [
        ("2026-03-02T14:00:00Z", "2026-03-02T14:00:00+00:00"),
        ("2026-03-02T14:00:00+01:00", "2026-03-02T14:00:00+01:00"),
        ("2026-03-02", "2026-03-02T00:00:00+00:00"),
        ("1772460000", "2026-03-02T14:00:00+00:00"),
        (1772460000.5, "2026-03-02T14:00:00.500000+00:00"),
        (0, "1970-01-01T00:00:00+00:00"),
        (STARTED, STARTED.isoformat()),
        ("", STARTED.isoformat()),
        (None, STARTED.isoformat()),
    ],
)
def test_since_is_iso_or_unix_seconds(account: WebinarisAccount, since: Any, read: str) -> None:
    account.answer(SEARCH, (200, []))
    arguments = deferred(InsightlyOpportunitySensor(task_id="wait", since=since)).trigger.serialize()[1]
    assert arguments["since"] == read


@pytest.mark.parametrize("since", ["yesterday", "inf", "nan", "1e30", "0001-01-01", "-9e9"])
def test_a_since_that_is_no_time_is_named(since: str) -> None:
    with pytest.raises(AirflowFailException, match=r"wait: since must be a time like 2026.*unix seconds, not '"):
        InsightlyOpportunitySensor(task_id="wait", since=since).execute(CONTEXT)


@pytest.mark.parametrize("number", ["opportunity/31", "-1", "0", "3.5"])
def test_a_record_id_that_is_none_is_named(number: str) -> None:
    with pytest.raises(AirflowFailException, match="record_id must be Insightly's number"):
        InsightlyOpportunitySensor(task_id="wait", record_id=number).execute(CONTEXT)


def test_a_tag_that_must_be_there_and_must_not_is_an_error() -> None:
    with pytest.raises(AirflowFailException, match="tag and without_tag"):
        InsightlyOpportunitySensor(task_id="wait", tag="Süd", without_tag="SÜD ").execute(CONTEXT)


def test_wrong_options_are_named_when_the_dag_is_read() -> None:
    with pytest.raises(ValueError, match=r"states for opportunity records are open, won, .*; not 'completed'"):
        InsightlyOpportunitySensor(task_id="wait", states=["Completed"])
    with pytest.raises(ValueError, match="poll_interval must be at least 60 seconds, not 59"):
        InsightlyOpportunitySensor(task_id="wait", poll_interval=59)
    assert InsightlyOpportunitySensor(task_id="wait", poll_interval=60).poll_interval == 60


def test_one_record_is_read_by_its_id(account: WebinarisAccount) -> None:
    account.answer("/v3.1/Opportunities/31", (200, WON))
    found = InsightlyOpportunitySensor(task_id="wait", record_id=" 31 ").execute(CONTEXT)
    assert found["records"] == ["opportunity/31"]
    assert [path for _, path, _, _ in account.asked] == ["/v3.1/Opportunities/31", HISTORY]


@pytest.mark.parametrize(("status", "body"), [(503, ""), (429, {"Message": "slow down"})])
def test_a_source_that_cannot_be_read_now_is_left_to_the_trigger(
    account: WebinarisAccount, status: int, body: Any
) -> None:
    account.answer(SEARCH, (status, body))
    pause = deferred(InsightlyOpportunitySensor(task_id="wait"))
    assert pause.trigger.serialize()[1]["cursor"] == STARTED.replace(microsecond=0).isoformat()


@pytest.mark.parametrize(
    ("option", "status", "kind"),
    [({}, 401, "WrongCredentials"), ({"record_id": 31}, 404, "UnknownRecord"), ({}, 403, "Denied")],
)
def test_an_error_that_a_retry_cannot_cure_ends_the_task(
    account: WebinarisAccount, option: Any, status: int, kind: str
) -> None:
    for path in (SEARCH, "/v3.1/Opportunities/31"):
        account.answer(path, (status, {"Message": "no"}))
    with pytest.raises(AirflowFailException, match=f"wait: waiting for Insightly failed: {kind}") as caught:
        InsightlyOpportunitySensor(task_id="wait", **option).execute(CONTEXT)
    assert KEY not in str(caught.value)


def test_other_error_events_may_be_retried() -> None:
    event = {"status": "error", "error_type": "Transient", "message": "insightly_default: no answer"}
    with pytest.raises(AirflowException, match="Transient: insightly_default: no answer") as caught:
        InsightlyOpportunitySensor(task_id="wait").execute_complete(CONTEXT, event)
    assert not isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize(
    "event",
    [None, "done", {}, EVENT | {"records": []}, EVENT | {"records": "opportunity/31"}, EVENT | {"status": "odd"}]
    + [{name: value for name, value in EVENT.items() if name != missing} for missing in EVENT],
)
def test_an_event_that_cannot_be_read_is_an_error(event: Any) -> None:
    with pytest.raises(AirflowException, match="cannot be read"):
        InsightlyOpportunitySensor(task_id="wait").execute_complete(CONTEXT, event)


def test_connection_tags_record_and_since_are_templates() -> None:
    for kind in (InsightlyOpportunitySensor, InsightlyProjectSensor):
        assert {"insightly_conn_id", "tag", "without_tag", "record_id", "since"} == set(kind.template_fields)
