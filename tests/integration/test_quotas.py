"""The requests of a day: never more than the account has, shared by everybody, and planned by purpose."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from airflow.sdk import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.desk import Desk, LimiterOf
from handoff.delivery.limiter import Limiter
from handoff.delivery.purpose import POLLING, SETTLING, spending
from handoff.errors import QuotaUsedUp
from handoff.ledger import alarms, quotas
from handoff.ledger.connect import open_ledger_async
from handoff.ledger.quotas import Limits, Quota
from handoff.target import Target
from hooks.accounts import VENDORS
from hooks.ledger import LedgerHook
from hooks.webinaris import WebinarisClient
from sandbox import Sandbox, credentials
from tests.support.delivery import judge_due, plan, states, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.rows import change, rows

pytestmark = pytest.mark.integration


async def calls(limiter: Limiter, count: int) -> int:
    """Make so many calls at once; return how many may leave."""

    async def one() -> bool:
        try:
            await limiter.reserve()
            await limiter()
        except QuotaUsedUp:
            return False
        return True

    return sum(await asyncio.gather(*(one() for _ in range(count))))


async def used(ledger: AsyncEngine) -> dict[str, int]:
    return dict(await rows(ledger, "SELECT purpose, sum(used)::int FROM handoff.day_uses GROUP BY purpose"))  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [None, 2000.0])
async def test_workers_share_the_day_and_use_all_of_it(
    ledger_url: str, ledger: AsyncEngine, rate: float | None
) -> None:
    engines = [open_ledger_async(ledger_url, connections=2) for _ in range(3)]
    limiters = [Limiter(engine, "account", rate, Quota(100)) for engine in engines]
    left = await asyncio.gather(*(calls(limiter, 60) for limiter in limiters))
    for engine in engines:
        await engine.dispose()
    assert await used(ledger) == {"writes": 90}
    # What a worker has counted and does not use is lost to the others: at most one block for each.
    assert 90 - 10 <= sum(left) <= 90


async def test_one_worker_leaves_none_unused(ledger: AsyncEngine) -> None:
    limiter = Limiter(ledger, "account", 5000, Quota(1000))
    assert await calls(limiter, 2000) == 900


async def test_requests_are_counted_in_blocks(ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    trips: list[int] = []
    whole = Limiter._reserve

    async def noted(self: Limiter, count: int, counting: Any = None) -> Any:
        trips.append(count)
        return await whole(self, count, counting)

    monkeypatch.setattr(Limiter, "_reserve", noted)
    limiter = Limiter(ledger, "account", 2000, Quota(10_000))
    assert await calls(limiter, 1000) == 1000
    assert len(trips) <= 8


async def test_each_purpose_keeps_what_the_others_leave_to_it(ledger: AsyncEngine) -> None:
    quota = Quota(100, polling=0.2)
    assert [quota.most(purpose) for purpose in ("writes", "polling", "reserve")] == [70, 20, 10]
    limiter = Limiter(ledger, "account", None, quota)
    assert await calls(limiter, 100) == 70
    with spending(POLLING):
        for _ in range(20):
            await limiter()
        with pytest.raises(QuotaUsedUp):
            await limiter()
    with spending(SETTLING):
        for _ in range(10):
            await limiter()
        with pytest.raises(QuotaUsedUp) as refusal:
            await limiter()
    assert refusal.value.retry_after is not None
    assert 0 < refusal.value.retry_after <= 86_401
    assert await used(ledger) == {"writes": 70, "polling": 20, "reserve": 10}


async def test_a_reserved_request_is_used_once_also_by_a_task_that_is_started_meanwhile(ledger: AsyncEngine) -> None:
    """As when an effect finds the names of tags not read yet, and lets a task read them for all."""
    limiter, left = Limiter(ledger, "account", None, Quota(20)), 0

    async def effects() -> None:
        nonlocal left
        while left <= 20:
            await limiter.reserve()
            await asyncio.create_task(limiter())
            left += 1
            await limiter()
            left += 1

    with pytest.raises(QuotaUsedUp):
        await effects()
    assert 17 <= left <= 20


async def test_what_was_reserved_for_a_call_that_never_left_is_used_by_the_next(ledger: AsyncEngine) -> None:
    limiter = Limiter(ledger, "account", 1000, Quota(20))

    async def effects() -> None:
        for _ in range(50):
            await limiter.reserve()
        await limiter()

    await asyncio.create_task(effects())
    assert await used(ledger) == {"writes": 1}
    await limiter.reserve()
    with time_machine.travel(datetime.now(UTC) + timedelta(days=1)):
        await limiter.reserve()
    assert await used(ledger) == {"writes": 3}, "yesterday's request is gone"


async def test_what_was_begun_is_finished_from_the_reserve(ledger: AsyncEngine) -> None:
    limiter = Limiter(ledger, "account", None, Quota(20))
    assert await calls(limiter, 18) == 18
    await limiter()
    with pytest.raises(QuotaUsedUp):
        await limiter.reserve()
    await limiter()
    with pytest.raises(QuotaUsedUp):
        await limiter()
    assert await used(ledger) == {"writes": 18, "reserve": 2}


async def test_a_day_ends_at_midnight_utc(ledger: AsyncEngine) -> None:
    limiter = Limiter(ledger, "account", None, Quota(10))
    assert await calls(limiter, 12) == 9
    await change(ledger, "UPDATE handoff.day_uses SET day = day - 1")
    assert await calls(limiter, 1) == 0
    with time_machine.travel(datetime.now(UTC) + timedelta(days=1), tick=True):
        assert await calls(limiter, 12) == 9
    assert (
        quotas.next_day(datetime.fromisoformat("2026-11-23T00:30:00+01:00")).isoformat() == "2026-11-23T00:00:00+00:00"
    )


def klicktipp(sandbox: Sandbox, engine: AsyncEngine, **extra: Any) -> Desk:
    values = {"settling_seconds": 0.1, "requests_per_second": 500, "timeout": 5} | extra
    connection = SimpleNamespace(
        host=f"{sandbox.http_url}/klicktipp", schema=None, port=None, login=credentials.KLICKTIPP_USERNAME,
        password=credentials.KLICKTIPP_PASSWORD, extra=json.dumps(values),
    )  # fmt: skip

    async def opener(account: str, step: str, limiter_of: LimiterOf) -> Target:
        limits = VENDORS["klicktipp"].limits(account, connection)
        return VENDORS["klicktipp"].from_connection(account, connection, limiter_of(limits.rate, limits.quota))

    return Desk(engine, opener)


def know(sandbox: Sandbox, count: int) -> None:
    """Let the account have a tag, and so many people of the list: each takes one request then."""
    account = sandbox.world.klicktipp
    account.put_tag("Termin")
    for person in some_registrations(count):
        account.put_contact(person.email, "", account.default_opt_in, "Subscribed")


async def test_lanes_rest_until_the_next_day_without_burning_attempts(ledger: AsyncEngine) -> None:
    rule = a_rule(steps=[{"step": "klicktipp.tag", "tag": "Termin"}])
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61))
    source = FixedSource(occasion, some_registrations(60, before=occasion.anchors["start"]))
    await plan(ledger, source, [rule], occasion)
    await judge_due(ledger, rule, source)
    async with Sandbox() as sandbox:
        know(sandbox, 60)
        desk = klicktipp(sandbox, ledger, requests_per_day=40)
        async with asyncio.timeout(60):
            await work(ledger, rule, desk)
        requests = sum(sum(path.values()) for path in sandbox.calls.as_json()["klicktipp"]["paths"].values())
        contacts = sum(effect.action == "tag" for effect in sandbox.effects)
        await desk.close()
        assert requests <= 40
        assert 30 <= contacts <= 36
        assert await states(ledger) == {"confirmed": contacts, "planned": 60 - contacts}
        waiting = "SELECT max(attempts), count(*) FROM handoff.effects WHERE state = 'planned' AND reason LIKE :reason"
        assert await rows(ledger, waiting, reason="%requests of the day are used up%") == [(0, 60 - contacts)]
        midnight = quotas.next_day(datetime.now(UTC))
        ((early, late),) = await rows(
            ledger, "SELECT min(ready_at), max(ready_at) FROM handoff.lanes WHERE ready_at IS NOT NULL"
        )
        assert midnight <= early <= late <= midnight + timedelta(seconds=30)
        (notice,) = await rows(ledger, "SELECT cause, kind, words FROM handoff.notices")
        assert notice[:2] == ("quota/klicktipp_default/writes", "quota")
        assert "36 requests for writes (of 40) are used up" in notice[2]

        await change(ledger, "UPDATE handoff.day_uses SET day = day - 1")
        await change(ledger, "UPDATE handoff.lanes SET ready_at = clock_timestamp() WHERE ready_at IS NOT NULL")
        await change(ledger, "UPDATE handoff.notices SET last_at = last_at - interval '1 day'")
        async with ledger.begin() as connection:
            await alarms.review(connection)
        assert await rows(ledger, "SELECT count(*) FROM handoff.notices WHERE closed_at IS NULL") == [(0,)]
        desk = klicktipp(sandbox, ledger, requests_per_day=40)
        async with asyncio.timeout(60):
            await work(ledger, rule, desk)
        await desk.close()
        assert await states(ledger) == {"confirmed": 60}
        people = [effect.contact for effect in sandbox.effects if effect.action == "tag"]
        assert len(people) == len(set(people)) == 60


async def test_lanes_that_rest_for_tomorrow_go_on_today_when_more_is_allowed(ledger: AsyncEngine) -> None:
    rule = a_rule(steps=[{"step": "klicktipp.tag", "tag": "Termin"}])
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61))
    source = FixedSource(occasion, some_registrations(12, before=occasion.anchors["start"]))
    await plan(ledger, source, [rule], occasion)
    await judge_due(ledger, rule, source)
    ready = "SELECT count(*) FILTER (WHERE ready_at <= clock_timestamp()), count(ready_at) FROM handoff.lanes"
    async with Sandbox() as sandbox:
        know(sandbox, 12)
        desk = klicktipp(sandbox, ledger, requests_per_day=10)
        await work(ledger, rule, desk)
        await desk.close()
        [(_, resting)] = await rows(ledger, ready)
        assert resting >= 3
        for per_day, goes_on in ((10, 0), (100, resting)):
            async with ledger.begin() as connection:
                await quotas.declare(connection, "klicktipp_default", Limits(quota=Quota(per_day)))
            assert await rows(ledger, ready) == [(goes_on, resting)]
            standing = "SELECT count(*) FROM handoff.notices WHERE closed_at IS NULL AND cause LIKE '%/writes'"
            assert await rows(ledger, standing) == [(0 if goes_on else 1,)]
        desk = klicktipp(sandbox, ledger, requests_per_day=100)
        await work(ledger, rule, desk)
        await desk.close()
    assert await states(ledger) == {"confirmed": 12}


async def test_polling_is_counted_in_the_ledger_and_spread_over_the_day(
    ledger_url: str, ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def opened(ledger_conn_id: str, *, connections: int = 4) -> AsyncEngine:
        return open_ledger_async(ledger_url, connections=connections)

    monkeypatch.setattr(LedgerHook, "open", opened)
    async with Sandbox() as sandbox:
        connection = Connection(
            conn_id="webinaris_default", conn_type="webinaris", host=f"{sandbox.http_url}/webinaris",
            password=credentials.WEBINARIS_APIKEY, extra=json.dumps({"requests_per_day": 4}),
        )  # fmt: skip
        async with WebinarisClient.from_connection("webinaris_default", connection) as client:
            assert client.pace_seconds == 86_400 / 3
            for _ in range(3):
                await client.dates()
            with pytest.raises(QuotaUsedUp):
                await client.dates()
        assert await used(ledger) == {"polling": 3}
        paths = sandbox.calls.as_json()["webinaris"]["paths"].values()
        assert sum(sum(answers.values()) for answers in paths) == 3
