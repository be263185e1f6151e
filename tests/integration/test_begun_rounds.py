"""A batch of which only a part was judged, when its occasion is moved or cancelled: everybody is handed over once."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery import judging_run
from handoff.delivery.judging_run import JudgingRun
from handoff.delivery.moment import attend, first_look
from handoff.ledger import certificates
from handoff.ledger.certificates import Count
from handoff.planning.planner import Planned
from handoff.rules.rule import Rule
from tests.support.commands import handoff
from tests.support.moments import claim, judge_until_killed
from tests.support.rounds import DAY, LAST, LATER, NOW, SOON, World, reminder
from tests.support.rows import change, rows, rows_become

PART, PEOPLE = 10, 20
EFFECTS = """
    SELECT batch.round, effect.state, effect.reason, count(*) FROM handoff.effects AS effect
    JOIN handoff.handoffs AS handoff ON handoff.id = handoff_id
    JOIN handoff.batches AS batch ON batch.id = batch_id GROUP BY 1, 2, 3 ORDER BY 1, 2
"""
WAITING = """
    SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
LEFT = (0, "cancelled", "occasion_moved")
"""A round that was judged in part when its occasion was moved to a time for which another round waits."""


@pytest.fixture(autouse=True)
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging_run, "FIRST_WRITTEN", PART)


async def begun(ledger: AsyncEngine, rule: Rule | None = None) -> World:
    """Return a world in which the reminder's moment has come, and the run died when it had judged the first part."""
    world = World(ledger, rule or reminder(), PEOPLE)
    await world.told(SOON)
    await judge_until_killed(ledger, world.rule, world.source)
    assert await rows(ledger, "SELECT count(*) FROM handoff.verdicts") == [(PART,)]
    return world


def times(world: World) -> list[int]:
    """Return how many effects each of the people has had, in the order of registration."""
    had = Counter(email for email, _ in world.target.effects)
    assert len({key for _, key in world.target.effects}) == len(world.target.effects), "one twice"
    return [had[person.email] for person in world.source.registrations]


async def papers(ledger: AsyncEngine) -> list[Count]:
    """Return the even certificates of the rounds that wait no more."""
    async with ledger.begin() as connection:
        counted = [await certificates.count(connection, one) for one in await certificates.to_certify(connection)]
    assert all(one.even and one.listed == PEOPLE for one in counted), counted
    return sorted(counted, key=lambda one: one.round)


async def test_what_was_judged_in_part_is_not_sent_before_the_new_time(ledger: AsyncEngine) -> None:
    world = await begun(ledger)
    assert await world.told(LATER) == Planned(events=1, new=1, cancelled=1)
    assert await world.rounds() == [LEFT, (1, "waiting", "")]
    assert await world.waits() == [LATER]
    assert await world.judged() == []
    assert await world.sent() == []
    assert await rows(ledger, EFFECTS) == [(0, "skipped", "occasion_moved", PART)]
    await world.comes()
    await world.sent()
    assert times(world) == [1] * PEOPLE
    first, second = await papers(ledger)
    assert (first.handled, first.pending, first.excluded) == (PART, 0, {"occasion_moved": PEOPLE - PART})
    assert (second.handled, second.pending, second.excluded) == (PEOPLE, 0, {})


async def test_who_was_handed_over_with_the_part_is_handed_over_for_the_new_time_too(
    ledger: AsyncEngine, ledger_url: str
) -> None:
    world = await begun(ledger)
    await world.sent()
    assert times(world) == [1] * PART + [0] * (PEOPLE - PART)
    await world.told(LATER)
    assert len(await world.sent()) == PART
    await world.comes()
    await world.sent()
    assert times(world) == [2] * PART + [1] * (PEOPLE - PART)
    assert [one.excluded for one in await papers(ledger)] == [{"occasion_moved": PEOPLE - PART}, {}]
    for number in (0, 15):
        said = (await handoff(ledger_url, "explain", f"person{number}@example.org")).out
        assert ("listed, not judged: the batch was cancelled" in said) == (number == 15)
        assert said.count("handed over: was registered") == 1 + (number == 0)
        assert ("the date was moved after its people, or some of them" in said) == (number == 15)


