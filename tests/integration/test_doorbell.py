"""The doorbell on a real ledger: soon after the news, not before the time, and after a restart."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk.exceptions import AirflowNotFoundException
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.errors import LedgerError
from handoff.ledger import bells
from handoff.ledger.bells import Bell
from handoff.ledger.connect import open_ledger_async
from handoff.planning.planner import record
from hooks.ledger import LedgerHook
from tests.support.chaos import cut_off
from tests.support.domain import a_rule, an_occasion
from tests.support.rows import change
from triggers import doorbell
from triggers.doorbell import DoorbellTrigger

RULE = a_rule(id="r")
ARGUMENTS = {"rule_id": "r", "order_group": "r", "ledger_conn_id": "handoff_ledger"}


@pytest.fixture
def opened(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the hook open the test's ledger; lists the connection ids it was asked for."""
    asked: list[str] = []

    async def open_here(ledger_conn_id: str, *, connections: int = 4) -> AsyncEngine:
        asked.append(ledger_conn_id)
        return open_ledger_async(ledger_url, connections=connections)

    monkeypatch.setattr(LedgerHook, "open", open_here)
    monkeypatch.setattr(doorbell, "RECONNECT_SECONDS", 0.1)
    return asked


async def due_in(ledger: AsyncEngine, seconds: float, rule: object = RULE, key: str = "d1") -> datetime:
    occasion = an_occasion(start=datetime.now(UTC) + timedelta(seconds=seconds, minutes=-60), key=key)
    await record(ledger, [occasion], [rule])  # type: ignore[list-item]
    return occasion.anchors["end"]


async def heard(stream: AsyncIterator[list[Bell]], within: float) -> list[Bell] | None:
    """Return what rings within some seconds, ``None`` when nothing does; then the stream is at its end."""
    try:
        return await asyncio.wait_for(anext(stream), within)
    except TimeoutError:
        return None


def stream_of() -> AsyncIterator[list[Bell]]:
    return DoorbellTrigger.open_shared_stream(ARGUMENTS)


def test_a_trigger_survives_the_database() -> None:
    trigger = DoorbellTrigger("r", "group", "other_ledger")
    path, kwargs = trigger.serialize()
    module, name = path.rsplit(".", 1)
    again = getattr(importlib.import_module(module), name)(**kwargs)
    assert type(again) is DoorbellTrigger
    assert again.serialize() == (path, kwargs)


def test_all_rules_of_one_ledger_share_one_stream() -> None:
    keys = {DoorbellTrigger(name, f"group-{name}").shared_stream_key() for name in ("a", "b", "c")}
    assert len(keys) == 1
    assert DoorbellTrigger("a", "g", "other").shared_stream_key() not in keys


async def test_news_rings_within_a_fraction_of_a_second(ledger: AsyncEngine, opened: list[str]) -> None:
    async with aclosing(stream_of()) as stream:
        waiting = asyncio.create_task(heard(stream, 3))
        await asyncio.sleep(0.3)
        moment = await due_in(ledger, 3)
        began = time.monotonic()
        assert await waiting == [Bell("batch", "r", moment)]
        assert time.monotonic() - began < 0.5
    assert opened == ["handoff_ledger"]


