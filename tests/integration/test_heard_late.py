"""What is heard of long after its moment: the late policy decides, and what was there before the rule stays out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery import sweep as sweeping
from handoff.delivery.sweep import Sweep
from handoff.ledger import cursors
from handoff.planning.planner import plan_new_rules, record
from handoff.rules.rule import Rule
from hooks.accounts import open_source
from hooks.insightly_cursor import PollCursor
from operators.insightly import RecordClosingsOperator
from tests.support.chaos import tags
from tests.support.crm import Crm, a_crm
from tests.support.delivery import desk_of, judge_due, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.etermin_world import BATCHES, ETermin, rule
from tests.support.rows import change, rows
from tests.support.targets import MemoryTarget

pytestmark = pytest.mark.integration
BOOKED = rule("booked", {"minutes": 0, "after": "booked"})
REMINDER = rule("reminder", {"days": 1, "before": "start"})
STATES = "SELECT rule_id, state, reason FROM handoff.batches ORDER BY rule_id"
NOTICES = "SELECT cause, count FROM handoff.notices WHERE closed_at IS NULL ORDER BY cause"
CERTIFICATES = "SELECT listed, excluded, even FROM handoff.certificates"
INSIGHTLY: dict[str, Any] = {
    "per_second": None,
    "contacts": [{"id": 101, "firstname": "Anna", "email": "anna@example.org"}, {"id": 102, "email": "b@example.org"}],
    "opportunities": [{"id": 31, "name": "Eins", "contacts": [101]}],
}
WON: dict[str, Any] = {
    "id": "won", "source": "insightly", "when": {"minutes": 0, "after": "closed"},
    "steps": [{"step": "klicktipp.tag", "tag": "Kunde"}],
}  # fmt: skip
NOW = datetime.now(UTC)


@pytest.fixture
async def crm(ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Crm]:
    async with a_crm({"insightly": INSIGHTLY}, tmp_path, ledger_url, monkeypatch) as stand_ins:
        yield stand_ins


async def at_work_since(ledger: AsyncEngine, days: int) -> None:
    """Let every rule that is at work be so for some days."""
    await change(ledger, "UPDATE handoff.rule_versions SET created_at = now() - make_interval(days => :d)", d=days)


async def swept(ledger: AsyncEngine, *rules: Rule) -> Sweep:
    """Sweep, with the accounts as the rules' DAGs open them."""
    opened = []

    async def opener(source: str, account: str) -> Any:
        opened.append(await open_source(source, account, ledger))
        return opened[-1]

    try:
        return await sweeping.run(Sweep(ledger, rules, opener, everything=True))
    finally:
        for source in opened:
            await source.close()


async def delivered(ledger: AsyncEngine, one: Rule, source: Any) -> tuple[list[str], list[str]]:
    """Hand over what is due, twice; return what became of the batches, and whom it was for."""
    target = MemoryTarget()
    became = []
    for _ in range(2):
        became += await judge_due(ledger, one, source)
        await work(ledger, one, desk_of(ledger, {"klicktipp_default": target}))
    return became, [contact for contact, _ in target.effects]


@pytest.mark.parametrize("heard_by", ["poll", "sweep"])
async def test_an_appointment_booked_during_an_outage_is_handed_over_once(
    etermin: ETermin, ledger: AsyncEngine, heard_by: str
) -> None:
    [booked] = etermin.rules(BOOKED)
    await etermin.poll()
    await at_work_since(ledger, 2)
    await etermin.book(booked="-2h")
    await (etermin.poll() if heard_by == "poll" else swept(ledger, booked))
    assert await rows(ledger, BATCHES) == [("booked", "a1", "waiting")]
    await etermin.poll()
    await swept(ledger, booked)
    source = await etermin.source()
    assert await delivered(ledger, booked, source) == (["judged"], ["eva@example.org"])
    await source.close()
    assert await rows(ledger, NOTICES) == []


