"""Claiming batches: what a run has claimed stays its own."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery import lease
from handoff.ledger import batches, rule_versions
from handoff.ledger.batches import WaitingBatch
from handoff.ledger.connect import open_ledger_async
from tests.support.delivery import plan
from tests.support.domain import FixedSource, a_rule, an_occasion
from tests.support.moments import claim, ended, planned
from tests.support.rows import change, rows, rows_become

LEASE = "SELECT EXTRACT(EPOCH FROM leased_until - clock_timestamp())::float FROM handoff.batches"


async def claimed(ledger: AsyncEngine, owner: str, horizon: float) -> list[int]:
    async with ledger.begin() as connection:
        return [batch.id for batch in await batches.claim(connection, "test_rule", owner, horizon=horizon)]


async def test_a_later_task_of_a_run_has_what_the_first_claimed_though_the_lead_got_shorter(
    ledger: AsyncEngine,
) -> None:
    rule, occasion = a_rule(), an_occasion(start=datetime.now(UTC) - timedelta(minutes=60), minutes=60.25)
    await plan(ledger, FixedSource(occasion), [rule], occasion)
    first = await claimed(ledger, "run", horizon=17)
    assert len(first) == 1
    assert await claimed(ledger, "run", horizon=5) == first
    assert await claimed(ledger, "another run", horizon=60) == []


async def postponed(ledger: AsyncEngine, batch: WaitingBatch) -> bool:
    async with ledger.begin() as connection:
        return await batches.postpone(connection, batch, 15, "later")


async def test_a_lease_lasts_some_seconds_however_far_the_moment_is(ledger: AsyncEngine) -> None:
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=59))
    await planned(ledger, occasion)
    await claim(ledger, owner="gather", horizon=65)
    [(left,)] = await rows(ledger, LEASE)
    assert 0 < left <= batches.LEASE_SECONDS


async def test_a_run_puts_off_only_what_it_has(ledger: AsyncEngine) -> None:
    await planned(ledger, ended())
    [mine] = await claim(ledger, owner="asleep")
    await change(ledger, "UPDATE handoff.batches SET leased_until = now() - interval '1 second'")
    [theirs] = await claim(ledger, owner="another")
    assert not await postponed(ledger, mine)
    assert await rows(ledger, "SELECT lease_owner, reason FROM handoff.batches") == [("another", "")]
    assert await postponed(ledger, theirs)
    assert await rows(ledger, "SELECT lease_owner, reason FROM handoff.batches") == [(None, "later")]
    assert not await postponed(ledger, theirs), "given back already"


async def test_a_lease_that_has_ended_is_not_renewed(ledger: AsyncEngine) -> None:
    await planned(ledger, ended())
    await claim(ledger, owner="asleep")
    await change(ledger, "UPDATE handoff.batches SET leased_until = now() - interval '1 second'")
    async with ledger.begin() as connection:
        await batches.renew(connection, "asleep")
    assert len(await claim(ledger, owner="another")) == 1


async def test_what_was_planned_with_another_version_meanwhile_is_not_judged_by_the_old_one(
    ledger: AsyncEngine,
) -> None:
    await planned(ledger, ended())
    [batch] = await claim(ledger)
    async with ledger.begin() as connection:
        assert await batches.still_due(connection, batch)
        version = await rule_versions.pin(connection, a_rule(title="Another"))
    await change(ledger, "UPDATE handoff.batches SET rule_version = :version", version=version)
    async with ledger.begin() as connection:
        assert not await batches.still_due(connection, batch)


async def test_a_database_that_was_gone_for_a_moment_costs_no_lease(
    ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)
    await planned(ledger, ended())
    await claim(ledger)
    engine = open_ledger_async(ledger_url, connections=1)
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    try:
        async with lease.kept(engine, "run"), asyncio.timeout(60):
            await rows_become(ledger, f"SELECT count(*) > 0 {others}", [(True,)])
            while "not renewed" not in caplog.text:
                await rows(ledger, f"SELECT pg_terminate_backend(pid) {others}")
                await asyncio.sleep(0.05)
            await change(ledger, "UPDATE handoff.batches SET leased_until = clock_timestamp() + interval '5 seconds'")
            longer = f"leased_until > clock_timestamp() + interval '{batches.LEASE_SECONDS - 3} seconds'"
            await rows_become(ledger, f"SELECT {longer} FROM handoff.batches", [(True,)])
    finally:
        await engine.dispose()
