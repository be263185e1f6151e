"""Rounds: an occasion that is moved after its people were handed over is handed over once more, for its new time."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.contact import Contact
from handoff.errors import UnknownOutcome
from handoff.ledger import certificates, holding
from handoff.ledger.decisions import Decision, Subject, decide
from handoff.planning.planner import Planned, record
from handoff.rules.appointment import AppointmentRule
from handoff.rules.rule import Rule
from handoff.target import effect_key
from operators.deliver import DeliverOperator
from tests.support.domain import an_occasion
from tests.support.etermin_world import put_rules
from tests.support.rounds import DAY, HOUR, LAST, LATER, NOW, ROUNDS, SOON, World, at, reminder
from tests.support.rows import change, rows
from tests.support.targets import MemoryTarget
from tests.support.tasks import Vendors, context_of

EFFECTS = """
    SELECT batch.round, effect.state, effect.reason FROM handoff.effects AS effect
    JOIN handoff.handoffs AS handoff ON handoff.id = handoff_id
    JOIN handoff.batches AS batch ON batch.id = batch_id ORDER BY round
"""
CLOSED = {"not_before": "00:00", "not_after": "00:01", "weekdays": [f"{NOW + 2 * DAY:%a}".lower()]}
"""A sending window that is closed now."""
FIRST, SECOND = (
    (effect_key("reminder", an_occasion(), Contact(email="person0@example.org").key, 0, n)) for n in (0, 1)
)


async def handed_over(ledger: AsyncEngine, rule: Rule | None = None) -> World:
    """Return a world in which the reminder's moment has come, and nothing was sent yet."""
    world = World(ledger, rule or reminder())
    await world.told(SOON)
    assert await world.judged() == ["judged"]
    return world


async def test_a_move_after_the_reminder_is_reminded_of_once_at_its_new_time(ledger: AsyncEngine) -> None:
    world = await handed_over(ledger)
    assert await world.sent() == [FIRST]
    assert await world.told(LATER) == Planned(events=1, new=1)
    assert await world.rounds() == [(0, "judged", ""), (1, "waiting", "")]
    assert await world.waits() == [LATER]
    assert await world.judged() == []
    assert await world.sent() == [FIRST]
    await world.comes()
    assert await world.sent() == [FIRST, SECOND] == await world.sent()
    assert await rows(ledger, EFFECTS) == [(0, "confirmed", ""), (1, "confirmed", "")]


async def test_what_waits_for_its_window_is_sent_for_the_new_time_only(ledger: AsyncEngine) -> None:
    world = await handed_over(ledger, reminder(steps=[{"step": "klicktipp.tag", "tag": "besucht", "window": CLOSED}]))
    assert await world.sent() == []
    await world.told(LATER)
    await change(ledger, "UPDATE handoff.lanes SET ready_at = clock_timestamp()")
    assert await world.sent() == []
    assert await rows(ledger, EFFECTS) == [(0, "skipped", "occasion_moved")]
    assert await world.waits() == [LATER]


@pytest.mark.parametrize("again", ["per_occasion", "never", {"days": 90}])
async def test_what_was_not_sent_yet_when_both_moments_have_come_is_sent_once(ledger: AsyncEngine, again: Any) -> None:
    """For the new time; and it is no earlier handover for a rule that hands nobody over again."""
    world = await handed_over(ledger, reminder(again=again))
    await world.told(LATER)
    await world.comes()
    assert await world.sent() == [SECOND]
    assert await rows(ledger, EFFECTS) == [(0, "skipped", "occasion_moved"), (1, "confirmed", "")]


@pytest.mark.parametrize(("again", "expected"), [("per_occasion", 2), ("never", 1), ({"days": 90}, 1)])
async def test_who_is_handed_over_only_once_is_not_for_another_round(
    ledger: AsyncEngine, again: Any, expected: int
) -> None:
    world = await handed_over(ledger, reminder(again=again))
    await world.sent()
    await world.told(LATER)
    await world.comes()
    assert len(await world.sent()) == expected


