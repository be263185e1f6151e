"""Insightly's stand-in, polled over real HTTP into a real ledger: each closing once, with few requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.errors import Transient, WrongCredentials
from handoff.ledger import cursors
from handoff.planning.planner import record
from handoff.rules.rule import Rule
from hooks.insightly import InsightlyHook
from hooks.insightly_poll import REQUESTS
from operators.next_poll import NextPollOperator
from sandbox import INSIGHTLY_KEY
from tests.support.delivery import judge_due
from tests.support.insightly_world import CONN, OCCASIONS, RULE, Insightly, insightly_world
from tests.support.rows import change, rows


@pytest.fixture
async def crm(ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Insightly]:
    async with insightly_world(ledger_url, monkeypatch) as running:
        yield running


async def planned() -> dict[str, Any]:
    """Return when the account is to be polled again."""
    return await NextPollOperator(task_id="next", hook=InsightlyHook, account=CONN, requests=REQUESTS).aexecute({})


async def test_a_won_opportunity_reaches_its_contacts_and_an_edit_does_not_again(
    crm: Insightly, ledger: AsyncEngine
) -> None:
    await crm.poll()
    await crm.state(31, "WON")
    await crm.poll()
    await crm.order("edit", id=31, fields={"OPPORTUNITY_DETAILS": "später"})
    await crm.poll()
    [(key, cancelled, facts)] = await rows(ledger, OCCASIONS)
    assert (key, cancelled, facts["record"], facts["state"]) == ("opportunity/31/1", False, "opportunity/31", "won")
    source = crm.source(ledger)
    assert await judge_due(ledger, crm.rules[0], source) == ["judged"]
    await source.close()
    assert await rows(ledger, "SELECT email, first_name, last_name FROM handoff.contacts") == [
        ("anna@example.org", "Anna", "Öz")
    ]


async def test_nothing_but_ids_dates_and_the_attached_contacts_is_kept(crm: Insightly, ledger: AsyncEngine) -> None:
    await crm.state(31, "WON")
    await crm.order("tag", object="Opportunities", id=31, tag="intern")
    await crm.poll()
    for table in ("occasions", "inbox", "cursors", "batches"):
        text = str(await rows(ledger, f"SELECT * FROM handoff.{table}"))
        assert "Geheim" not in text
        assert "intern" not in text


async def test_won_opened_and_won_again_is_handed_over_twice(crm: Insightly, ledger: AsyncEngine) -> None:
    for state in ("WON", "OPEN", "WON"):
        await crm.state(31, state)
        await crm.poll()
    assert [row[:2] for row in await rows(ledger, OCCASIONS)] == [
        ("opportunity/31/1", True), ("opportunity/31/2", False),
    ]  # fmt: skip
    batch = "SELECT state FROM handoff.batches ORDER BY id"
    assert await rows(ledger, batch) == [("cancelled",), ("waiting",)]


async def test_a_second_win_between_two_polls_is_found_in_the_history(crm: Insightly, ledger: AsyncEngine) -> None:
    await crm.state(31, "WON")
    await crm.poll()
    await crm.state(31, "OPEN")
    # A history counts in seconds.
    await asyncio.sleep(1.1)
    await crm.state(31, "WON")
    await crm.poll()
    assert [row[:2] for row in await rows(ledger, OCCASIONS)] == [
        ("opportunity/31/1", True), ("opportunity/31/2", False),
    ]  # fmt: skip


async def test_opened_again_after_the_poll_is_seen_at_the_last_look(crm: Insightly, ledger: AsyncEngine) -> None:
    await crm.state(31, "WON")
    await crm.poll()
    await crm.state(31, "OPEN")
    source = crm.source(ledger)
    assert await judge_due(ledger, crm.rules[0], source) == ["cancelled"]
    await source.close()


async def test_a_tag_taken_away_before_the_moment_counts(crm: Insightly, ledger: AsyncEngine) -> None:
    crm.rules = [Rule.model_validate(RULE | {"tag": "Callexa"})]
    await crm.order("tag", object="Opportunities", id=31, tag="callexa")
    for number in (31, 32):
        await crm.state(number, "WON")
    await crm.poll()
    assert await rows(ledger, "SELECT count(*) FROM handoff.batches") == [(1,)]
    await crm.order("tag", object="Opportunities", id=31, tag="callexa", remove=True)
    source = crm.source(ledger)
    assert await judge_due(ledger, crm.rules[0], source) == ["cancelled"]
    await source.close()
    assert await rows(ledger, "SELECT reason FROM handoff.batches") == [("no_longer_selected",)]


async def test_strange_contacts_are_explained_and_lose_nobody(crm: Insightly, ledger: AsyncEngine) -> None:
    for number in (32, 33, 34):
        await crm.state(number, "WON")
    await crm.poll()
    source = crm.source(ledger)
    assert await judge_due(ledger, crm.rules[0], source) == ["judged"] * 3
    await source.close()
    verdicts = """SELECT occasion.series, verdict.reason FROM handoff.verdicts AS verdict
        JOIN handoff.batches AS batch ON batch.id = verdict.batch_id
        JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id ORDER BY occasion.series, verdict.ref"""
    assert await rows(ledger, verdicts) == [
        ("opportunity/32", "attached"), ("opportunity/32", "attached"),
        ("opportunity/34", "attached"), ("opportunity/34", "no_email"), ("opportunity/34", "invalid_email"),
        ("opportunity/34", "duplicate"),
    ]  # fmt: skip


async def test_a_poll_costs_a_request_a_page(crm: Insightly, ledger: AsyncEngine) -> None:
    await crm.poll()
    await crm.asked()
    for number in (31, 32, 33):
        await crm.state(number, "WON")
    await crm.state(51, "COMPLETED", "Projects")
    found = await crm.poll()
    assert found["records"] == 4
    assert await crm.asked() == {"/Opportunities/Search": 1, "/Projects/Search": 1}
    crm.rules = [Rule.model_validate(RULE | {"projects": []})]
    await crm.poll()
    asked = await crm.asked()
    assert "/Projects/Search" not in asked
    assert sum(asked.values()) <= 3


async def test_an_hourly_poll_of_a_large_account_takes_three_requests_at_most(
    crm: Insightly, ledger: AsyncEngine
) -> None:
    """200,000 opportunities, of which 40 changed: 12 were won, 5 of those won before were edited."""
    await crm.order("generate", count=200_000)
    await crm.poll()
    generated = await crm.open_ids(40)
    for number in generated[:5]:
        await crm.state(number, "WON")
    await crm.poll()
    await crm.asked()
    for number in generated[5:17]:
        await crm.state(number, "WON")
    for number in (*generated[:5], *generated[17:]):
        await crm.order("edit", id=number, fields={"OPPORTUNITY_DETAILS": "neu"})
    found = await crm.poll()
    assert (found["records"], found["new"]) == (40, 12)
    asked = await crm.asked()
    assert sum(asked.values()) <= 3, asked


async def test_a_poll_that_fails_loses_nothing(crm: Insightly, ledger: AsyncEngine) -> None:
    await crm.poll()
    await crm.state(31, "WON")
    crm.key = "revoked"
    with pytest.raises(WrongCredentials, match="pod"):
        await crm.poll()
    assert (await planned())["at"] > datetime.now(UTC).timestamp() + 3000, "it is not asked without a pause"
    crm.key = INSIGHTLY_KEY
    await crm.poll()
    assert len(await rows(ledger, OCCASIONS)) == 1


async def test_the_next_poll_is_an_hour_later_or_as_the_connection_says(crm: Insightly, ledger: AsyncEngine) -> None:
    assert (await planned())["at"] == 0, "at once, when it was never polled"
    await crm.poll()
    now = datetime.now(UTC).timestamp()
    assert (await planned())["at"] == pytest.approx(now + 3600, abs=30)
    crm.extra["poll_minutes"] = 1
    assert (await planned())["at"] == pytest.approx(now + 60, abs=30)
    crm.extra["requests_per_day"] = 100
    assert (await planned())["at"] > now + 1800, "a hundred requests have to last for the day"


async def test_a_poke_is_heeded_once(crm: Insightly, ledger: AsyncEngine) -> None:
    async with ledger.begin() as connection:
        await cursors.poke(connection, "insightly", CONN)
        before = await cursors.poked(connection, "insightly", CONN)
    await crm.poll()
    assert (await planned())["seen"] == before
    async with ledger.begin() as connection:
        await cursors.poke(connection, "insightly", CONN)
        assert await cursors.poked(connection, "insightly", CONN) != before


async def test_a_poke_that_meets_an_outage_is_heeded_when_that_is_over(crm: Insightly, ledger: AsyncEngine) -> None:
    await crm.poll()
    async with ledger.begin() as connection:
        await cursors.poke(connection, "insightly", CONN)
        poke = await cursors.poked(connection, "insightly", CONN)
    await crm.fault("/Opportunities/Search", "503")
    waits = list[float]()
    for _ in range(3):
        with pytest.raises(Transient):
            await crm.poll()
        plan, now = await planned(), datetime.now(UTC).timestamp()
        assert (plan["seen"], plan["at"]) == ("", pytest.approx(now + 3600, abs=30))
        waits.append(plan["not_before"] - now)
    assert 0 < waits[0] < waits[1] < waits[2] < 60, "an account that does not answer is not asked without a pause"
    await crm.mend()
    await crm.poll()
    plan, now = await planned(), datetime.now(UTC).timestamp()
    assert (plan["seen"], plan["not_before"] < now + 10) == (poke, True)


async def test_however_long_an_account_fails_a_poke_waits_no_longer_than_the_next_poll(
    crm: Insightly, ledger: AsyncEngine
) -> None:
    await crm.poll()
    await change(ledger, "UPDATE handoff.cursors SET value = (value::jsonb || '{\"failed\": 5000}')::text")
    assert (plan := await planned())["not_before"] == plan["at"]


async def test_the_sweep_s_listing_agrees_with_the_poll(crm: Insightly, ledger: AsyncEngine) -> None:
    await crm.state(31, "WON")
    await crm.poll()
    before = await rows(ledger, "SELECT key, anchors, version FROM handoff.occasions")
    source = crm.source(ledger)
    listing = await source.occasions(datetime.now(UTC) - timedelta(days=30))
    assert listing.only_changes
    await record(ledger, listing.occasions, crm.rules)
    assert await rows(ledger, "SELECT key, anchors, version FROM handoff.occasions") == before
    await crm.state(32, "WON")
    listing = await source.occasions(datetime.now(UTC) - timedelta(minutes=5))
    await record(ledger, listing.occasions, crm.rules)
    assert [row[0] for row in await rows(ledger, OCCASIONS)] == ["opportunity/31/1", "opportunity/32/1"]
    await crm.poll()
    assert len(await rows(ledger, OCCASIONS)) == 2, "what the sweep heard first is no news to the poll"
    await source.close()


async def test_thousands_of_rows_of_the_same_second_and_a_page_that_shifts(crm: Insightly, ledger: AsyncEngine) -> None:
    await crm.order("generate", count=3_000)
    await crm.poll()
    numbers = await crm.open_ids(450)
    await crm.order("stamp", count=2_500)
    await crm.order("stamp", ids=numbers, state="WON")
    # While it is read, rows vanish and others are edited.
    await crm.order("shift", pages=2, delete=[31, 32], edit=numbers[10:12])
    await crm.poll()
    for _ in range(2):
        await crm.poll()
    won = "SELECT series FROM handoff.occasions WHERE NOT cancelled AND facts ->> 'state' = 'won'"
    found = [row[0] for row in await rows(ledger, won)]
    assert {f"opportunity/{number}" for number in numbers} <= set(found), "nothing is missed"
    assert len(found) == len(set(found)), "nothing is twice"


async def test_a_contact_that_was_deleted_is_explained(crm: Insightly, ledger: AsyncEngine) -> None:
    await crm.state(32, "WON")
    await crm.poll()
    await crm.order("delete", object="Contacts", id=102, keep_links=True)
    source = crm.source(ledger)
    assert await judge_due(ledger, crm.rules[0], source) == ["judged"]
    await source.close()
    verdicts = await rows(ledger, "SELECT ref, included, reason FROM handoff.verdicts ORDER BY ref")
    assert verdicts == [("101", True, "attached"), ("102", False, "unreadable")]


async def test_a_record_that_was_deleted_takes_its_handoff_with_it(crm: Insightly, ledger: AsyncEngine) -> None:
    await crm.state(31, "WON")
    await crm.poll()
    await crm.order("delete", object="Opportunities", id=31)
    source = crm.source(ledger)
    assert await judge_due(ledger, crm.rules[0], source) == ["cancelled"]
    await source.close()
