"""A rule that names a calendar which the account does not have waits for nothing: the team is told, once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from airflow.sdk import BaseNotifier
from sqlalchemy.ext.asyncio import AsyncEngine

from notifications.tell_team import tell_team
from sandbox.faults import FaultOrder
from tests.support.etermin_world import ETermin, rule
from tests.support.rows import change, rows

pytestmark = pytest.mark.integration
BEFORE = {"hours": 1, "before": "start"}
STANDING = "SELECT words FROM handoff.notices WHERE kind = 'calendar' AND closed_at IS NULL ORDER BY cause"
BATCHES = "SELECT rule_id FROM handoff.batches"


class Channel(BaseNotifier):
    """Keeps what the team is told."""

    def __init__(self, told: list[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.told = told

    def notify(self, context: Mapping[str, Any]) -> None:  # type: ignore[override]
        self.told += [f"{context['notice'].subject}\n{context['notice'].text}"]


async def told(etermin: ETermin) -> list[str]:
    """Let the sweep's second task tell what nobody was told yet."""
    words = list[str]()
    await tell_team(etermin.ledger, Channel(words), "en")
    return words


def asked(etermin: ETermin) -> int:
    """Return how often the account was asked for its calendars."""
    paths = etermin.sandbox.calls.as_json()["etermin"]["paths"]
    return sum(sum(outcomes.values()) for path, outcomes in paths.items() if path.endswith("/calendar"))


def rename(etermin: ETermin, number: int, name: str) -> None:
    """Let the account's owner give a calendar another name."""
    etermin.sandbox.world.etermin.calendars[number].name = name


async def later(ledger: AsyncEngine, hours: int) -> None:
    """Let so many hours have passed since the calendars were looked at."""
    moved = """
        UPDATE handoff.cursors SET value = jsonb_set(CAST(value AS jsonb), '{at}',
            to_jsonb(CAST(CAST(value AS jsonb) ->> 'at' AS timestamptz) - make_interval(hours => :hours)))
        WHERE source = 'etermin.calendars'
    """
    await change(ledger, moved, hours=hours)


async def test_a_calendar_that_the_account_does_not_have_is_told_once_until_the_rule_is_right(
    etermin: ETermin, ledger: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    etermin.rules(rule("reminder", BEFORE, calendars=["Beratungg", " coaching ", "90709"]), rule("all", BEFORE))
    await etermin.book()
    for _ in range(2):
        await etermin.poll()
    [(words,)] = await rows(ledger, STANDING)
    for part in ("rule reminder", "etermin_default", "'Beratungg'", "did you mean 'Beratung'?"):
        assert part in words
    assert caplog.text.count("Beratungg") == asked(etermin) == 1
    [message] = await told(etermin)
    assert message.startswith("[Handoffs] no such calendar: etermin_default/reminder/Beratungg\n")
    assert await told(etermin) == []
    etermin.rules(rule("reminder", BEFORE, calendars=["Beratung"]))
    await etermin.poll()
    assert await rows(ledger, STANDING) == []
    etermin.rules(rule("reminder", BEFORE, calendars=["Beratung", "Beratungg"]))
    await etermin.poll()
    [again] = await told(etermin)
    assert "'Beratungg'" in again


async def test_a_calendar_that_is_renamed_is_told_within_the_hour_and_ends_when_it_is_back(
    etermin: ETermin, ledger: AsyncEngine
) -> None:
    etermin.rules(rule("reminder", BEFORE, calendars=["Beratung"]))
    await etermin.poll()
    rename(etermin, 90709, "Gespräche")
    await etermin.poll()
    assert (await rows(ledger, STANDING), asked(etermin)) == ([], 1)
    await later(ledger, 1)
    await etermin.poll()
    [(words,)] = await rows(ledger, STANDING)
    assert "'Beratung'" in words
    rename(etermin, 90709, "beratung")
    await later(ledger, 1)
    await etermin.poll()
    assert (await rows(ledger, STANDING), asked(etermin)) == ([], 3)


async def test_who_has_few_requests_a_day_is_asked_once_a_day(etermin: ETermin, ledger: AsyncEngine) -> None:
    etermin.account(requests_per_day=1000)
    etermin.rules(rule("reminder", BEFORE, calendars=["Beratung"]))
    for hours in (0, 23, 1):
        await later(ledger, hours)
        await etermin.poll()
    assert asked(etermin) == 2


async def test_nobody_is_asked_where_no_rule_names_a_calendar(etermin: ETermin, ledger: AsyncEngine) -> None:
    etermin.rules(rule("reminder", BEFORE, calendars=["Beratungg"]))
    await etermin.poll()
    etermin.rules(rule("all", BEFORE))
    await etermin.poll()
    assert (await rows(ledger, STANDING), asked(etermin)) == ([], 1)


async def test_calendars_that_cannot_be_read_stop_no_poll_and_end_no_notice(
    etermin: ETermin, ledger: AsyncEngine
) -> None:
    etermin.rules(rule("reminder", BEFORE, calendars=["Beratungg"]), rule("all", BEFORE))
    await etermin.poll()
    etermin.sandbox.faults.order(FaultOrder(system="etermin", fault="403", path="/api/calendar", changing_only=False))
    await later(ledger, 1)
    await etermin.book()
    await etermin.poll()
    await etermin.poll()
    assert await rows(ledger, BATCHES) == [("all",)]
    assert (len(await rows(ledger, STANDING)), asked(etermin)) == (1, 2)
    assert json.loads((await rows(ledger, "SELECT value FROM handoff.cursors WHERE source = 'etermin'"))[0][0])["token"]
