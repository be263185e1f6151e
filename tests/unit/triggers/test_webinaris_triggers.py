"""Waiting in the triggerer: for a moment that may move or be cancelled, and for a change."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.webinaris_account import CONN_ID, KEY, WebinarisAccount, date, serving
from triggers import webinaris
from triggers.polling import PATIENCE
from triggers.webinaris import WebinarChangedTrigger, WebinarisTrigger, WebinarMomentTrigger


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebinarisAccount]:
    with serving() as served:
        monkeypatch.setenv("AIRFLOW_CONN_WEBINARIS_DEFAULT", served.connection())
        yield served


async def event_of(trigger: WebinarisTrigger) -> dict[str, Any]:
    async with asyncio.timeout(5):
        return [event.payload async for event in trigger.run()][0]


def listing(*dates: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return 200, {"now": 0.0, "dates": list(dates)}


def waiting_for(**more: Any) -> WebinarMomentTrigger:
    return WebinarMomentTrigger(CONN_ID, "end", **{"date_id": "d1", "poll_interval": 0.05, **more})


@pytest.mark.parametrize(
    "trigger",
    [
        WebinarMomentTrigger(CONN_ID, "start", "7167W1", "d1", 1.5, 10.0, 5.0),
        WebinarChangedTrigger(CONN_ID, 7.5, 5.0, 60.0),
    ],
)
def test_a_trigger_survives_a_restart_as_plain_json(trigger: WebinarisTrigger) -> None:
    path, arguments = trigger.serialize()
    again = getattr(webinaris, path.removeprefix("triggers.webinaris."))(**json.loads(json.dumps(arguments)))
    assert again.serialize() == (path, arguments)
    assert CONN_ID in arguments.values()


async def test_it_fires_when_the_moment_comes_and_not_before(account: WebinarisAccount) -> None:
    end = time.time() + 0.4
    account.dates(date(start=end - 3600))
    event = await event_of(waiting_for(poll_interval=30.0))
    late = time.time() - end
    assert event == {"status": "success", "date_ids": ["d1"], "moment": datetime.fromtimestamp(end, UTC).isoformat()}
    assert 0 <= late < 2


async def test_minutes_after_count_from_the_anchor(account: WebinarisAccount) -> None:
    account.dates(date(start=time.time() - 3600 - 59.7))
    began = time.monotonic()
    await event_of(waiting_for(minutes_after=1, poll_interval=30.0))
    assert 0.2 < time.monotonic() - began < 3


async def test_a_date_that_moves_is_waited_for_at_its_new_time(account: WebinarisAccount) -> None:
    end = time.time() + 0.2
    account.answer("/api/assumed/dates", listing(date(start=end - 3600)), listing(date(start=end - 3600 + 0.3)))
    event = await event_of(waiting_for())
    assert event["moment"] == datetime.fromtimestamp(end - 3600 + 0.3 + 3600, UTC).isoformat()
    assert time.time() >= end + 0.3


async def test_a_cancelled_date_is_told(account: WebinarisAccount) -> None:
    coming = date(start=time.time() + 60)
    account.answer("/api/assumed/dates", listing(coming), listing({**coming, "status": "cancelled"}))
    assert await event_of(waiting_for()) == {"status": "cancelled", "date_ids": ["d1"]}


async def test_any_date_of_a_webinar_since_the_run_began(account: WebinarisAccount) -> None:
    now = time.time()
    account.dates(
        date("old", start=now - 9000),
        date("other", start=now - 3601, webinar_id="9W9"),
        date("off", start=now - 3601, status="cancelled"),
        date("now", start=now - 3601),
        date("next", start=now + 60),
    )
    event = await event_of(waiting_for(date_id="", webinar_id="7167W1", since=now - 10))
    assert event["date_ids"] == ["now"]
    assert account.queries("/api/assumed/dates")[0]["webinar_id"] == "7167W1"


async def test_failed_reads_are_waited_out(account: WebinarisAccount) -> None:
    past = date(start=time.time() - 7200)
    account.answer("/api/assumed/dates", (503, ""), (200, "<html>"), (503, ""), (503, ""), listing(past))
    assert (await event_of(waiting_for()))["status"] == "success"
    assert len(account.asked) == 5


async def test_failing_for_long_is_an_error_event(account: WebinarisAccount) -> None:
    account.answer("/api/assumed/dates", (503, ""))
    event = await event_of(waiting_for())
    assert (event["status"], event["error_type"]) == ("error", "Transient")
    assert len(account.asked) == PATIENCE


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [(403, "", "WrongCredentials"), (200, {"dates": 1}, "SourceError"), (200, {"now": 1, "dates": []}, "UnknownDate")],
)
async def test_other_errors_are_events_at_once(account: WebinarisAccount, status: int, body: Any, kind: str) -> None:
    account.answer("/api/assumed/dates", (status, body))
    event = await event_of(waiting_for())
    assert (event["status"], event["error_type"]) == ("error", kind)
    assert len(account.asked) == 1
    assert KEY not in event["message"]


async def test_a_missing_connection_is_an_error_event() -> None:
    event = await event_of(WebinarChangedTrigger("webinaris_nowhere", 0.0, 0.05))
    assert (event["status"], event["error_type"]) == ("error", "WrongCredentials")
    assert "webinaris_nowhere" in event["message"]
    assert "create it under Admin > Connections" in event["message"]


async def test_a_connection_that_is_changed_is_taken_up_at_the_next_read(
    account: WebinarisAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.dates(date(start=time.time() + 60))
    running = asyncio.create_task(event_of(waiting_for()))
    async with asyncio.timeout(30):
        while len(account.asked) < 2:
            await asyncio.sleep(0.01)
    with serving() as other:
        other.dates(date(start=time.time() - 7200))
        monkeypatch.setenv("AIRFLOW_CONN_WEBINARIS_DEFAULT", other.connection())
        assert (await running)["status"] == "success"
        assert len(other.asked) == 1


async def test_a_change_after_the_cursor(account: WebinarisAccount) -> None:
    same = date(updated=5.0)
    account.answer(
        "/api/assumed/dates",
        listing(),
        listing(same),
        listing(same, date("d2", updated=6.5), date("d3", updated=6.0, start_unix="?")),
    )
    event = await event_of(WebinarChangedTrigger(CONN_ID, 5.0, 0.02))
    assert event == {"status": "success", "changed": 2, "cursor": 6.5}
    assert [query["updated_since"] for query in account.queries("/api/assumed/dates")] == ["5.000000"] * 3


async def test_a_wait_for_a_change_may_have_an_end(account: WebinarisAccount) -> None:
    account.dates(date(updated=5.0))
    event = await event_of(WebinarChangedTrigger(CONN_ID, 5.0, 0.02, at_most=0.1))
    assert event == {"status": "success", "changed": 0, "cursor": 5.0}
    assert len(account.asked) > 1
