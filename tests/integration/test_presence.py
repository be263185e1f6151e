"""Presence that does not reach up to the moment yet is waited for."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery import moment
from handoff.planning.planner import record
from tests.support.commands import handoff
from tests.support.delivery import judge_due
from tests.support.domain import FixedSource, a_rule, stay
from tests.support.moments import (
    RULE,
    VERDICTS,
    delivered,
    ended,
    listed_for,
    planned,
    somebody,
)
from tests.support.rows import change, rows


async def test_presence_that_is_late_is_waited_for_and_judged_for_the_original_moment(ledger: AsyncEngine) -> None:
    occasion, rule = ended(10), a_rule(who="attended")
    start, end = occasion.anchors["start"], occasion.anchors["end"]
    person = somebody(occasion, "p1", "eva@example.org")
    source = FixedSource(occasion, [person])
    source.presence_until = start
    await planned(ledger, occasion, rule)
    assert await judge_due(ledger, rule, source) == ["postponed"]
    assert await judge_due(ledger, rule, source) == []
    [(wakes_in, due, reason)] = await rows(
        ledger, "SELECT EXTRACT(EPOCH FROM wake_at - now()), due_at, reason FROM handoff.batches"
    )
    assert 10 < wakes_in < 600
    assert (due, reason) == (end, "presence_late")
    await change(ledger, "UPDATE handoff.batches SET wake_at = now()")
    source.registrations = (replace(person, presence=(stay(start, 0, 40),)),)
    source.presence_until = None
    assert await judge_due(ledger, rule, source) == ["judged"]
    assert await rows(ledger, "SELECT DISTINCT moment FROM handoff.verdicts") == [(end,)]
    assert await delivered(ledger, rule) == ["eva@example.org"]


async def test_who_waits_for_presence_looks_no_earlier_than_it_said(ledger: AsyncEngine) -> None:
    occasion, rule = ended(10), a_rule(who="attended")
    source = FixedSource(occasion)
    await planned(ledger, occasion, rule)
    await change(ledger, "UPDATE handoff.batches SET wake_at = now() + interval '0.4 seconds'")
    began = asyncio.get_running_loop().time()
    assert await judge_due(ledger, rule, source, horizon=12) == ["judged"]
    assert asyncio.get_running_loop().time() - began > 0.3


async def test_presence_that_is_late_is_asked_for_less_and_less(ledger: AsyncEngine) -> None:
    waits = []
    for number, minutes in enumerate((0.1, 10, 20 * 60)):
        occasion, rule = ended(minutes, key=f"d{number}"), a_rule(who="attended")
        source = FixedSource(occasion)
        source.presence_until = occasion.anchors["start"]
        await record(ledger, [occasion], [rule])
        await change(ledger, "UPDATE handoff.batches SET state = 'waiting', wake_at = due_at WHERE state = 'missed'")
        assert await judge_due(ledger, rule, source) == ["postponed"]
        [(wait,)] = await rows(ledger, "SELECT max(EXTRACT(EPOCH FROM wake_at - now())) FROM handoff.batches")
        waits.append(float(wait))
    assert waits[0] <= 15 < waits[1] < waits[2] <= 600


async def test_presence_that_never_arrives_is_held(ledger: AsyncEngine) -> None:
    occasion, rule = ended(30), a_rule(who="attended", late_after={"days": 3})
    source = FixedSource(occasion, listed_for(occasion, 2))
    await planned(ledger, occasion, rule)
    back = datetime.now(UTC) - moment.PRESENCE_PATIENCE - timedelta(minutes=1)
    source.presence_until = back - timedelta(minutes=1)
    await change(ledger, "UPDATE handoff.batches SET due_at = :back, wake_at = :back", back=back)
    assert await judge_due(ledger, rule, source) == ["held"]
    assert await rows(ledger, "SELECT state, reason FROM handoff.batches") == [("held", "presence_never_arrived")]
    assert await rows(ledger, VERDICTS) == []


async def test_presence_that_never_arrives_is_done_without_when_a_person_says_so(
    ledger: AsyncEngine, ledger_url: str
) -> None:
    occasion, rule = ended(30), a_rule(who="attended", late_after={"days": 3})
    start = occasion.anchors["start"]
    stayed = replace(somebody(occasion, "a", "eva@example.org"), presence=(stay(start, 0, 40),))
    source = FixedSource(occasion, [stayed, somebody(occasion, "b", "jan@example.org")])
    source.presence_until = start + timedelta(minutes=45)
    await planned(ledger, occasion, rule)
    back = datetime.now(UTC) - moment.PRESENCE_PATIENCE - timedelta(minutes=1)
    await change(ledger, "UPDATE handoff.batches SET due_at = :back, wake_at = :back", back=back)
    source.presence_until = back - timedelta(minutes=1)
    assert await judge_due(ledger, rule, source) == ["held"]
    assert (await handoff(ledger_url, "resolve", "batch:1", "--send-again")).status == 0
    assert await judge_due(ledger, rule, source) == ["judged"]
    known = source.presence_until.isoformat()
    found = await rows(ledger, "SELECT ref, included, facts ->> 'presence_until' FROM handoff.verdicts ORDER BY ref")
    assert [(ref, until) for ref, _, until in found] == [("a", known), ("b", known)]
    said = await handoff(ledger_url, "explain", "jan@example.org")
    assert f"(presence was known until {known} only)" in said.out


async def test_a_person_who_allows_lateness_does_not_do_without_presence_that_may_still_come(
    ledger: AsyncEngine, ledger_url: str
) -> None:
    occasion, rule = ended(40), a_rule(who="attended", late_after={"minutes": 30})
    source = FixedSource(occasion, listed_for(occasion, 2))
    source.presence_until = occasion.anchors["start"]
    await planned(ledger, occasion, rule)
    assert await judge_due(ledger, rule, source) == ["held"]
    assert (await handoff(ledger_url, "resolve", "batch:1", "--send-again")).status == 0
    assert await judge_due(ledger, rule, source) == ["postponed"]


async def test_who_was_registered_is_not_asked_for_presence(ledger: AsyncEngine) -> None:
    occasion = ended()
    source = FixedSource(occasion, listed_for(occasion, 2))
    source.presence_until = occasion.anchors["start"]
    await planned(ledger, occasion)
    assert await judge_due(ledger, RULE, source) == ["judged"]