async def test_a_second_move_moves_the_round_that_waits(ledger: AsyncEngine) -> None:
    world = await handed_over(ledger)
    await world.sent()
    await world.told(LATER)
    assert await world.told(LAST) == Planned(events=1, moved=1)
    assert await world.rounds() == [(0, "judged", ""), (1, "waiting", "")]
    assert await world.waits() == [LAST]
    await world.comes()
    assert await world.sent() == [FIRST, SECOND]


async def test_each_handover_may_be_followed_by_another_round(ledger: AsyncEngine) -> None:
    world = await handed_over(ledger)
    for number in (1, 2, 3):
        await world.told(LATER)
        await world.comes()
        assert len(set(await world.sent())) == number, "the first round's was not sent before the move"
    assert [number for number, *_ in await world.rounds()] == [0, 1, 2, 3]


async def test_of_a_move_that_is_told_again_and_out_of_order_there_is_one_round(ledger: AsyncEngine) -> None:
    world = await handed_over(ledger)
    news = [at(LATER, 5), at(LAST, 4), at(LATER, 5), at(LAST, 3), at(LATER, 6, title="Neuer Titel"), at(LATER, 5)]
    await record(ledger, news, [world.rule])
    assert await world.rounds() == [(0, "judged", ""), (1, "waiting", "")]
    assert await world.waits() == [LATER]


async def test_a_cancellation_ends_the_round_that_waits_and_a_revival_lets_it_wait(ledger: AsyncEngine) -> None:
    world = await handed_over(ledger)
    await world.sent()
    await world.told(LATER)
    assert (await world.told(LATER, cancelled=True)).cancelled == 1
    assert await world.rounds() == [(0, "judged", ""), (1, "cancelled", "occasion_cancelled")]
    await world.told(LAST)
    assert await world.waits() == [LAST]
    assert await world.sent() == [FIRST]


async def test_what_was_cancelled_after_its_handover_may_take_place_later(ledger: AsyncEngine) -> None:
    world = await handed_over(ledger)
    await world.sent()
    await world.told(SOON, cancelled=True)
    assert await world.rounds() == [(0, "judged", "")]
    await world.told(LATER)
    assert await world.waits() == [LATER]


@pytest.mark.parametrize("sent_before", [True, False])
async def test_moved_back_it_is_not_reminded_of_again_but_of_another_time_it_is(
    ledger: AsyncEngine, sent_before: bool
) -> None:
    """What had waited since for its turn is for the right time again, and goes out."""
    world = await handed_over(ledger)
    if sent_before:
        await world.sent()
    await world.told(LATER)
    assert (await world.told(SOON)).cancelled == 1
    assert await world.rounds() == [(0, "judged", ""), (1, "cancelled", "moved_back")]
    assert await world.sent() == [FIRST]
    await world.told(SOON, title="Neuer Titel")
    assert await world.waits() == []
    await world.told(LATER)
    assert await world.waits() == [LATER]
    await world.comes()
    assert await world.sent() == [FIRST, SECOND]


@pytest.mark.parametrize(
    "news",
    [
        {"start": SOON + timedelta(minutes=5)},
        {"start": SOON, "title": "Neuer Titel"},
        {"start": NOW - DAY},
    ],
    ids=["the new moment has passed too", "it did not move", "into the past"],
)
@pytest.mark.parametrize("by_way_of", [(), (LATER,), (LATER, SOON), (LATER, LAST)], ids=["", "B", "B and back", "B, D"])
@pytest.mark.parametrize("sent_before", [True, False])
async def test_no_other_round(
    ledger: AsyncEngine, news: dict[str, Any], by_way_of: tuple[datetime, ...], sent_before: bool
) -> None:
    """Whatever it was moved to in between: what was not sent yet goes out as if it had not been."""
    world = await handed_over(ledger)
    if sent_before:
        await world.sent()
    for start in by_way_of:
        await world.told(start)
    await world.told(**news)
    assert [state for _, state, _ in await world.rounds()] == ["judged", "cancelled"][: 1 + bool(by_way_of)]
    assert await world.judged() == []
    assert await world.sent() == [FIRST]
    await world.told(LATER)
    assert await world.waits() == [LATER]


