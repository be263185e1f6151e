"""Rounds: an occasion that is moved after its people were handed over is handed over once more, for its new time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.contact import Contact
from handoff.delivery.desk import effect_key
from handoff.ledger import batches, certificates, holding
from handoff.occasion import Occasion
from handoff.planner import Planned, record
from handoff.rule import Rule
from tests.support.delivery import desk_of, judge_due, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.rows import change, rows
from tests.support.targets import MemoryTarget

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = datetime.now(UTC).replace(microsecond=0)
SOON = NOW + timedelta(minutes=50)
"""A start that is to be reminded of an hour ahead, which was ten minutes ago."""
LATER, LAST = SOON + 3 * DAY, SOON + 5 * DAY
ROUNDS = "SELECT round, state, reason, due_at, rule_version FROM handoff.batches ORDER BY round"
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


def reminder(**more: Any) -> Rule:
    return a_rule(id="reminder", **({"when": {"hours": 1, "before": "start"}} | more))


def at(start: datetime, changed: float, **more: Any) -> Occasion:
    return an_occasion(start=start, changed=changed, **more)


class World:
    """A rule, its one occasion with one person, and a target. :ivar changed: of the last report."""

    def __init__(self, ledger: AsyncEngine, rule: Rule) -> None:
        self.ledger, self.rule, self.changed = ledger, rule, 0.0
        self.source = FixedSource(None, some_registrations(1, before=NOW - 10 * DAY))
        self.target = MemoryTarget()

    async def told(self, start: datetime, *, rules: Sequence[Rule] | None = None, **more: Any) -> Planned:
        """Let the source report the occasion."""
        self.changed += 1.0
        self.source.now = at(start, self.changed, **more)
        return await record(self.ledger, [self.source.now], [self.rule] if rules is None else rules)

    async def judged(self) -> list[str]:
        """Judge what is due."""
        return await judge_due(self.ledger, self.rule, self.source)

    async def comes(self) -> None:
        """Let the waiting round's moment come: time passes in the ledger and at the source."""
        [(due,)] = await rows(self.ledger, "SELECT due_at FROM handoff.batches WHERE state = 'waiting'")
        passed = due - NOW + timedelta(minutes=10)
        await change(
            self.ledger,
            "UPDATE handoff.batches SET due_at = due_at - CAST(:passed AS interval),"
            " wake_at = wake_at - CAST(:passed AS interval)",
            passed=passed,
        )
        assert self.source.now is not None
        self.source.now = at(self.source.now.anchors["start"] - passed, self.changed)
        moments = ", ".join(f"'{name}', '{at.isoformat()}'" for name, at in self.source.now.anchors.items())
        await change(self.ledger, f"UPDATE handoff.occasions SET anchors = jsonb_build_object({moments})")
        assert await self.judged() == ["judged"]

    async def sent(self) -> list[str]:
        """Send what may be sent; return the names of all effects that reached the target so far."""
        await work(self.ledger, self.rule, desk_of(self.ledger, {"klicktipp_default": self.target}))
        return [key for _, key in self.target.effects]

    async def rounds(self) -> list[tuple[int, str, str]]:
        """Return number, state and reason of each round."""
        return [(number, state, reason) for number, state, reason, *_ in await rows(self.ledger, ROUNDS)]

    async def waits(self) -> list[datetime]:
        """Return the starts for which a round waits."""
        return [due + HOUR for _, state, _, due, _ in await rows(self.ledger, ROUNDS) if state == "waiting"]


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
async def test_no_other_round(ledger: AsyncEngine, news: dict[str, Any]) -> None:
    world = await handed_over(ledger)
    await world.told(**news)
    assert await world.rounds() == [(0, "judged", "")]


async def test_what_only_ends_later_takes_place_once(ledger: AsyncEngine) -> None:
    world = World(ledger, reminder(when={"minutes": 0, "after": "end"}))
    await world.told(NOW - HOUR - timedelta(minutes=1))
    assert await world.judged() == ["judged"]
    await world.told(NOW - HOUR, minutes=90)
    assert await world.rounds() == [(0, "judged", "")]
    await world.told(LATER)
    assert await world.rounds() == [(0, "judged", ""), (1, "waiting", "")]


async def test_a_changed_rule_is_no_move_and_another_round_is_planned_with_it(ledger: AsyncEngine) -> None:
    world = await handed_over(ledger)
    changed = reminder(when={"minutes": 20, "before": "start"})
    await world.told(SOON, title="Neuer Titel", rules=[changed])
    assert await world.rounds() == [(0, "judged", "")]
    await world.told(LATER, rules=[changed])
    [_, (*_, due, version)] = await rows(ledger, ROUNDS)
    assert (due, version) == (LATER - timedelta(minutes=20), 2)


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
        assert len(await batches.judged(connection, "reminder", 1)) == 2
    assert sorted(one["effect_key"] for one in held.effects) == sorted([FIRST, SECOND])