@pytest.mark.parametrize(("again", "expected"), [("never", 1), ({"days": 90}, 1), ("per_occasion", 2)])
async def test_who_is_handed_over_once_had_it_with_the_part(ledger: AsyncEngine, again: Any, expected: int) -> None:
    world = await begun(ledger, reminder(again=again))
    await world.sent()
    await world.told(LATER)
    await world.comes()
    await world.sent()
    assert times(world) == [expected] * PART + [1] * (PEOPLE - PART)


async def test_a_move_between_two_parts_of_a_run_that_lives(ledger: AsyncEngine) -> None:
    world = World(ledger, reminder(), PEOPLE)
    await world.told(SOON)
    told = list[Planned]()

    class Turn(asyncio.Lock):
        async def acquire(self) -> Any:
            if await rows(ledger, "SELECT FROM handoff.verdicts") and not told:
                told.append(await world.told(LATER))
            return await super().acquire()

    [batch] = await claim(ledger, world.rule)
    await first_look(ledger, batch, world.source)
    assert await attend(ledger, batch, world.source, lambda: None, turn=Turn()) == "moved"
    assert await world.rounds() == [LEFT, (1, "waiting", "")]
    assert await rows(ledger, "SELECT count(*) FROM handoff.verdicts") == [(PART,)]
    await world.comes()
    await world.sent()
    assert times(world) == [1] * PEOPLE


async def test_a_move_that_waits_for_the_first_part_knows_of_it(ledger: AsyncEngine) -> None:
    world = World(ledger, reminder(), PEOPLE)
    await world.told(SOON)
    [batch] = await claim(ledger, world.rule)
    await first_look(ledger, batch, world.source)
    moving = list[asyncio.Task[Planned]]()

    class Turn(asyncio.Lock):
        async def acquire(self) -> Any:
            await asyncio.gather(*moving)
            return await super().acquire()

    async with JudgingRun(ledger, batch, world.rule, lambda: None, Turn()) as judging:
        await judging.begin_ahead(datetime.now(UTC))
        moving.append(asyncio.create_task(world.told(LATER)))
        await rows_become(ledger, WAITING, [(True,)])
        assert not await judging.finish()
    assert await world.rounds() == [LEFT, (1, "waiting", "")]


@pytest.mark.parametrize("start", [SOON, LATER], ids=["for the same time", "for another time"])
async def test_cancelled_between_two_parts_and_revived(ledger: AsyncEngine, ledger_url: str, start: datetime) -> None:
    world = await begun(ledger)
    assert (await world.told(SOON, cancelled=True)).cancelled == 1
    assert await world.judged() == []
    assert await world.sent() == []
    assert await rows(ledger, EFFECTS) == [(0, "skipped", "occasion_cancelled", PART)]
    [paper] = await papers(ledger)
    assert (paper.handled, paper.pending, paper.excluded) == (PART, 0, {"occasion_cancelled": PEOPLE - PART})
    for number, words in ((0, "handed over: was registered"), (15, "listed, not judged: the batch was cancelled")):
        said = (await handoff(ledger_url, "explain", f"person{number}@example.org")).out
        assert words in said
        assert "the occasion was cancelled" in said
    await world.told(start)
    if start == SOON:
        assert await world.judged() == ["judged"]
        await world.sent()
        assert times(world) == [0] * PART + [1] * (PEOPLE - PART), "what a cancellation ended stays so"
    else:
        assert await world.rounds() == [(0, "cancelled", "occasion_cancelled"), (1, "waiting", "")]
        await world.comes()
        await world.sent()
        assert times(world) == [1] * PEOPLE
        assert [one.excluded for one in await papers(ledger)] == [{"occasion_cancelled": PEOPLE - PART}, {}]


