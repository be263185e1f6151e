"""The delivery engine on a real ledger: order, once only, and nobody lost."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.errors import RateLimited, Refused, Transient, UnknownOutcome, WrongCredentials
from handoff.ledger import certificates
from handoff.occasion import Occasion
from handoff.rules.rule import Rule
from handoff.target import Call
from tests.support.delivery import desk_of, judge_due, plan, states, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.targets import Fault, MemoryTarget, lost_answers

THREE = [{"step": "klicktipp.tag", "tag": tag} for tag in ("eins", "zwei", "drei")]


def just_ended() -> Occasion:
    return an_occasion(start=datetime.now(UTC) - timedelta(minutes=61), minutes=60)


async def judged(ledger: AsyncEngine, rule: Rule, count: int) -> Occasion:
    """Plan and judge a webinar that has just ended, with ``count`` people registered."""
    occasion = just_ended()
    source = FixedSource(occasion, some_registrations(count, before=occasion.anchors["start"]))
    await plan(ledger, source, [rule], occasion)
    assert await judge_due(ledger, rule, source) == ["judged"]
    return occasion


def steps_of(target: MemoryTarget) -> dict[str, list[str]]:
    per_contact: dict[str, list[str]] = {}
    for contact, key in target.effects:
        per_contact.setdefault(contact, []).append(key)
    return per_contact


async def test_everybody_gets_each_step_once_and_in_order(ledger: AsyncEngine) -> None:
    rule, target = a_rule(steps=THREE), MemoryTarget(latency=0.001)
    await judged(ledger, rule, 300)
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}))
    assert await states(ledger) == {"confirmed": 900}
    assert max(target.most_in_flight.values()) == 1
    assert set(Counter(target.effects).values()) == {1}
    async with ledger.connect() as connection:
        order = await connection.execute(text("SELECT step_no FROM handoff.effects ORDER BY lane_id, settled_at, id"))
        assert [row.step_no for row in order] == [0, 1, 2] * 300


async def test_a_strict_rule_goes_one_after_the_other_in_order_of_registration(ledger: AsyncEngine) -> None:
    rule, target = a_rule(order="strict", steps=THREE[:2]), MemoryTarget()
    await judged(ledger, rule, 30)
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}))
    contacts = [contact for contact, _ in target.effects]
    assert contacts == [f"person{number}@example.org" for number in range(30) for _ in range(2)]


@pytest.mark.parametrize("fault", ["before", "after"])
async def test_lost_answers_are_settled_by_reading(ledger: AsyncEngine, fault: str) -> None:
    rule = a_rule(steps=THREE)
    lost: Fault = lost_answers(0.3, seed=7)
    target = MemoryTarget(after=lost, settling=0.02) if fault == "after" else MemoryTarget(before=lost, settling=0.02)
    await judged(ledger, rule, 100)
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}))
    assert await states(ledger) == {"confirmed": 300}
    assert set(Counter(target.effects).values()) == {1}
    assert len(target.effects) == 300


async def test_a_doubtful_effect_that_cannot_be_read_is_held_and_never_sent_again(ledger: AsyncEngine) -> None:
    rule = a_rule(steps=THREE)
    target = MemoryTarget(after=lost_answers(0.3, seed=7), readable=False)
    await judged(ledger, rule, 100)
    for _ in range(2):
        await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}))
    assert set(Counter(target.effects).values()) == {1}
    found = await states(ledger)
    assert found["held"] > 10
    assert found["confirmed"] + found["held"] == len(target.effects)


async def test_a_refusal_ends_that_contact_only(ledger: AsyncEngine) -> None:
    def refuse(call: Call) -> Refused | None:
        return Refused(call.step.conn_id, "tag", "blocked") if call.contact.email.startswith("person7@") else None

    rule, target = a_rule(steps=THREE), MemoryTarget(before=refuse)
    await judged(ledger, rule, 20)
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}))
    assert await states(ledger) == {"confirmed": 57, "refused": 1, "skipped": 2}


async def test_transient_failures_and_rate_limits_are_tried_again(ledger: AsyncEngine) -> None:
    failures = iter([Transient("klicktipp_default", "tag"), RateLimited("klicktipp_default", "tag", retry_after=0.1)])
    rule, target = a_rule(), MemoryTarget(before=lambda call: next(failures, None))
    await judged(ledger, rule, 5)
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}))
    assert await states(ledger) == {"confirmed": 5}
    assert target.calls == 7


async def test_wrong_credentials_stop_the_account_and_lose_nothing(ledger: AsyncEngine) -> None:
    rule = a_rule(steps=THREE)
    target = MemoryTarget(before=lambda call: WrongCredentials(call.step.conn_id, "log in"))
    await judged(ledger, rule, 200)
    worker = await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}), in_flight=8)
    assert list(worker.stopped) == ["klicktipp_default"]
    assert await states(ledger) == {"planned": 600}
    assert target.calls <= 8


async def test_the_certificate_is_even(ledger: AsyncEngine) -> None:
    rule, target = a_rule(), MemoryTarget(after=lambda call: UnknownOutcome("klicktipp_default", "tag"), readable=False)
    await judged(ledger, rule, 10)
    async with ledger.begin() as connection:
        (batch_id,) = await certificates.to_certify(connection, rule.id)
        before = await certificates.count(connection, batch_id)
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}))
    async with ledger.begin() as connection:
        after = await certificates.count(connection, batch_id)
    assert (before.listed, before.handled, before.pending, before.even) == (10, 0, 10, True)
    assert (after.listed, after.handled, after.pending, after.effects) == (10, 0, 10, {"held": 10})


async def test_what_a_dead_worker_sent_is_read_only_after_the_settling_time(ledger: AsyncEngine) -> None:
    class Died(BaseException):
        """The worker's end, after the call and before its outcome."""

    def die(call: Call) -> UnknownOutcome:
        raise Died

    rule, target = a_rule(), MemoryTarget(after=die, settling=0.6, lag=0.4)
    await judged(ledger, rule, 1)
    with pytest.raises(Died):
        await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}))
    assert await states(ledger) == {"sending": 1}
    async with ledger.begin() as connection:
        await connection.execute(text("UPDATE handoff.lanes SET leased_until = now()"))
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}))
    assert await states(ledger) == {"confirmed": 1}
    assert len(target.effects) == 1
