"""What was true when a lane was claimed may be over when its turn comes: the lease, the occasion, the grace."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery import lane_run, standing, worker
from handoff.delivery.limiter import Limiter
from handoff.occasion import Occasion
from handoff.planning.planner import record
from handoff.rules.rule import Rule
from handoff.target import Call, Proof
from tests.support.delivery import desk_of, judge_due, states, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.rows import change, rows
from tests.support.targets import MemoryTarget

PATIENCE = 60.0


class TwoCalls(MemoryTarget):
    """Makes a first call, waits until it is told to go on, and makes the second, which is the one that counts."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = 0, asyncio.Event()

    async def send(self, call: Call) -> Proof:
        self.begun += 1
        await self.go_on.wait()
        standing.check()
        return await super().send(call)


async def judged(ledger: AsyncEngine, rule: Rule, count: int) -> Occasion:
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61))
    source = FixedSource(occasion, some_registrations(count, before=occasion.anchors["start"]))
    await record(ledger, [occasion], [rule])
    assert await judge_due(ledger, rule, source) == ["judged"]
    return occasion


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_who_lost_a_lane_makes_no_further_call_there(
    ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "RENEW_SECONDS", 0.02)
    rule, target = a_rule(), TwoCalls()
    await judged(ledger, rule, 2)
    working = asyncio.create_task(work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}), horizon=0.0))

    async def both_begun() -> bool:
        return target.begun == 2

    async def renewed() -> bool:
        return (await rows(ledger, leases)) > before

    await until(both_begun)
    taken = "lease_owner = 'another', leased_until = clock_timestamp() + interval '1 hour'"
    await change(ledger, f"UPDATE handoff.lanes SET {taken} WHERE id = (SELECT min(id) FROM handoff.lanes)")
    leases = "SELECT leased_until FROM handoff.lanes WHERE lease_owner <> 'another'"
    for _ in range(2):
        before = await rows(ledger, leases)
        await until(renewed)
    target.go_on.set()
    await working
    assert len(target.effects) == 1
    assert await states(ledger) == {"confirmed": 1, "sending": 1}


async def test_who_waits_long_for_the_turn_hears_of_a_cancellation(
    ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_run, "SHORT_SECONDS", 0.1)
    rule, target = a_rule(), MemoryTarget()
    occasion = await judged(ledger, rule, 12)
    working = asyncio.create_task(work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}, rate=2.0)))

    async def one_is_out() -> bool:
        return bool(target.effects)

    await until(one_is_out)
    await record(ledger, [replace(occasion, cancelled=True, changed=occasion.changed + 1)], [rule])
    await working
    assert len(target.effects) < 12
    assert await states(ledger) == {"confirmed": len(target.effects), "skipped": 12 - len(target.effects)}


@pytest.mark.parametrize("end", ["occasion_cancelled", "occasion_moved"])
async def test_a_strict_lane_hears_of_its_occasion_while_it_is_worked_in(
    ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(lane_run, "SHORT_SECONDS", 0.05)
    rule, target = a_rule(order="strict"), MemoryTarget(latency=0.1)
    occasion = await judged(ledger, rule, 60)
    working = asyncio.create_task(work(ledger, rule, desk_of(ledger, {"klicktipp_default": target})))

    async def three_are_out() -> bool:
        return len(target.effects) >= 3

    await until(three_are_out)
    later = {name: at + timedelta(days=7) for name, at in occasion.anchors.items()}
    news = {"occasion_cancelled": {"cancelled": True}, "occasion_moved": {"anchors": later}}[end]
    await record(ledger, [replace(occasion, changed=occasion.changed + 1, **news)], [rule])  # type: ignore[arg-type]
    sent = len(target.effects)
    await working
    assert len(target.effects) <= sent + 3
    ends = "SELECT state, reason, count(*) FROM handoff.effects GROUP BY 1, 2 ORDER BY 1"
    done = len(target.effects)
    assert await rows(ledger, ends) == [("confirmed", "", done), ("skipped", end, 60 - done)]


async def test_at_a_slow_account_no_turns_are_kept_for_those_who_only_wait(ledger: AsyncEngine) -> None:
    """Else whoever takes over from a dead worker would wait for all of them."""
    limiter, left = Limiter(ledger, "account", 5.0), list[int]()

    async def effect(number: int) -> None:
        await limiter.reserve()
        await limiter()
        await limiter()
        left.append(number)

    waiting = [asyncio.create_task(effect(number)) for number in range(40)]
    async with asyncio.timeout(PATIENCE):
        while len(left) < 3:
            await asyncio.sleep(0.01)
            ahead = await rows(ledger, "SELECT extract(epoch FROM next_at - clock_timestamp()) FROM handoff.buckets")
            assert not ahead or ahead[0][0] < 2.0
    # Those who have begun are done before many others begin.
    assert sorted(left[:3]) == [0, 1, 2]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