@pytest.mark.parametrize("heard", ["reported", "by the last look", "after a cancellation"])
@pytest.mark.parametrize("start", [NOW - DAY, SOON + timedelta(minutes=5)], ids=["past", "its moment has passed"])
async def test_where_no_round_begins_it_goes_on(ledger: AsyncEngine, heard: str, start: datetime) -> None:
    world = await begun(ledger, reminder(late_after={"days": 9}))
    if heard == "by the last look":
        world.source.now = world.next(start)
    else:
        if heard == "after a cancellation":
            await world.told(SOON, cancelled=True)
        await world.told(start)
        assert await world.rounds() == [(0, "waiting", "")]
    assert await world.judged() == ["judged"]
    await world.sent()
    assert times(world) == [1] * PEOPLE
    assert await world.rounds() == [(0, "judged", "")]


async def test_a_rule_that_does_not_select_it_any_more_begins_no_round(ledger: AsyncEngine) -> None:
    world = await begun(ledger)
    await world.told(LATER, rules=[reminder(webinars=["other"])])
    assert await world.rounds() == [(0, "waiting", "")]
    assert await world.judged() == ["judged"]
    assert await world.sent() == []
    assert [(state, number) for _, state, _, number in await rows(ledger, EFFECTS)] == [("held", PEOPLE)]


@pytest.mark.parametrize("sent_before", [True, False])
async def test_moved_back_to_the_very_time_it_goes_on(ledger: AsyncEngine, sent_before: bool) -> None:
    world = await begun(ledger)
    if sent_before:
        await world.sent()
    await world.told(LATER)
    await world.told(SOON)
    assert await world.rounds() == [(0, "waiting", ""), (1, "cancelled", "moved_back")]
    await world.told(SOON, title="Neuer Titel")
    assert await world.judged() == ["judged"]
    await world.sent()
    assert times(world) == [1] * PEOPLE
    await world.told(LATER)
    assert await world.rounds() == [(0, "judged", ""), (1, "waiting", "")]
    await world.comes()
    await world.sent()
    assert times(world) == [2] * PEOPLE


async def test_moved_back_and_on_again_before_the_rest_was_judged(ledger: AsyncEngine) -> None:
    world = await begun(ledger)
    for start in (LATER, SOON, LAST, SOON, LATER):
        await world.told(start)
    waits = [number for number, state, _ in await world.rounds() if state == "waiting"]
    assert (len(waits), waits[0] > 0, await world.waits()) == (1, True, [LATER])
    assert await world.sent() == []
    await world.comes()
    await world.sent()
    assert times(world) == [1] * PEOPLE
    assert [one.handled for one in await papers(ledger) if one.handled] == [PART, PEOPLE]


async def test_a_cancellation_ends_what_was_moved_back_and_goes_on(ledger: AsyncEngine) -> None:
    world = await begun(ledger)
    for start in (LATER, SOON):
        await world.told(start)
    await world.told(SOON, cancelled=True)
    assert await world.rounds() == [(0, "cancelled", "occasion_cancelled"), (1, "cancelled", "moved_back")]
    await world.told(SOON)
    assert await world.rounds() == [(0, "waiting", ""), (1, "cancelled", "moved_back")]


async def test_what_is_held_in_part_ends_with_the_move(ledger: AsyncEngine) -> None:
    world = await begun(ledger)
    await change(ledger, "UPDATE handoff.batches SET state = 'held', reason = 'late', judged_at = now()")
    await world.told(LATER)
    assert await world.rounds() == [LEFT, (1, "waiting", "")]


async def test_what_a_person_dropped_in_part_stays_dropped(ledger: AsyncEngine) -> None:
    world = await begun(ledger)
    await change(ledger, "UPDATE handoff.batches SET state = 'cancelled', reason = 'dropped_by_person'")
    for start in (LATER, SOON):
        await world.told(start)
    assert await world.rounds() == [(0, "cancelled", "dropped_by_person")]
