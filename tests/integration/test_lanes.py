"""Lanes: strict order within, freedom between, and one effect a step whoever dies."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery import policy
from handoff.delivery.worker import Worker
from handoff.errors import LedgerError, RateLimited, Transient, UnknownOutcome, WrongCredentials
from handoff.ledger import lanes
from handoff.ledger.connect import open_ledger_async
from handoff.occasion import Occasion
from handoff.planning.planner import record
from handoff.rules.rule import Rule
from tests.support.chaos import Logbook, cut_off, expire_leases, tags, work_until_killed
from tests.support.delivery import desk_of, judge_due, states, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.rows import change, rows
from tests.support.targets import MemoryTarget

THREE = tags("eins", "zwei", "drei")
IN_ORDER = ["eins", "zwei", "drei"]


async def judged(ledger: AsyncEngine, rule: Rule, count: int, **changes: Any) -> Occasion:
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61), **changes)
    source = FixedSource(occasion, some_registrations(count, before=occasion.anchors["start"]))
    await record(ledger, [occasion], [rule])
    assert await judge_due(ledger, rule, source) == ["judged"]
    return occasion


def assert_all_once_in_order(book: Logbook, count: int) -> None:
    found = book.by_contact()
    assert len(found) == count
    assert {email: order for email, order in found.items() if order != IN_ORDER} == {}
    assert max(book.target.most_in_flight.values()) == 1


async def test_two_workers_share_lanes_and_keep_their_order(ledger: AsyncEngine) -> None:
    rule, book = a_rule(steps=THREE), Logbook(latency=0.002)
    await judged(ledger, rule, 200)
    await asyncio.gather(
        *(work(ledger, rule, desk_of(ledger, {"klicktipp_default": book.target}), in_flight=24) for _ in range(2))
    )
    assert_all_once_in_order(book, 200)
    assert await states(ledger) == {"confirmed": 600}
    left = "SELECT count(*) FROM handoff.lanes WHERE ready_at IS NOT NULL OR lease_owner IS NOT NULL"
    assert await rows(ledger, left) == [(0,)]


@pytest.mark.parametrize("order", ["contact", "strict"])
async def test_a_killed_worker_s_lanes_are_settled_by_reading(ledger: AsyncEngine, ledger_url: str, order: str) -> None:
    rule, book = a_rule(steps=THREE, order=order), Logbook(latency=0.002)
    await judged(ledger, rule, 60)
    await ledger.dispose()
    assert await work_until_killed(ledger_url, rule, book, 50)
    sent = len(book.effects)
    await asyncio.sleep(0.05)
    assert len(book.effects) == sent < 180, "a worker without its ledger sends nothing more"
    assert (await states(ledger)).get("sending"), "the kill left intents without outcome"
    leased = "SELECT count(*) FROM handoff.lanes WHERE leased_until > now()"
    [(before,)] = await rows(ledger, leased)
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": book.target}), horizon=0.0)
    assert await rows(ledger, leased) == [(before,)], "nobody takes a lane whose lease still holds"
    await expire_leases(ledger)
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": book.target}))
    assert_all_once_in_order(book, 60)
    assert await states(ledger) == {"confirmed": 180}
    if order == "strict":
        people = [f"person{number}@example.org" for number in range(60)]
        assert book.effects == [(email, tag) for email in people for tag in IN_ORDER]


@pytest.mark.parametrize("seed", range(6))
async def test_any_interleaving_of_faults_keeps_order_and_count(
    ledger: AsyncEngine, ledger_url: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "FIRST_SECONDS", 0.02)
    monkeypatch.setattr(policy, "LONGEST_SECONDS", 0.1)
    dice = random.Random(seed)
    book = Logbook(seed=seed, lost=0.2, dropped=0.1, busy=0.1, latency=0.001)
    rule = a_rule(steps=THREE, order="strict" if seed % 3 == 2 else "contact")
    count = 15 if rule.order == "strict" else 40
    await judged(ledger, rule, count)
    for _ in range(4):
        await ledger.dispose()
        await asyncio.gather(
            *(work_until_killed(ledger_url, rule, book, dice.randint(1, 20), in_flight=dice.choice((1, 4, 32)))
              for _ in range(2))
        )  # fmt: skip
        await expire_leases(ledger)
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": book.target}))
    assert_all_once_in_order(book, count)
    assert await states(ledger) == {"confirmed": 3 * count}


async def test_a_worker_that_is_told_to_stop_writes_down_what_it_has_done(ledger: AsyncEngine) -> None:
    """Nothing that got its answer becomes doubtful because the task was cleared."""
    rule = a_rule(steps=THREE)
    target = MemoryTarget(readable=False, latency=0.002)
    await judged(ledger, rule, 60)
    task = asyncio.create_task(work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}), in_flight=8))
    while len(target.effects) < 60:
        await asyncio.sleep(0.001)
    answered = len(target.effects)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    found = await states(ledger)
    assert found["confirmed"] >= answered
    assert found.get("sending", 0) <= 8
    await expire_leases(ledger)
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}))
    assert set(Counter(target.effects).values()) == {1}
    assert (await states(ledger)).get("held", 0) <= 8


async def test_the_same_people_judged_again_while_their_lanes_are_worked_in(ledger: AsyncEngine) -> None:
    rule, book = a_rule(steps=THREE), Logbook(latency=0.001)
    people = some_registrations(150, before=datetime.now(UTC) - timedelta(hours=3))
    start = datetime.now(UTC) - timedelta(minutes=61)
    occasions = [an_occasion(start=start, key=f"d{number}") for number in range(4)]
    sources = [FixedSource(occasion, people) for occasion in occasions]
    desk = desk_of(ledger, {"klicktipp_default": book.target})

    async def judge(source: FixedSource) -> None:
        assert source.now is not None
        await record(ledger, [source.now], [rule])
        assert await judge_due(ledger, rule, source) == ["judged"]

    await judge(sources[0])
    working = [asyncio.create_task(work(ledger, rule, desk, in_flight=40)) for _ in range(2)]
    for source in sources[1:]:
        await judge(source)
    await asyncio.gather(*working)
    await work(ledger, rule, desk)
    assert await states(ledger) == {"confirmed": 4 * 450}
    assert {tuple(order) for order in book.by_contact().values()} == {tuple(IN_ORDER * 4)}
    assert max(book.target.most_in_flight.values()) == 1


async def test_a_target_that_never_answers_is_given_up(ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "FIRST_SECONDS", 0.005)
    rule = a_rule(steps=THREE)
    target = MemoryTarget(before=lambda call: UnknownOutcome(call.step.conn_id, "tag", "timeout"))
    await judged(ledger, rule, 2)
    await asyncio.wait_for(work(ledger, rule, desk_of(ledger, {"klicktipp_default": target})), 20)
    assert target.calls == 2 * policy.MOST_ATTEMPTS
    assert await states(ledger) == {"held": 2, "planned": 4}
    held = "SELECT count(*) FROM handoff.lanes WHERE held LIKE 'gave up after 8 attempts%'"
    assert await rows(ledger, held) == [(2,)]


async def test_an_outage_is_waited_for(ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "LONGEST_SECONDS", 0.01)
    failures = itertools.count()
    rule = a_rule(steps=THREE)

    def down(call: Any) -> Transient | RateLimited | None:
        number = next(failures)
        if number >= 40:
            return None
        return (Transient, RateLimited)[number % 2](call.step.conn_id, "tag")

    target = MemoryTarget(before=down)
    await judged(ledger, rule, 2)
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}))
    assert await states(ledger) == {"confirmed": 6}
    assert target.calls == 46


async def test_a_target_that_cannot_be_read_is_read_less_and_less(ledger: AsyncEngine) -> None:
    class Blind(MemoryTarget):
        reads = 0

        async def seen(self, call: Any) -> Any:
            self.reads += 1
            raise UnknownOutcome(call.step.conn_id, "read", "timeout")

    target = Blind(after=lambda call: UnknownOutcome(call.step.conn_id, "tag", "lost"))
    rule = a_rule()
    await judged(ledger, rule, 1)
    await change(ledger, "UPDATE handoff.effects SET state = 'unknown', attempts = 1,"
                         " intent_at = now() - interval '2 minutes'")  # fmt: skip
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}), horizon=10.0)
    assert (target.calls, target.reads) == (0, 1)
    [(seconds,)] = await rows(ledger, "SELECT EXTRACT(EPOCH FROM ready_at - now()) FROM handoff.lanes")
    assert seconds > 30
    assert await states(ledger) == {"unknown": 1}


async def test_an_account_with_wrong_credentials_does_not_stop_the_others(ledger: AsyncEngine) -> None:
    rule = a_rule(steps=[*tags("eins"), {"step": "activecampaign.tag", "tag": "zwei"}])
    wrong = MemoryTarget(before=lambda call: WrongCredentials(call.step.conn_id, "log in"))
    good = MemoryTarget()
    await judged(ledger, rule, 10)
    desk = desk_of(ledger, {"klicktipp_default": good, "activecampaign_default": wrong})
    worker = await work(ledger, rule, desk)
    assert list(worker.stopped) == ["activecampaign_default"]
    assert await states(ledger) == {"confirmed": 10, "planned": 10}


async def test_what_is_later_than_late_after_waits_for_a_person(ledger: AsyncEngine) -> None:
    rule, target = a_rule(steps=THREE, late_after={"hours": 2}), MemoryTarget()
    await judged(ledger, rule, 3)
    await change(ledger, "UPDATE handoff.batches SET due_at = due_at - interval '3 hours'")
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}))
    assert target.effects == []
    assert await states(ledger) == {"held": 3, "planned": 6}


async def test_lanes_are_claimed_in_the_order_of_registration(ledger: AsyncEngine) -> None:
    rule = a_rule()
    await judged(ledger, rule, 1200)
    async with ledger.begin() as connection:
        first = await lanes.claim(connection, rule.order_group, "first", most=100)
        second = await lanes.claim(connection, rule.order_group, "second", most=100)
    emails = [lane.effects[0].contact.email for lane in (*first, *second)]
    assert emails == [f"person{number}@example.org" for number in range(200)]


async def test_a_restarted_ledger_is_an_error_that_says_so(ledger: AsyncEngine, ledger_url: str) -> None:
    rule, target = a_rule(), MemoryTarget()
    engine = open_ledger_async(ledger_url)
    worker = Worker(engine, rule.order_group, "w", desk_of(engine, {"klicktipp_default": target}))
    task = asyncio.create_task(worker.run(more_to_come=_always))
    await asyncio.sleep(0.2)
    await ledger.dispose()
    await cut_off(ledger_url)
    with pytest.raises(LedgerError):
        await asyncio.wait_for(task, 5)
    await engine.dispose()


async def _always() -> bool:
    return True