async def test_who_was_due_already_is_handed_over_for_the_time_it_was_moved_to_then(ledger: AsyncEngine) -> None:
    world = await handed_over(ledger)
    await world.sent()
    await world.told(LATER)
    come = NOW - timedelta(minutes=1)
    await change(ledger, "UPDATE handoff.batches SET due_at = :come, wake_at = :come WHERE round = 1", come=come)
    await world.told(NOW + HOUR - timedelta(seconds=30))
    assert await world.judged() == ["judged"]
    assert await world.sent() == [FIRST, SECOND]


async def test_a_follow_up_waits_for_the_end_of_what_has_begun_since_but_not_of_what_was_followed_up(
    ledger: AsyncEngine,
) -> None:
    world = World(ledger, reminder(when={"minutes": 0, "after": "end"}))
    earlier = NOW - 1.5 * HOUR
    await world.told(earlier)
    assert await world.judged() == ["judged"]
    assert len(await world.sent()) == 1
    await world.told(LATER)
    for minutes in (60, 75):
        await world.told(NOW - HOUR / 3, minutes=minutes)
        assert [state for _, state, _ in await world.rounds()] == ["judged", "waiting"]
    for start, minutes in ((earlier, 180), (LATER, 60), (earlier + timedelta(minutes=30), 60)):
        await world.told(start, minutes=minutes)
        again = (1, "waiting", "") if start == LATER else (1, "cancelled", "occasion_moved")
        assert (await world.rounds())[1] == again
    assert await world.judged() == []
    assert len(await world.sent()) == 1


async def test_what_only_ends_later_takes_place_once(ledger: AsyncEngine) -> None:
    world = World(ledger, reminder(when={"minutes": 0, "after": "end"}))
    await world.told(NOW - HOUR - timedelta(minutes=1))
    assert await world.judged() == ["judged"]
    await world.told(NOW - HOUR, minutes=90)
    assert await world.rounds() == [(0, "judged", "")]
    await world.told(LATER)
    assert await world.rounds() == [(0, "judged", ""), (1, "waiting", "")]


async def test_another_moment_of_what_has_happened_is_no_move(ledger: AsyncEngine) -> None:
    """The source first told of a booking without saying when that was: a day later is still one day after it."""
    rule = AppointmentRule.model_validate({
        "id": "reminder", "title": "Dank", "source": "etermin", "when": {"days": 1, "after": "booked"},
        "steps": [{"step": "klicktipp.tag", "tag": "gebucht"}],
    })  # fmt: skip
    world = World(ledger, rule)
    etermin: dict[str, Any] = {"source": "etermin", "account": "etermin_default", "facts": {"event": "created"}}
    plans = {"start": LATER, "end": LATER + HOUR}
    await world.told(LATER, anchors={"booked": NOW - DAY - HOUR / 6, **plans}, **etermin)
    assert await world.judged() == ["judged"]
    await world.told(LATER, anchors={"booked": NOW - DAY + HOUR, **plans}, **etermin)
    assert await world.rounds() == [(0, "judged", "")]


async def test_a_changed_rule_is_no_move_and_another_round_is_planned_with_it(ledger: AsyncEngine) -> None:
    world = await handed_over(ledger)
    changed = reminder(when={"minutes": 20, "before": "start"})
    await world.told(SOON, title="Neuer Titel", rules=[changed])
    assert await world.rounds() == [(0, "judged", "")]
    await world.told(LATER, rules=[changed])
    [_, (*_, due, version)] = await rows(ledger, ROUNDS)
    assert (due, version) == (LATER - timedelta(minutes=20), 2)


async def test_moved_back_it_is_not_reminded_of_again_though_the_rule_has_changed_since(ledger: AsyncEngine) -> None:
    world = await handed_over(ledger)
    await world.sent()
    changed = reminder(when={"minutes": 20, "before": "start"})
    await world.told(LATER, rules=[changed])
    await world.told(SOON, rules=[changed])
    assert await world.rounds() == [(0, "judged", ""), (1, "cancelled", "moved_back")]