async def test_what_was_booked_before_the_rule_was_at_work_stays_out(etermin: ETermin, ledger: AsyncEngine) -> None:
    [booked] = etermin.rules(BOOKED)
    await etermin.book(booked="-2h")
    await etermin.poll()
    await etermin.book("a2", booked="-3h")
    await etermin.poll()
    await swept(ledger, booked)
    assert await rows(ledger, STATES) == [("booked", "missed", "past_when_first_seen")] * 2
    assert await rows(ledger, NOTICES) == []
    assert await rows(ledger, CERTIFICATES) == []


async def test_a_reminder_whose_moment_passed_unheard_waits_but_not_one_that_was_booked_after_it(
    etermin: ETermin, ledger: AsyncEngine
) -> None:
    etermin.rules(REMINDER)
    await etermin.poll()
    await at_work_since(ledger, 9)
    await etermin.book("a1", start="+20h", booked="-3d")
    await etermin.book("a2", start="+20h", booked="-2h")
    await etermin.poll()
    assert await rows(ledger, BATCHES) == [("reminder", "a1", "waiting"), ("reminder", "a2", "missed")]
    assert await rows(ledger, NOTICES) == []


async def polled(ledger: AsyncEngine, since: timedelta) -> None:
    """Poll after an outage that began so long ago."""
    async with ledger.begin() as connection:
        text = PollCursor({"opportunity": datetime.now(UTC) - since, "project": datetime.now(UTC)}).text()
        await cursors.write(connection, "insightly", "insightly_default", text)
    await RecordClosingsOperator(task_id="record").aexecute({})


async def stamped(crm: Crm, ago: timedelta, state: str = "") -> None:
    """Let the opportunity have been edited, or come into a state, so long ago."""
    at = int((datetime.now(UTC) - ago).timestamp())
    await crm.order("insightly/stamp", ids=[31], state=state, at=at)


@pytest.mark.parametrize(
    ("won", "edited", "became", "told"),
    [
        (timedelta(hours=2), timedelta(minutes=70), ["judged"], ["anna@example.org"]),
        # Its history says when it was won, long before its last change.
        (timedelta(days=3), timedelta(hours=2), ["held"], []),
    ],
)
async def test_an_opportunity_that_was_won_and_edited_before_it_was_heard_of(
    crm: Crm, ledger: AsyncEngine, won: timedelta, edited: timedelta, became: list[str], told: list[str]
) -> None:
    one = crm.rule(**WON)
    await RecordClosingsOperator(task_id="record").aexecute({})
    await at_work_since(ledger, 20)
    await stamped(crm, won, "WON")
    await stamped(crm, edited)
    await polled(ledger, won + timedelta(hours=1))
    assert await rows(ledger, STATES) == [("won", "waiting", "")]
    source = await open_source("insightly", "insightly_default", ledger)
    assert await delivered(ledger, one, source) == (became, told)
    await source.close()


async def test_an_opportunity_won_before_the_rule_was_at_work_stays_out(crm: Crm, ledger: AsyncEngine) -> None:
    one = crm.rule(**WON)
    await stamped(crm, timedelta(hours=2), "WON")
    await polled(ledger, timedelta(hours=3))
    await swept(ledger, one)
    assert await rows(ledger, STATES) == [("won", "missed", "past_when_first_seen")]


async def recorded(ledger: AsyncEngine, one: Rule, *, at_work: int = 40, **occasion: Any) -> FixedSource:
    """Hear of an occasion with two people; the rule has been at work for so many days."""
    await plan_new_rules(ledger, one.source, one.conn_id, [one])
    await at_work_since(ledger, at_work)
    happened = an_occasion(**occasion)
    source = FixedSource(happened, some_registrations(2, before=min(happened.anchors.values())))
    await record(ledger, [happened], [one])
    return source


async def opened(source: FixedSource, ledger: AsyncEngine, *rules: Rule) -> Sweep:
    async def of(name: str, account: str) -> FixedSource:
        return source

    return await sweeping.run(Sweep(ledger, rules, of, everything=True))


ENDED: dict[str, Any] = {"start": NOW - timedelta(hours=5), "minutes": 60}


