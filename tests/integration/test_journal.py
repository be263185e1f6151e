"""The journal: nothing is sent before its intent is on disk, and nothing is written by who lost the lane."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.errors import LedgerError
from handoff.ledger import lanes, verdicts
from handoff.ledger.journal import Journal, Outcome, Release
from handoff.ledger.lanes import ClaimedLane
from handoff.ledger.verdicts import Judged
from handoff.planning.planner import record
from handoff.rules.rule import Rule
from tests.support.chaos import cut_off, expire_leases, tags
from tests.support.delivery import judge_due, states
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.rows import rows

RULE = a_rule(steps=tags("eins", "zwei"))
LANE = "SELECT lease_owner, ready_at IS NULL, held FROM handoff.lanes ORDER BY id"


async def judged(ledger: AsyncEngine, count: int = 1, rule: Rule = RULE) -> None:
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61))
    source = FixedSource(occasion, some_registrations(count, before=occasion.anchors["start"]))
    await record(ledger, [occasion], [rule])
    assert await judge_due(ledger, rule, source) == ["judged"]


async def claim(ledger: AsyncEngine, owner: str) -> list[ClaimedLane]:
    async with ledger.begin() as connection:
        return await lanes.claim(connection, RULE.order_group, owner, most=100)


@asynccontextmanager
async def writing(ledger: AsyncEngine, owner: str) -> AsyncIterator[Journal]:
    journal = Journal(ledger, owner)
    task = asyncio.create_task(journal.run())
    try:
        yield journal
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_an_intent_is_on_disk_when_it_is_granted(ledger: AsyncEngine) -> None:
    await judged(ledger, 40)
    claimed = await claim(ledger, "a")
    async with writing(ledger, "a") as journal:
        granted = await asyncio.gather(*(journal.intend(lane.effects[0].id) for lane in claimed))
    assert granted == [True] * 40
    assert await states(ledger) == {"sending": 40, "planned": 40}
    assert await rows(ledger, "SELECT DISTINCT attempts FROM handoff.effects WHERE state = 'sending'") == [(1,)]


async def test_an_intent_is_refused_when_the_lease_is_over_or_somebody_else_s(ledger: AsyncEngine) -> None:
    await judged(ledger)
    [lane] = await claim(ledger, "a")
    first = lane.effects[0].id
    async with writing(ledger, "a") as journal, writing(ledger, "b") as other:
        await expire_leases(ledger)
        assert await journal.intend(first) is False
        [taken] = await claim(ledger, "b")
        assert await journal.intend(first) is False
        assert await other.intend(taken.effects[0].id) is True
        assert await other.intend(taken.effects[0].id) is False, "it is on its way already"


async def test_who_lost_a_lane_writes_nothing_into_it(ledger: AsyncEngine) -> None:
    await judged(ledger)
    [lane] = await claim(ledger, "a")
    async with writing(ledger, "a") as journal:
        assert await journal.intend(lane.effects[0].id)
        await expire_leases(ledger)
        await claim(ledger, "b")
        journal.note(Outcome(lane.effects[0].id, "confirmed"))
        journal.stop_rest(lane.effects[0].handoff_id, "skipped", "test")
        journal.release(Release(lane.id, lane.revision))
        await journal.flush()
    assert await states(ledger) == {"sending": 1, "planned": 1}
    assert await rows(ledger, LANE) == [("b", False, None)]


async def test_an_outcome_and_the_next_intent_share_a_group_in_this_order(ledger: AsyncEngine) -> None:
    await judged(ledger)
    [lane] = await claim(ledger, "a")
    one, two = lane.effects
    async with writing(ledger, "a") as journal:
        assert await journal.intend(one.id)
        journal.note(Outcome(one.id, "planned", "read back: not there"))
        assert await journal.intend(one.id), "the same effect may be announced again right after"
        journal.note(Outcome(one.id, "confirmed", proof={"id": 7}))
        assert await journal.intend(two.id)
        journal.note(Outcome(two.id, "refused", "no"))
        journal.release(Release(lane.id, lane.revision))
        await journal.flush()
    found = await rows(ledger, "SELECT state, attempts, proof, settled_at IS NOT NULL FROM handoff.effects ORDER BY id")
    assert found == [("confirmed", 2, {"id": 7}, True), ("refused", 1, None, True)]
    assert await rows(ledger, LANE) == [(None, True, None)]


async def add_work(ledger: AsyncEngine, wait: asyncio.Event | None = None) -> None:
    """Judge the same contact for another batch, as another rule run would."""
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61), key="d2")
    await record(ledger, [occasion], [RULE])
    [(batch_id, contact_id, key)] = await rows(
        ledger, "SELECT max(batches.id), contacts.id, key FROM handoff.batches, handoff.contacts GROUP BY 2, 3"
    )
    entry = Judged("again", contact_id, 0, True, "registered", key, {})
    now = datetime.now(UTC)
    async with ledger.begin() as connection:
        await verdicts.write(connection, batch_id, RULE, [entry], moment=now, read_at=now)
        if wait is not None:
            await wait.wait()


@pytest.mark.parametrize("while_it_is_written", [False, True])
async def test_new_work_is_never_put_to_sleep(ledger: AsyncEngine, while_it_is_written: bool) -> None:
    await judged(ledger)
    [lane] = await claim(ledger, "a")
    async with writing(ledger, "a") as journal:
        for effect in lane.effects:
            assert await journal.intend(effect.id)
            journal.note(Outcome(effect.id, "confirmed"))
        written = asyncio.Event()
        adding = asyncio.create_task(add_work(ledger, written if while_it_is_written else None))
        await asyncio.sleep(0.15)
        journal.release(Release(lane.id, lane.revision))
        flushing = asyncio.create_task(journal.flush())
        await asyncio.sleep(0.05)
        assert flushing.done() is not while_it_is_written, "the release waits for who adds work"
        written.set()
        await asyncio.gather(adding, flushing)
    assert await rows(ledger, LANE) == [(None, False, None)]
    [again] = await claim(ledger, "b")
    assert [effect.state for effect in again.effects] == ["planned", "planned"]


async def test_a_ledger_that_is_gone_grants_nothing_ever_after(ledger: AsyncEngine, ledger_url: str) -> None:
    await judged(ledger)
    [lane] = await claim(ledger, "a")
    journal = Journal(ledger, "a")
    task = asyncio.create_task(journal.run())
    assert await journal.intend(lane.effects[0].id)
    await cut_off(ledger_url)
    journal.note(Outcome(lane.effects[0].id, "confirmed"))
    with pytest.raises(LedgerError):
        await journal.intend(lane.effects[1].id)
    with pytest.raises(SQLAlchemyError) as caught:
        await task
    assert "example.org" not in str(caught.value)
    with pytest.raises(LedgerError):
        await journal.intend(lane.effects[1].id)
    with pytest.raises(LedgerError):
        journal.note(Outcome(lane.effects[0].id, "confirmed"))
    journal.release(Release(lane.id, lane.revision))
    with pytest.raises(LedgerError):
        await journal.flush()
    async with ledger.connect() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar() == 1, "the ledger is back"
    assert await states(ledger) == {"sending": 1, "planned": 1}
    assert await rows(ledger, LANE) == [("a", False, None)], "its outcome is lost: the lane must not be put to sleep"