async def test_a_rule_that_does_not_select_it_any_more_begins_no_round(ledger: AsyncEngine) -> None:
    world = await handed_over(ledger)
    await world.told(LATER, rules=[reminder(webinars=["other"])])
    assert await world.rounds() == [(0, "judged", "")]
    assert await world.sent() == []
    assert [state for _, state, _ in await rows(ledger, EFFECTS)] == ["held"], "a person decides"


async def test_a_move_that_another_rule_s_last_look_finds_begins_the_round_as_well(ledger: AsyncEngine) -> None:
    world = await handed_over(ledger)
    await world.told(LATER, rules=[])
    assert await world.waits() == [LATER]


async def test_the_round_that_another_rule_s_last_look_begins_is_planned_with_the_rule_as_it_is_now(
    ledger: AsyncEngine, ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    minutes = {"when": {"minutes": 55, "before": "start"}}
    other = reminder(**minutes).model_copy(update={"id": "other"})
    world = World(ledger, reminder())
    await world.told(SOON, rules=[world.rule, other])
    assert await world.judged() == ["judged"]
    changed = reminder(when={"minutes": 20, "before": "start"})
    put_rules(tmp_path, *(one.model_dump(mode="json") for one in (changed, other)))
    monkeypatch.setenv("HANDOFFS_HOME", str(tmp_path))
    world.source.now = world.next(LATER)
    Vendors(monkeypatch, ledger_url, world.target, world.source)
    task = DeliverOperator(task_id="deliver", rule=other.model_dump(mode="json"))
    await task.aexecute(context_of(other))
    rounds = "SELECT round, state, due_at, rule_version FROM handoff.batches WHERE rule_id = :id ORDER BY round"
    assert await rows(ledger, rounds, id="other") == [(0, "waiting", LATER - timedelta(minutes=55), 1)]
    assert (await rows(ledger, rounds, id="reminder"))[1:] == [(1, "waiting", LATER - timedelta(minutes=20), 2)]


async def test_every_round_has_its_own_even_certificate(ledger: AsyncEngine) -> None:
    world = await handed_over(ledger)
    await world.sent()
    await world.told(LATER)
    await world.comes()
    await world.sent()
    async with ledger.begin() as connection:
        counted = [await certificates.count(connection, one) for one in await certificates.to_certify(connection)]
    found = [(one.round, one.even, one.listed, one.handled, one.pending) for one in counted]
    assert sorted(found) == [(0, True, 1, 1, 0), (1, True, 1, 1, 0)]


async def test_a_held_effect_is_listed_by_the_name_that_its_target_knows(ledger: AsyncEngine) -> None:
    world = await handed_over(ledger)
    await world.told(LATER)
    await world.comes()
    await change(ledger, "UPDATE handoff.effects SET state = 'held'")
    async with ledger.connect() as connection:
        held = await holding.held(connection, None)
    assert sorted(one["effect_key"] for one in held.effects) == sorted([FIRST, SECOND])


async def test_what_a_person_sends_again_after_the_move_goes_out_though_another_round_was_judged(
    ledger: AsyncEngine,
) -> None:
    """That round left the person out: what is in doubt counts as handed over, and once is enough for the rule."""
    world = await handed_over(ledger, reminder(again="never"))
    doubts = [UnknownOutcome("klicktipp_default", "tag", "timeout")]
    world.target = MemoryTarget(readable=False, before=lambda call: doubts.pop() if doubts else None)
    assert await world.sent() == []
    [(held,)] = await rows(ledger, "SELECT id FROM handoff.effects WHERE state = 'held'")
    await world.told(LATER)
    await world.comes()
    assert await rows(ledger, "SELECT included FROM handoff.verdicts ORDER BY id") == [(True,), (False,)]
    async with ledger.begin() as connection:
        await decide(connection, [Subject("effect", held)], Decision.SEND_AGAIN)
    assert await world.sent() == [FIRST]
    assert await rows(ledger, EFFECTS) == [(0, "confirmed", "")]
