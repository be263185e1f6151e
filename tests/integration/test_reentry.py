"""Re-entry: who was handed over by a rule before is not again, unless the rule says so."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.contact import Contact
from handoff.delivery.by_hand import ByHand, hand_over
from handoff.delivery.moment import attend, first_look
from handoff.ledger import batches, certificates
from handoff.planning.planner import record
from handoff.registration import Registration
from handoff.rules.rule import Rule
from tests.support.delivery import desk_of, judge_due, states, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.rows import change, rows
from tests.support.targets import MemoryTarget

NOW = datetime.now(UTC)
VERDICTS = """
    SELECT occasion.key, verdict.included, verdict.reason FROM handoff.verdicts AS verdict
    JOIN handoff.batches AS batch ON batch.id = verdict.batch_id
    JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id ORDER BY verdict.id
"""
AGAIN, NOT_AGAIN = (True, "registered"), (False, "already_handed_over")


def people(count: int = 1) -> tuple[Registration, ...]:
    return some_registrations(count, before=NOW - timedelta(days=400))


async def webinar(
    ledger: AsyncEngine, rule: Rule, key: str, days_ago: float, listed: Sequence[Registration] | None = None
) -> tuple[bool, str]:
    """Let a webinar end and be judged; return the verdict on the first person listed."""
    ended = NOW - timedelta(days=days_ago, minutes=1)
    occasion = an_occasion(start=ended - timedelta(hours=1), key=key)
    await record(ledger, [occasion], [rule])
    await change(ledger, "UPDATE handoff.batches SET state = 'waiting', reason = '' WHERE state = 'missed'")
    assert await judge_due(ledger, rule, FixedSource(occasion, listed or people())) == ["judged"]
    return [(included, reason) for of, included, reason in await rows(ledger, VERDICTS) if of == key][0]


def the_rule(again: Any, **more: Any) -> Rule:
    return a_rule(again=again, late_after={"days": 1, "then": "send"}, **more)


async def sent(ledger: AsyncEngine, rule: Rule) -> int:
    target = MemoryTarget()
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}))
    return len(target.effects)


@pytest.mark.parametrize(
    ("again", "verdicts"),
    [
        ("per_occasion", [AGAIN, AGAIN, AGAIN, AGAIN]),
        ("never", [AGAIN, NOT_AGAIN, NOT_AGAIN, NOT_AGAIN]),
        ({"days": 30}, [AGAIN, NOT_AGAIN, AGAIN, NOT_AGAIN]),
        ({"days": 29}, [AGAIN, AGAIN, NOT_AGAIN, AGAIN]),
    ],
)
async def test_who_is_handed_over_again(ledger: AsyncEngine, again: Any, verdicts: list[tuple[bool, str]]) -> None:
    rule, found = the_rule(again), []
    for number, days_ago in enumerate((90, 61, 60, 31)):
        found.append(await webinar(ledger, rule, f"w{number}", days_ago))
        await sent(ledger, rule)
    assert found == verdicts
    assert await states(ledger) == {"confirmed": verdicts.count(AGAIN)}


async def test_the_verdict_says_when_it_was(ledger: AsyncEngine) -> None:
    rule = the_rule("never")
    await webinar(ledger, rule, "first", 50)
    await webinar(ledger, rule, "second", 10)
    [(due,)] = await rows(ledger, "SELECT min(due_at) FROM handoff.batches")
    [(facts,)] = await rows(ledger, "SELECT facts FROM handoff.verdicts WHERE reason = 'already_handed_over'")
    assert facts["handed_over_for"] == "first"
    assert datetime.fromisoformat(facts["handed_over_at"]) == due
    async with ledger.begin() as connection:
        counted = [await certificates.count(connection, one) for one in await certificates.to_certify(connection)]
    assert [(one.excluded, one.even) for one in counted] == [({}, True), ({"already_handed_over": 1}, True)]


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        *[(state, NOT_AGAIN) for state in ("planned", "sending", "unknown", "held", "confirmed")],
        *[(state, AGAIN) for state in ("refused", "skipped")],
    ],
)
async def test_what_counts_as_handed_over(ledger: AsyncEngine, state: str, verdict: tuple[bool, str]) -> None:
    """Something went out, or still may; what was refused or skipped was none."""
    rule = the_rule("never")
    await webinar(ledger, rule, "first", 50)
    await change(ledger, "UPDATE handoff.effects SET state = :state", state=state)
    assert await webinar(ledger, rule, "second", 10) == verdict


async def test_one_step_that_went_out_is_enough(ledger: AsyncEngine) -> None:
    tag = {"step": "klicktipp.tag", "tag": "da"}
    rule = the_rule("never", steps=[tag, tag])
    await webinar(ledger, rule, "first", 50)
    await change(ledger, "UPDATE handoff.effects SET state = CASE step_no WHEN 0 THEN 'confirmed' ELSE 'refused' END")
    assert await webinar(ledger, rule, "second", 10) == NOT_AGAIN


async def test_days_are_those_of_the_occasions_calendar(ledger: AsyncEngine) -> None:
    """From one Saturday evening to the next Sunday evening, with a night of 23 hours in between."""
    rule = the_rule({"days": 1}, when={"minutes": 0, "after": "start"})
    for number, utc in enumerate(("2026-03-28 18:00", "2026-03-29 17:00", "2026-03-30 16:59")):
        occasion = an_occasion(start=datetime.fromisoformat(utc).replace(tzinfo=UTC), key=f"w{number}")
        await record(ledger, [occasion], [rule])
        await change(ledger, "UPDATE handoff.batches SET state = 'waiting', reason = '' WHERE state = 'missed'")
        early = some_registrations(1, before=datetime(2026, 1, 1, tzinfo=UTC))
        assert await judge_due(ledger, rule, FixedSource(occasion, early)) == ["judged"]
    found = await rows(ledger, VERDICTS)
    assert found == [("w0", *AGAIN), ("w1", *AGAIN), ("w2", *NOT_AGAIN)]


async def test_a_later_version_and_another_rule(ledger: AsyncEngine) -> None:
    await webinar(ledger, the_rule("per_occasion"), "first", 50)
    changed = the_rule("never", order_group="another")
    assert await webinar(ledger, changed, "second", 10) == NOT_AGAIN
    assert await webinar(ledger, the_rule("never", id="another_rule"), "third", 9) == AGAIN


async def test_a_test_by_hand_neither_counts_nor_is_left_out(ledger: AsyncEngine) -> None:
    rule, person = the_rule("never"), people()[0]

    async def by_hand(key: str) -> None:
        await hand_over(ledger, rule, key=key, people=[Contact(person.email)], title="Test")
        assert await judge_due(ledger, rule, ByHand()) == ["judged"]

    await by_hand("once")
    await by_hand("twice")
    assert await webinar(ledger, rule, "real", 10) == AGAIN
    await by_hand("afterwards")
    assert await sent(ledger, rule) == 4


async def test_two_batches_judged_at_once_hand_over_once(ledger: AsyncEngine) -> None:
    """Of two webinars with the same people that end together, one hands over each of them, whichever is first."""
    count, sources = 150, {}
    rules = [the_rule("never"), the_rule("never", order_group="another")]
    for number, rule in enumerate(rules * 2):
        occasion = an_occasion(start=NOW - timedelta(minutes=61 + number), key=f"w{number}")
        sources[occasion.key] = FixedSource(occasion, people(count))
        await record(ledger, [occasion], [rule])
    async with ledger.begin() as connection:
        claimed = await batches.claim(connection, rules[0].id, "run", horizon=0)
    assert len({batch.rule_version for batch in claimed}) == 2
    look = [(batch, sources[batch.occasion.occasion.key]) for batch in claimed]
    await asyncio.gather(*(first_look(ledger, batch, source) for batch, source in look))
    became = await asyncio.gather(*(attend(ledger, batch, source, lambda: None) for batch, source in look))
    assert became == ["judged"] * 4
    found = await rows(ledger, "SELECT included, reason, count(*) FROM handoff.verdicts GROUP BY 1, 2 ORDER BY 1")
    assert found == [(*NOT_AGAIN, 3 * count), (*AGAIN, count)]
    assert await rows(ledger, "SELECT count(*), count(DISTINCT contact_id) FROM handoff.handoffs") == [(count, count)]


async def test_a_batch_taken_up_again_after_a_crash_is_not_its_own_earlier_handover(ledger: AsyncEngine) -> None:
    rule, occasion = the_rule("never"), an_occasion(start=NOW - timedelta(minutes=61))
    await record(ledger, [occasion], [rule])
    source = FixedSource(occasion, people(2))
    assert await judge_due(ledger, rule, source) == ["judged"]
    for table in (
        "effects WHERE handoff_id IN (SELECT max(id) FROM handoff.handoffs)",
        "handoffs WHERE id IN (SELECT max(id) FROM handoff.handoffs)",
        "verdicts WHERE ref = 'p000001'",
    ):
        await change(ledger, f"DELETE FROM handoff.{table}")
    await change(ledger, "UPDATE handoff.batches SET state = 'waiting', lease_owner = NULL")
    assert await judge_due(ledger, rule, source) == ["judged"]
    assert [verdict[1:] for verdict in await rows(ledger, VERDICTS)] == [AGAIN, AGAIN]
    assert await sent(ledger, rule) == 2
