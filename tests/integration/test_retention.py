"""Retention: what is old goes, what is needed stays, and what went comes back when it is needed."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.errors import HandoffError
from handoff.ledger import certificates, notices, registrations, retention
from handoff.ledger.retention import Periods
from handoff.planning.planner import record
from handoff.registration import Registration
from tests.support.commands import handoff
from tests.support.delivery import desk_of, judge_due, plan, states, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations, stay
from tests.support.rows import change, rows
from tests.support.targets import MemoryTarget

DAY = Periods(**dict.fromkeys(asdict(Periods()), 1))
NOTHING = dict.fromkeys(asdict(DAY), 0)


def people(ended_days_ago: float, count: int = 3) -> tuple[FixedSource, tuple[Registration, ...]]:
    start = datetime.now(UTC) - timedelta(days=ended_days_ago, minutes=61)
    occasion = an_occasion(start=start)
    listed = tuple(
        replace(one, presence=(stay(start, 0, 30),), phone="+49 30 123456")
        for one in some_registrations(count, before=start)
    )
    return FixedSource(occasion, listed), listed


async def handed_over(ledger: AsyncEngine, *, work_too: bool = True) -> FixedSource:
    """Hand somebody over an hour ago, and make everything two days older."""
    rule = a_rule()
    source, _ = people(0)
    assert source.now
    await plan(ledger, source, [rule], source.now)
    assert await judge_due(ledger, rule, source) == ["judged"]
    if work_too:
        await work(ledger, rule, desk_of(ledger, {"klicktipp_default": MemoryTarget()}))
    await age(ledger)
    return source


async def age(ledger: AsyncEngine, days: int = 2) -> None:
    ago = f"- interval '{days} days'"
    for statement in (
        f"UPDATE handoff.inbox SET received_at = received_at {ago}",
        f"UPDATE handoff.verdicts SET judged_at = judged_at {ago}",
        f"UPDATE handoff.effects SET settled_at = settled_at {ago}",
        f"UPDATE handoff.starts SET at = at {ago}",
        f"UPDATE handoff.notices SET closed_at = closed_at {ago}",
        f"UPDATE handoff.day_uses SET day = day - {days}",
        f"""UPDATE handoff.occasions SET anchors = (
            SELECT jsonb_object_agg(key, CAST(value AS timestamptz) {ago}) FROM jsonb_each_text(anchors))""",
    ):
        await change(ledger, statement)


async def removed(ledger: AsyncEngine, periods: Periods = DAY) -> dict[str, int]:
    async with ledger.begin() as connection:
        return await retention.apply(connection, periods)


async def due(ledger: AsyncEngine) -> dict[str, int]:
    async with ledger.connect() as connection:
        return await retention.due(connection, DAY)


async def test_everything_older_than_its_period_goes_and_the_counts_stay(ledger: AsyncEngine) -> None:
    source = await handed_over(ledger)
    async with ledger.begin() as connection:
        before = await certificates.count(connection, 1)
    assert await due(ledger) == NOTHING | {"events": 1, "presence": 3, "facts": 3, "proofs": 3}
    assert await removed(ledger) == NOTHING | {"events": 1, "presence": 3, "contacts": 3, "facts": 3, "proofs": 3}
    assert await due(ledger) == await removed(ledger) == NOTHING
    assert await rows(ledger, "SELECT payload FROM handoff.inbox") == [({},)]
    assert await rows(ledger, "SELECT DISTINCT presence FROM handoff.registrations") == [([],)]
    blank = "SELECT DISTINCT email, first_name, last_name, phone, language, timezone, erased FROM handoff.contacts"
    assert await rows(ledger, blank) == [("", "", "", "", "", "", False)]
    assert await rows(ledger, "SELECT DISTINCT facts FROM handoff.verdicts") == [({},)]
    assert await rows(ledger, "SELECT DISTINCT proof, state FROM handoff.effects") == [(None, "confirmed")]
    async with ledger.begin() as connection:
        assert await certificates.count(connection, 1) == before
    assert source.now
    # As the source tells it, not as it was aged here.
    young_again = """UPDATE handoff.occasions SET anchors = (
        SELECT jsonb_object_agg(key, CAST(value AS timestamptz) + interval '2 days') FROM jsonb_each_text(anchors))"""
    await change(ledger, young_again)
    assert (await record(ledger, [source.now], [a_rule()])).repeated == 1


async def test_what_is_younger_stays(ledger: AsyncEngine) -> None:
    await handed_over(ledger)
    assert await removed(ledger, Periods(*[3] * 8)) == NOTHING


@pytest.mark.parametrize("state", ["planned", "sending", "unknown", "held"])
async def test_people_with_something_open_are_kept(ledger: AsyncEngine, state: str) -> None:
    await handed_over(ledger)
    await change(ledger, "UPDATE handoff.effects SET state = :state WHERE id = 2", state=state)
    found = await removed(ledger)
    assert (found["contacts"], found["proofs"]) == (2, 2)
    query = (
        "SELECT handoff.id FROM handoff.handoffs AS handoff JOIN handoff.contacts AS contact ON contact.id = contact_id"
    )
    assert await rows(ledger, f"{query} WHERE email <> ''") == [(2,)]


@pytest.mark.parametrize("state", ["waiting", "held"])
async def test_a_list_that_is_still_to_be_judged_is_kept(ledger: AsyncEngine, state: str) -> None:
    source, _ = people(0)
    assert source.now
    await plan(ledger, source, [a_rule(when={"days": 30, "after": "end"})], source.now)
    async with ledger.begin() as connection:
        await registrations.store(connection, 1, await source.roster(source.now, None))
    await change(ledger, "UPDATE handoff.batches SET state = :state", state=state)
    await age(ledger)
    found = await removed(ledger)
    assert (found["presence"], found["contacts"]) == (0, 0)
    assert await rows(ledger, "SELECT count(*) FROM handoff.contacts WHERE email <> ''") == [(3,)]


async def test_people_who_come_to_another_occasion_are_kept(ledger: AsyncEngine) -> None:
    source = await handed_over(ledger)
    other = an_occasion(start=datetime.now(UTC), key="d2")
    await plan(ledger, source, [], other)
    async with ledger.begin() as connection:
        roster = await source.roster(other, None)
        await registrations.store(connection, 2, replace(roster, registrations=roster.registrations[:1]))
    assert (await removed(ledger))["contacts"] == 2
    assert await rows(ledger, "SELECT email FROM handoff.contacts WHERE email <> ''") == [("person0@example.org",)]


async def test_what_was_removed_is_read_anew_when_the_occasion_moves(ledger: AsyncEngine) -> None:
    source = await handed_over(ledger)
    await removed(ledger)
    async with ledger.connect() as connection:
        assert await registrations.read_at(connection, 1) is None
        assert {entry.unusable for entry in await registrations.listed(connection, 1)} == {"not_kept"}
    another = a_rule(id="another")
    now = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61), changed=2.0)
    source.now = now
    await plan(ledger, source, [another], now)
    assert await judge_due(ledger, another, source) == ["judged"]
    target = MemoryTarget()
    await work(ledger, another, desk_of(ledger, {"klicktipp_default": target}))
    assert sorted(email for email, _ in target.effects) == [f"person{number}@example.org" for number in range(3)]


async def test_somebody_the_source_lists_no_more_is_excluded(ledger: AsyncEngine) -> None:
    source = await handed_over(ledger)
    await removed(ledger)
    another = a_rule(id="another")
    source.now = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61), changed=2.0)
    source.registrations = source.registrations[:1]
    await plan(ledger, source, [another], source.now)
    await judge_due(ledger, another, source)
    reasons = "SELECT included, reason FROM handoff.verdicts WHERE batch_id = 2 ORDER BY id"
    assert await rows(ledger, reasons) == [(True, "registered"), (False, "not_kept"), (False, "not_kept")]
    assert await states(ledger) == {"confirmed": 3, "planned": 1}


async def test_starts_notices_and_uses(ledger: AsyncEngine) -> None:
    await change(ledger, "INSERT INTO handoff.starts (rule_id, seconds) SELECT 'r', n FROM generate_series(1, 60) AS n")
    await change(ledger, "INSERT INTO handoff.day_uses (account, day, purpose) VALUES ('k', current_date, 'writes')")
    async with ledger.begin() as connection:
        await notices.notice(connection, "closed", "held", "words")
        await notices.close(connection, "closed")
        await notices.notice(connection, "open", "held", "words")
    await age(ledger)
    expected = NOTHING | {"starts": 10, "notices": 1, "uses": 1}
    assert await due(ledger) == expected
    assert await removed(ledger) == expected
    assert await rows(ledger, "SELECT cause FROM handoff.notices") == [("open",)]
    assert await rows(ledger, "SELECT min(seconds) FROM handoff.starts") == [(11,)]


async def test_a_pass_is_limited_and_the_next_goes_on(ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    await handed_over(ledger)
    assert [(await removed(ledger))["facts"] for _ in range(3)] == [2, 1, 0]


async def test_the_sweep_asks_often_and_it_is_done_now_and_then(ledger: AsyncEngine) -> None:
    async def swept() -> int:
        async with ledger.begin() as connection:
            return sum((await retention.apply_now_and_then(connection, DAY)).values())

    await handed_over(ledger)
    assert await swept() == 13
    assert await swept() == 0
    await age(ledger)
    await change(ledger, "UPDATE handoff.verdicts SET facts = '{\"online\": true}'")
    assert await swept() == 0
    await change(ledger, "UPDATE handoff.cursors SET value = '2026-01-01T00:00:00+00:00'")
    assert await swept() == 3


async def test_the_command(ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDOFF_KEEP_EVENTS_DAYS", "1")
    await handed_over(ledger)
    events = {"kind": "events", "days": 1, "rows": 1}
    shown = (await handoff(ledger_url, "retention", "--json")).json
    assert (shown["applied"], shown["kinds"][0]) == (False, events)
    assert await rows(ledger, "SELECT count(*) FROM handoff.inbox WHERE payload <> '{}'") == [(1,)]
    done = (await handoff(ledger_url, "retention", "--apply", "--json")).json
    assert (done["applied"], done["kinds"][0]) == (True, events)
    assert await rows(ledger, "SELECT count(*) FROM handoff.inbox WHERE payload <> '{}'") == [(0,)]
    said = await handoff(ledger_url, "retention")
    assert said.out.splitlines()[1].split() == ["events", "1", "0"]


@pytest.mark.parametrize("days", ["0", "-1", "x", "1.5", "36501"])
def test_a_period_that_is_no_number_of_days(days: str) -> None:
    with pytest.raises(HandoffError, match="HANDOFF_KEEP_PROOFS_DAYS"):
        Periods.from_environment({"HANDOFF_KEEP_PROOFS_DAYS": days})


def test_periods_from_the_environment() -> None:
    assert Periods.from_environment({"HANDOFF_KEEP_FACTS_DAYS": "7", "HANDOFF_KEEP_EVENTS_DAYS": ""}) == Periods(
        facts=7
    )
    with pytest.raises(HandoffError, match="CONTACTS.*PRESENCE"):
        Periods.from_environment({"HANDOFF_KEEP_CONTACTS_DAYS": "30"})