async def test_nothing_rings_before_its_time(
    ledger: AsyncEngine, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FIRST_LEAD_SECONDS", "SHORTEST_LEAD_SECONDS"):
        monkeypatch.setattr(bells, name, 0.5)
    moment = await due_in(ledger, 1.3)
    async with aclosing(stream_of()) as stream:
        assert await heard(stream, 5) == [Bell("batch", "r", moment)]
        early = (moment - datetime.now(UTC)).total_seconds()
        assert 0.2 < early <= 0.5


async def test_a_moment_rings_once_and_again_only_if_nobody_came(
    ledger: AsyncEngine, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doorbell, "RING_AGAIN_SECONDS", 1.2)
    await due_in(ledger, 3)
    rung: list[float] = []

    async def listen() -> None:
        async with aclosing(stream_of()) as stream:
            async for _ in stream:
                rung.append(time.monotonic())

    listening = asyncio.create_task(listen())
    await asyncio.sleep(2.6)
    assert len(rung) == 2
    assert rung[1] - rung[0] >= 1.2
    await change(ledger, "UPDATE handoff.batches SET lease_owner = 'x', leased_until = now() + interval '1 minute'")
    await asyncio.sleep(1.5)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    assert len(rung) == 2


@pytest.mark.parametrize("waits", [False, True])
async def test_a_restarted_ledger_is_waited_for(
    ledger: AsyncEngine, ledger_url: str, opened: list[str], waits: bool
) -> None:
    async with aclosing(stream_of()) as stream:
        if waits:
            await due_in(ledger, 3, key="first")
            assert await heard(stream, 3)
        waiting = asyncio.create_task(heard(stream, 5))
        await asyncio.sleep(0.3)
        await ledger.dispose()
        await cut_off(ledger_url)
        await asyncio.sleep(0.3)
        assert not waiting.done()
        await due_in(ledger, 1, key="second")
        found = await waiting
        assert found is not None
        assert [bell.name for bell in found] == ["r"]
    assert len(opened) == 2


@pytest.mark.parametrize("error", [LedgerError("no database"), OSError("no way"), AirflowNotFoundException("no such")])
async def test_a_ledger_that_cannot_be_opened_yet_is_waited_for(
    ledger: AsyncEngine, opened: list[str], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    open_here, failures = LedgerHook.open, [error, error]

    async def open_later(ledger_conn_id: str, *, connections: int = 4) -> AsyncEngine:
        if failures:
            raise failures.pop()
        return await open_here(ledger_conn_id, connections=connections)

    monkeypatch.setattr(LedgerHook, "open", open_later)
    await due_in(ledger, 3)
    async with aclosing(stream_of()) as stream:
        assert await heard(stream, 3)
    assert failures == []


async def test_a_rule_hears_its_own_bells_only(ledger: AsyncEngine) -> None:
    now = datetime.now(UTC)

    async def bells_of(*rounds: list[Bell]) -> AsyncIterator[list[Bell]]:
        for ringing in rounds:
            yield ringing

    later = now + timedelta(seconds=1)
    rounds = (
        [Bell("batch", "r", later), Bell("lane", "group", now), Bell("batch", "group", now)],
        [Bell("batch", "s", now), Bell("lane", "r", now)],
        [Bell("lane", "group", now)],
    )
    trigger = DoorbellTrigger("r", "group")
    events = [event async for event in trigger.filter_shared_stream(bells_of(*rounds))]
    assert [(event.payload["rule_id"], event.payload["moment"]) for event in events] == [("r", now.isoformat())] * 2
    assert all(abs(event.payload["rung_at"] - time.time()) < 5 for event in events)


async def test_a_trigger_that_does_not_share_rings_too(ledger: AsyncEngine, opened: list[str]) -> None:
    await due_in(ledger, 3)
    async with aclosing(DoorbellTrigger("r", "r").run()) as events:
        event = await asyncio.wait_for(anext(events), 3)
    assert event.payload["rule_id"] == "r"


async def test_a_rule_whose_bell_is_watched_again_goes_on(ledger: AsyncEngine, opened: list[str]) -> None:
    """Airflow begins to watch a bell when its DAG is unpaused: what was put to rest need not sleep out its minute."""
    await change(
        ledger,
        """
        INSERT INTO handoff.lanes (order_group, name, ready_at, rests)
        SELECT name, 'one', clock_timestamp() + interval '1 minute', 'paused:' || name
        FROM unnest(ARRAY['r', 's']) AS name
        """,
    )
    async with aclosing(DoorbellTrigger("r", "r").run()) as events:
        event = await asyncio.wait_for(anext(events), 2 * bells.LANE_PATIENCE_SECONDS)
    assert event.payload["rule_id"] == "r"
    async with ledger.connect() as connection:
        rows = await connection.execute(text("SELECT order_group, rests FROM handoff.lanes ORDER BY order_group"))
        assert [tuple(row) for row in rows] == [("r", None), ("s", "paused:s")]
