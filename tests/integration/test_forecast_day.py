"""The day's plan is shown, and what is open already is counted in requests."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger import cursors, freezes, poll_plans, prospects, quotas
from handoff.ledger.poll_plans import PollPlan
from handoff.ledger.quotas import Limits, Quota
from tests.support.commands import handoff
from tests.support.delivery import judge_due, plan
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.rows import change

pytestmark = pytest.mark.integration
TODAY = "INSERT INTO handoff.day_uses SELECT :account, CAST(now() AT TIME ZONE 'UTC' AS date), :purpose, :used"


async def a_day(ledger: AsyncEngine, next_at: float) -> None:
    """Let two accounts have a day: a source that is polled, and a target."""
    async with ledger.begin() as connection:
        polled = Quota(1000, polling=0.5)
        await quotas.declare(connection, "insightly_default", Limits(10.0, polled))
        await quotas.declare(connection, "klicktipp_default", Limits(10.0, Quota(2000)))
        await quotas.declare(connection, "quentn_default", Limits(5.0))
        await poll_plans.keep(connection, "insightly", "insightly_default", PollPlan(next_at, 518.4, 0.5))
    for purpose, used in (("polling", 12), ("writes", 3)):
        await change(ledger, TODAY, account="insightly_default", purpose=purpose, used=used)
    await change(ledger, "INSERT INTO handoff.day_uses SELECT account, day - 1, purpose, 77 FROM handoff.day_uses")


async def test_the_plan_of_the_day(ledger: AsyncEngine, ledger_url: str) -> None:
    coming = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=30)
    await a_day(ledger, coming.timestamp())
    said = await handoff(ledger_url, "forecast", "--json")
    assert said.json["accounts"] == [
        {
            "account": "insightly_default", "per_day": 1000,
            "planned": {"writes": 400, "polling": 500, "reserve": 100},
            "used": {"writes": 3, "polling": 12, "reserve": 0},
            "pace_seconds": 518.4, "next_poll_at": coming.isoformat(),
        },
        {
            "account": "klicktipp_default", "per_day": 2000,
            "planned": {"writes": 1800, "polling": 0, "reserve": 200},
            "used": {"writes": 0, "polling": 0, "reserve": 0},
            "pace_seconds": None, "next_poll_at": None,
        },
    ]  # fmt: skip
    lines = (await handoff(ledger_url, "forecast")).out.splitlines()
    [row] = [line for line in lines if line.startswith("insightly_default")]
    assert row.split("  ")[0] == "insightly_default"
    assert all(words in row for words in ("1,000", "3 of 400", "12 of 500", "0 of 100", "518 s apart"))
    assert f"{coming.astimezone():%Y-%m-%d %H:%M:%S}" in row
    assert not [line for line in lines if line.startswith("quentn_default")]


async def test_a_poll_that_is_due_and_no_limits_at_all(ledger: AsyncEngine, ledger_url: str) -> None:
    assert (await handoff(ledger_url, "forecast")).out.strip() == "No batch waits for a moment in the next 7 days."
    await a_day(ledger, 0.0)
    [row] = [one for one in (await handoff(ledger_url, "forecast")).out.splitlines() if one.startswith("insightly")]
    assert row.endswith("now")


async def test_writes_leave_room_for_polling(ledger: AsyncEngine) -> None:
    await a_day(ledger, 0.0)
    async with ledger.connect() as connection:
        found = {one.account: one.now for one in await prospects.accounts(connection)}
    assert (found["insightly_default"].per_day, found["insightly_default"].used) == (400, 3)
    assert (found["klicktipp_default"].per_day, found["quentn_default"].per_day) == (1800, None)


async def test_the_limit_of_the_day_is_the_one_declared_last(ledger: AsyncEngine) -> None:
    """An account whose watch is paused is planned no more, but sending says what its connection allows by now."""
    await a_day(ledger, 0.0)
    for limits, writes in ((Limits(10.0, Quota(5000, polling=0.5)), 2000), (Limits(10.0), None)):
        async with ledger.begin() as connection:
            await quotas.declare(connection, "insightly_default", limits)
            found = {one.account: one.now for one in await prospects.accounts(connection)}
        assert found["insightly_default"].per_day == writes


@pytest.mark.parametrize("more", [{"per_day": 77}, {}], ids=["an older one", "a newer one"])
async def test_a_plan_that_another_version_of_the_program_kept_is_read(
    ledger: AsyncEngine, more: dict[str, int]
) -> None:
    await a_day(ledger, 0.0)
    kept = json.dumps({"next_at": 60.0, "pace_seconds": 5.0, "polling": 0.5, **(more or {"unheard_of": 1})})
    async with ledger.begin() as connection:
        await cursors.write(connection, "insightly.plan", "insightly_default", kept)
        [polls] = [one.polls for one in await prospects.accounts(connection) if one.polls]
    assert polls == PollPlan(60.0, 5.0, 0.5)


async def test_what_is_open_is_counted_in_requests_unless_a_person_has_to_let_it_go(ledger: AsyncEngine) -> None:
    rule = a_rule(steps=[{"step": "activecampaign.untag", "tag": "t"}, {"step": "klicktipp.contact"}])
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61))
    source = FixedSource(occasion, some_registrations(5, before=occasion.anchors["start"]))
    await plan(ledger, source, [rule], occasion)
    assert await judge_due(ledger, rule, source) == ["judged"]
    assert await backlog(ledger) == {"activecampaign_default": 10, "klicktipp_default": 15}
    await change(ledger, "UPDATE handoff.lanes SET held = 'doubt' WHERE id = (SELECT min(id) FROM handoff.lanes)")
    assert await backlog(ledger) == {"activecampaign_default": 8, "klicktipp_default": 12}
    async with ledger.begin() as connection:
        await freezes.freeze(connection, "account:klicktipp_default", "holiday")
    assert await backlog(ledger) == {"activecampaign_default": 8}
    async with ledger.begin() as connection:
        await freezes.freeze(connection, "rule:test_rule", "wrong text")
    await change(ledger, "UPDATE handoff.lanes SET rests = 'rule:test_rule'")
    assert await backlog(ledger) == {}


async def backlog(ledger: AsyncEngine) -> dict[str, int]:
    async with ledger.connect() as connection:
        return await prospects.open_requests(connection)
