"""Histories of opportunities that cannot be read: they stop nobody, are asked for again for a day, and then told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger import cursors
from handoff.rules.rule import Rule
from hooks.insightly_doubts import TRIES
from sandbox import INSIGHTLY_KEY
from tests.support.insightly_world import CONN, RULE, WORLD, Insightly, cursor_of, insightly_world
from tests.support.rows import rows

pytestmark = pytest.mark.integration
DEALS: dict[str, Any] = {
    "opportunities": [
        {"id": 31, "name": "a", "contacts": [101], "created": "-30d", "states": [{"at": "-8d", "state": "WON"}]},
        {"id": 32, "name": "b", "contacts": [101], "created": "-30d", "states": [{"at": "-10d", "state": "WON"}]},
        {"id": 33, "name": "c", "contacts": [101], "created": "-9d"},
        {"id": 34, "name": "d", "contacts": [101], "created": "-9d"},
    ],
    "projects": [],
}
WAITING = """
    SELECT occasion.series FROM handoff.batches AS batch JOIN handoff.occasions AS occasion ON
        occasion.id = batch.occasion_id WHERE batch.state = 'waiting' ORDER BY occasion.series
"""
NOTICES = "SELECT cause, kind, count, words FROM handoff.notices WHERE closed_at IS NULL"
HISTORY = "/Opportunities/{id}/StateHistory"
LONGEST = timedelta(hours=18)
"""Longer than a history rests between two tries."""


@pytest.fixture
async def crm(ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Insightly]:
    async with insightly_world(ledger_url, monkeypatch, WORLD | DEALS) as running:
        running.rules = [Rule.model_validate(RULE | {"opportunities": ["won"]})]
        yield running


async def waiting(ledger: AsyncEngine) -> list[str]:
    return [series for (series,) in await rows(ledger, WAITING)]


async def edit(crm: Insightly, *numbers: int) -> None:
    """Edit opportunities, and later another one: of the newest second more may come, so it is read again and again."""
    for some in (numbers, (34,)):
        for number in some:
            await crm.order("edit", object="Opportunities", id=number)
        await asyncio.sleep(1.1)


async def won_some_days_ago(crm: Insightly, number: int) -> None:
    """Have an opportunity won now with a day before the account was watched, so that only its history can tell."""
    await crm.state(number, "WON")
    crm.sandbox.world.insightly.find("Opportunity", number).closed -= 20 * 86400  # type: ignore[union-attr,operator]
    await edit(crm)


async def passes(ledger: AsyncEngine, time: timedelta) -> None:
    """Let time pass for what rests."""
    cursor = await cursor_of(ledger)
    for doubt in cursor["doubtful"]:
        if doubt["rests_until"]:
            doubt["rests_until"] = (datetime.fromisoformat(doubt["rests_until"]) - time).isoformat()
    async with ledger.begin() as connection:
        await cursors.write(connection, "insightly", CONN, json.dumps(cursor))


@pytest.mark.parametrize("kind", ["503", "403", "drop_before_commit"])
async def test_an_outage_of_histories_loses_no_win_however_often_webhooks_let_the_account_be_polled(
    crm: Insightly, ledger: AsyncEngine, kind: str
) -> None:
    await crm.poll()
    await won_some_days_ago(crm, 33)
    await crm.fault("/Opportunities/33/StateHistory", kind)
    await crm.asked()
    for _ in range(2 * TRIES):
        await crm.poll()
    assert (await crm.asked())[HISTORY] == 1, "in between it is left in peace"
    await crm.mend()
    await passes(ledger, timedelta(minutes=1))
    await crm.poll()
    assert await waiting(ledger) == ["opportunity/33"]
    assert await rows(ledger, NOTICES) == []


async def test_what_is_given_up_is_told_and_looked_at_anew_when_it_is_edited(
    crm: Insightly, ledger: AsyncEngine
) -> None:
    await crm.poll()
    await won_some_days_ago(crm, 33)
    await crm.fault("/Opportunities/33/StateHistory", "503")
    began = datetime.now().astimezone()
    for number in range(TRIES):
        assert await rows(ledger, NOTICES) == []
        await crm.poll()
        if number == TRIES - 2:
            [doubt] = (await cursor_of(ledger))["doubtful"]
            assert datetime.fromisoformat(doubt["rests_until"]) - began > timedelta(hours=17)
        await passes(ledger, LONGEST)
    [(cause, kind, count, words)] = await rows(ledger, NOTICES)
    assert (cause, kind, count) == ("history/insightly_default", "history", 1)
    assert f"opportunity/33: given up after {TRIES} times" in words
    assert INSIGHTLY_KEY not in words
    await crm.mend()
    await crm.poll()
    assert await waiting(ledger) == []
    await edit(crm, 33)
    await crm.poll()
    assert await waiting(ledger) == ["opportunity/33"]


@pytest.mark.parametrize("kind", ["403", "400", "500", "malformed"])
async def test_a_history_that_cannot_be_read_keeps_no_other_win_waiting(
    crm: Insightly, ledger: AsyncEngine, kind: str
) -> None:
    await crm.poll()
    await crm.state(33, "WON")
    await crm.poll()
    before = (await cursor_of(ledger))["since"]["opportunity"]
    await asyncio.sleep(1.1)
    await edit(crm, 33)
    await crm.order("opportunity", id=40, name="neu", contacts=[102])
    await crm.state(40, "WON")
    await crm.fault("/Opportunities/33/StateHistory", kind)
    await crm.poll()
    assert await waiting(ledger) == ["opportunity/33", "opportunity/40"]
    moved = await cursor_of(ledger)
    assert moved["since"]["opportunity"] > before
    assert [(doubt["id"], doubt["failed"]) for doubt in moved["doubtful"]] == [(33, 1)]


async def test_a_history_that_is_never_answered_keeps_no_win_waiting_and_is_given_up(
    crm: Insightly, ledger: AsyncEngine, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    await crm.poll()
    before = (await cursor_of(ledger))["since"]["opportunity"]
    await crm.fault("/Opportunities/31/StateHistory", "drop_before_commit")
    await edit(crm, 31, 32)
    await crm.state(33, "WON")
    await asyncio.sleep(1.1)
    await crm.poll()
    assert await waiting(ledger) == ["opportunity/33"]
    moved = await cursor_of(ledger)
    assert moved["since"]["opportunity"] > before
    assert {doubt["id"]: doubt["failed"] for doubt in moved["doubtful"]} == {31: 1, 32: 0}, "no other is asked then"
    for _ in range(TRIES):
        await passes(ledger, LONGEST)
        await crm.poll()
    assert (await cursor_of(ledger))["doubtful"] == [], "the other one had its turn"
    told = caplog.text + "".join(capsys.readouterr())
    assert f"opportunity/31: given up after {TRIES} times" in told
    assert "opportunity/32" not in told
    assert await waiting(ledger) == ["opportunity/33"]


async def test_a_history_that_stays_unreadable_is_tried_some_times_and_told(
    crm: Insightly, ledger: AsyncEngine, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    await crm.poll()
    await crm.fault("/Opportunities/32/StateHistory")
    await edit(crm, 32)
    for _ in range(TRIES + 3):
        await crm.poll()
        await passes(ledger, LONGEST)
    assert (await crm.asked())[HISTORY] == TRIES, "not for ever"
    assert (await cursor_of(ledger))["doubtful"] == []
    told = caplog.text + "".join(capsys.readouterr())
    assert "opportunity/32" in told
    assert INSIGHTLY_KEY not in told
    assert await waiting(ledger) == []
