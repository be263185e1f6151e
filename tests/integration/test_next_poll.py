"""Waiting for the next poll of a source account, in the triggerer, with the ledger's news."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, TaskDeferred
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.errors import LedgerError
from handoff.ledger import cursors
from handoff.ledger.connect import open_ledger_async
from hooks.ledger import LedgerHook
from sensors.next_poll import NextPollSensor
from triggers import next_poll
from triggers.next_poll import NextPollTrigger

SOURCE, ACCOUNT = "insightly", "insightly_default"


@pytest.fixture(autouse=True)
def here(ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def open_ledger(ledger_conn_id: str, *, connections: int = 4) -> AsyncEngine:
        return open_ledger_async(ledger_url, connections=connections)

    monkeypatch.setattr(LedgerHook, "open", open_ledger)
    monkeypatch.setattr(next_poll, "LOOK_SECONDS", 0.02)


def trigger(ahead: float, seen: str = "", pokes_after: float = 0.0) -> NextPollTrigger:
    now = time.time()
    return NextPollTrigger(SOURCE, ACCOUNT, "handoff_ledger", now + ahead, seen, now + pokes_after)


async def fired(waiting: NextPollTrigger) -> Any:
    async with asyncio.timeout(30):
        return [event.payload async for event in waiting.run()]


async def test_it_fires_when_the_time_has_come() -> None:
    assert await fired(trigger(0.2)) == [{"status": "due"}]
    assert await fired(trigger(-5)) == [{"status": "due"}]


async def test_a_poke_ends_the_wait_and_one_that_was_heeded_does_not(ledger: AsyncEngine) -> None:
    waiting = asyncio.create_task(fired(trigger(3600)))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    async with ledger.begin() as connection:
        await cursors.poke(connection, SOURCE, ACCOUNT)
    assert await waiting == [{"status": "poked"}]
    async with ledger.connect() as connection:
        seen = await cursors.poked(connection, SOURCE, ACCOUNT)
    assert await fired(trigger(0.3, seen)) == [{"status": "due"}]
    assert await fired(trigger(3600, "")) == [{"status": "poked"}], "one that came meanwhile is not lost"


async def test_news_does_not_hasten_a_poll_more_than_the_pace_allows(ledger: AsyncEngine) -> None:
    async with ledger.begin() as connection:
        await cursors.poke(connection, SOURCE, ACCOUNT)
    waiting = trigger(3600, pokes_after=0.5)
    again = NextPollTrigger(**waiting.serialize()[1])
    assert await fired(again) == [{"status": "poked"}]
    assert time.time() >= waiting.not_before


async def test_a_ledger_that_is_lost_for_a_moment_does_not_end_the_watch(
    ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, failures = LedgerHook.open, [OperationalError("SELECT", {}, Exception()), OSError(), LedgerError("gone")]

    async def unsteady(ledger_conn_id: str, *, connections: int = 4) -> AsyncEngine:
        if failures:
            raise failures.pop()
        return await opened(ledger_conn_id, connections=connections)

    monkeypatch.setattr(LedgerHook, "open", unsteady)
    monkeypatch.setattr(next_poll, "RECONNECT_SECONDS", 0.01)
    async with ledger.begin() as connection:
        await cursors.poke(connection, SOURCE, ACCOUNT)
    assert await fired(trigger(3600)) == [{"status": "poked"}]
    assert failures == []


async def test_without_a_ledger_it_fires_when_the_time_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(ledger_conn_id: str, *, connections: int = 4) -> AsyncEngine:
        raise LedgerError("gone")

    monkeypatch.setattr(LedgerHook, "open", gone)
    monkeypatch.setattr(next_poll, "RECONNECT_SECONDS", 0.01)
    assert await fired(trigger(0.2)) == [{"status": "due"}]


async def test_another_account_s_news_is_not_meant(ledger: AsyncEngine) -> None:
    async with ledger.begin() as connection:
        await cursors.poke(connection, SOURCE, "insightly_second")
    assert await fired(trigger(0.2)) == [{"status": "due"}]


def sensor(at: float) -> NextPollSensor:
    return NextPollSensor(
        task_id="wait", source=SOURCE, account=ACCOUNT, plan={"at": at, "seen": "7", "not_before": 8.5, "pace": 0.0}
    )


def test_the_sensor_waits_in_the_triggerer_only_for_what_is_to_come() -> None:
    context: Any = {}
    assert sensor(time.time() - 1).execute(context) is None  # type: ignore[func-returns-value]
    at = time.time() + 3600
    with pytest.raises(TaskDeferred) as deferred:
        sensor(at).execute(context)
    path, arguments = deferred.value.trigger.serialize()
    assert path == "triggers.next_poll.NextPollTrigger"
    assert (arguments["at"], arguments["seen"], arguments["account"]) == (at, "7", ACCOUNT)
    assert arguments["not_before"] == 8.5


@pytest.mark.parametrize("event", [None, {}, {"status": "error"}])
def test_an_event_that_cannot_be_read_fails_the_task(event: Any) -> None:
    with pytest.raises(AirflowException, match="cannot be read"):
        sensor(0.0).execute_complete({}, event)  # type: ignore[arg-type]