@pytest.mark.parametrize(
    ("occasion", "at_work", "state"),
    [
        (ENDED | {"changed": (NOW - timedelta(days=2)).timestamp()}, 40, "waiting"),
        (ENDED | {"changed": (NOW - timedelta(hours=3)).timestamp()}, 40, "heard_too_late"),
        (ENDED | {"changed": 0.0}, 40, "heard_too_late"),
        (ENDED | {"changed": 0.0}, 0, "past_when_first_seen"),
        ({"start": NOW - timedelta(days=32), "changed": 1.0}, 40, "heard_too_late"),
    ],
    ids=["known in time", "changed since", "source does not say", "rule was not at work", "too long ago"],
)
async def test_a_webinar_that_is_heard_of_when_it_is_over(
    ledger: AsyncEngine, occasion: dict[str, Any], at_work: int, state: str
) -> None:
    one = a_rule(steps=tags("eins"))
    await recorded(ledger, one, at_work=at_work, **occasion)
    assert [found[1:] for found in await rows(ledger, STATES)] == [
        (state, "") if state == "waiting" else ("missed", state)
    ]
    told = [("missed/rule:test_rule", 1)] if state == "heard_too_late" else []
    assert await rows(ledger, NOTICES) == told


async def test_a_reminder_of_what_was_made_up_at_short_notice_was_never_due(ledger: AsyncEngine) -> None:
    one = a_rule(when={"days": 1, "before": "start"})
    changed = (NOW - timedelta(hours=2)).timestamp()
    await recorded(ledger, one, start=NOW + timedelta(hours=5), changed=changed)
    assert await rows(ledger, STATES) == [("test_rule", "missed", "past_when_first_seen")]
    assert await rows(ledger, NOTICES) == []


async def test_whom_nobody_is_handed_over_for_is_certified_and_told_once(ledger: AsyncEngine) -> None:
    one = a_rule(steps=tags("eins"))
    source = await recorded(ledger, one, **ENDED, changed=0.0)
    for _ in range(2):
        found = await opened(source, ledger, one)
        assert await rows(ledger, CERTIFICATES) == [(2, {"heard_too_late": 2}, True)]
        assert found.compared["webinaris", "webinaris_default"].troubles == []
    assert found.published == []
    assert await rows(ledger, NOTICES) == [("missed/rule:test_rule", 1)]
    await record(ledger, [an_occasion(key="d2", **ENDED, changed=0.0)], [one])
    assert await rows(ledger, NOTICES) == [("missed/rule:test_rule", 2)]
    age = "UPDATE handoff.notices SET last_at = now() - interval '25 hours'"
    await change(ledger, age)
    await opened(source, ledger, one)
    assert await rows(ledger, NOTICES) == [("missed/rule:test_rule", 2)], "nobody was told yet"
    await change(ledger, f"{age}, told_at = now()")
    await opened(source, ledger, one)
    assert await rows(ledger, NOTICES) == []


async def test_a_rule_that_is_switched_on_again_hands_nobody_over_for_the_past(
    etermin: ETermin, ledger: AsyncEngine
) -> None:
    [booked] = etermin.rules(BOOKED)
    await etermin.poll()
    await at_work_since(ledger, 9)
    etermin.rules(REMINDER)
    await etermin.book("a1", start="+9d", booked="-2h")
    await etermin.poll()
    etermin.rules(BOOKED)
    await etermin.poll()
    await swept(ledger, booked)
    states = dict(row[:2] for row in await rows(ledger, STATES))
    assert states == {"booked": "missed", "reminder": "waiting"}
    assert await rows(ledger, NOTICES) == [("missed/rule:booked", 1)]


async def test_a_rule_counts_by_what_it_waited_for_at_the_moment(ledger: AsyncEngine) -> None:
    await recorded(ledger, a_rule(webinars=["other"]), **ENDED, changed=1.0)
    await record(ledger, [an_occasion(key="d2", **ENDED, changed=1.0)], [a_rule()])
    assert await rows(ledger, STATES) == [("test_rule", "missed", "past_when_first_seen")]
