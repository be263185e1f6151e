"""How long a wait is patient, and with what."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from handoff.errors import QuotaUsedUp, RateLimited, Transient, WrongCredentials
from triggers import polling
from triggers.polling import PATIENCE, PollingTrigger

DONE = {"status": "success"}
DROPPED = Transient("acc", "read")


class Clock:
    """A day passes at once; notes every pause."""

    def __init__(self) -> None:
        self.now, self.pauses = 0.0, list[float]()

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(polling, "time", SimpleNamespace(monotonic=clock.monotonic, time=clock.monotonic))
    monkeypatch.setattr(polling, "asyncio", SimpleNamespace(sleep=clock.sleep))
    return clock


class Scripted(PollingTrigger):
    """Meets one thing after the other, the last one again and again."""

    def __init__(self, poll_interval: float, *met: Any, pace: float = 0.0) -> None:
        super().__init__(poll_interval)
        self.met, self.pace_seconds, self.looks = list(met), pace, 0

    def arguments(self) -> dict[str, Any]:
        return {}

    async def look(self) -> tuple[dict[str, Any] | None, float]:
        self.looks += 1
        met = self.met.pop(0) if len(self.met) > 1 else self.met[0]
        if isinstance(met, Exception):
            raise met
        return met, self.poll_interval


class Patient(Scripted):
    least_patience_seconds = 600.0


async def event_of(trigger: PollingTrigger) -> dict[str, Any]:
    async with asyncio.timeout(5):
        return [event.payload async for event in trigger.run()][0]


async def test_it_looks_until_there_is_an_event(clock: Clock) -> None:
    assert await event_of(Scripted(5.0, None, None, DONE)) == DONE
    assert clock.pauses == [5.0, 5.0]


async def test_reads_are_as_far_apart_as_the_days_requests_ask(clock: Clock) -> None:
    await event_of(Scripted(5.0, None, DROPPED, DONE, pace=90.0))
    assert clock.pauses == [90.0, 90.0]


async def test_what_a_task_saw_is_not_read_again_at_once(clock: Clock) -> None:
    trigger = Scripted(5.0, None, DONE, pace=90.0)
    assert await trigger.first_look() is None
    assert (trigger.serialize()[1]["not_before"], clock.pauses) == (90.0, [])
    assert await event_of(trigger) == DONE
    assert clock.pauses == [90.0]


@pytest.mark.parametrize("passing", [DROPPED, QuotaUsedUp("acc", "read", "", 77.0)])
async def test_what_passes_by_itself_is_left_to_the_wait(clock: Clock, passing: Exception) -> None:
    trigger = Scripted(5.0, passing, DONE)
    assert await trigger.first_look() is None
    assert await event_of(trigger) == DONE
    assert clock.pauses == [getattr(passing, "retry_after", 5.0)]


async def test_where_polls_are_far_apart_a_failed_one_is_repeated_soon_and_then_ever_later(clock: Clock) -> None:
    event = await event_of(Scripted(1000.0, DROPPED))
    assert (event["status"], event["error_type"]) == ("error", "Transient")
    assert clock.pauses == [60.0, 120.0, 240.0, 480.0, 960.0, 1000.0, 1000.0, 1000.0]
    assert clock.now >= (PATIENCE - 1) * 1000.0


async def test_where_they_are_close_it_is_repeated_at_the_same_pace(clock: Clock) -> None:
    trigger = Scripted(30.0, DROPPED)
    assert (await event_of(trigger))["status"] == "error"
    assert (trigger.looks, clock.pauses) == (PATIENCE, [30.0] * (PATIENCE - 1))


async def test_a_trigger_may_be_more_patient(clock: Clock) -> None:
    assert (await event_of(Patient(60.0, DROPPED)))["status"] == "error"
    assert clock.now == 600.0


async def test_however_often_it_failed_it_is_repeated(clock: Clock) -> None:
    assert await event_of(Patient(0.5, *[DROPPED] * 1100, DONE)) == DONE


async def test_a_read_that_works_begins_the_count_anew(clock: Clock) -> None:
    failing = [DROPPED] * (PATIENCE - 1)
    assert await event_of(Scripted(30.0, *failing, None, *failing, None, *failing, DONE)) == DONE


async def test_a_source_that_asks_to_wait_is_given_the_time(clock: Clock) -> None:
    assert await event_of(Scripted(5.0, RateLimited("acc", "read", "", 77.0), DONE)) == DONE
    assert clock.pauses == [77.0]


async def test_days_whose_requests_are_used_up_are_waited_for_to_end_however_many(clock: Clock) -> None:
    used_up = QuotaUsedUp("acc", "read", "", 40_000.0)
    assert await event_of(Scripted(3600.0, *[used_up] * (PATIENCE + 3), DONE)) == DONE
    assert clock.pauses == [40_000.0] * (PATIENCE + 3)


async def test_a_ledger_that_is_away_is_waited_for(clock: Clock) -> None:
    away = OperationalError("SELECT secret", {}, Exception("secret"))
    assert await event_of(Scripted(30.0, away, away, DONE)) == DONE
    event = await event_of(Scripted(30.0, away))
    assert event == {"status": "error", "error_type": "OperationalError", "message": ""}


async def test_what_waiting_cannot_cure_is_told_at_once(clock: Clock) -> None:
    event = await event_of(Scripted(30.0, None, WrongCredentials("acc", "read")))
    assert (event["error_type"], clock.pauses) == ("WrongCredentials", [30.0])
