"""The planner: whatever arrives, in whatever order, what waits is what the source said last."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.occasion import Occasion
from handoff.planning.planner import Planned, plan_new_rules, record, record_one
from handoff.rules.rule import Rule
from tests.support.delivery import desk_of, judge_due, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.rows import batches_now, change, rows
from tests.support.targets import MemoryTarget

SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
END = SOON + timedelta(minutes=60)
RULE = a_rule(id="thanks")
REMINDER = a_rule(id="reminder", when={"days": 1, "before": "start"})


def at(start: datetime, changed: float, **more: Any) -> Occasion:
    return an_occasion(start=start, changed=changed, **more)


async def heard(ledger: AsyncEngine, *events: Occasion, rules: Sequence[Rule] = (RULE,)) -> Planned:
    return await record(ledger, events, rules)


async def test_a_new_occasion_lets_every_matching_rule_wait(ledger: AsyncEngine) -> None:
    other = a_rule(id="other_webinar", webinars=["1W1"])
    elsewhere = a_rule(id="other_account", conn_id="second")
    planned = await heard(ledger, at(SOON, 1), rules=(RULE, REMINDER, other, elsewhere))
    assert planned == Planned(events=1, new=2)
    found = [("reminder", "waiting"), ("thanks", "waiting")]
    assert [(rule, state) for rule, state, _ in await batches_now(ledger)] == found
    assert await rows(ledger, "SELECT DISTINCT rule_version FROM handoff.batches") == [(1,)]


async def test_the_same_event_twice_changes_nothing(ledger: AsyncEngine) -> None:
    await heard(ledger, at(SOON, 1))
    everything = "SELECT b.*, o.version FROM handoff.batches b JOIN handoff.occasions o ON o.id = b.occasion_id"
    before = await rows(ledger, everything)
    assert await heard(ledger, at(SOON, 1), at(SOON, 1)) == Planned(repeated=2)
    assert await rows(ledger, everything) == before
    assert await rows(ledger, "SELECT count(*) FROM handoff.inbox") == [(1,)]


async def test_an_older_report_after_a_newer_one_is_kept_but_not_followed(ledger: AsyncEngine) -> None:
    await heard(ledger, at(SOON, 5), at(SOON + timedelta(hours=1), 4), at(SOON, 3, cancelled=True))
    assert await batches_now(ledger) == [("thanks", "waiting", END)]
    assert await rows(ledger, "SELECT count(*) FROM handoff.inbox") == [(3,)]


async def test_a_moved_occasion_moves_batches_by_the_rule_they_are_pinned_to(ledger: AsyncEngine) -> None:
    await heard(ledger, at(SOON, 1))
    later_rule = a_rule(id="thanks", when={"hours": 5, "after": "end"})
    moved = await heard(ledger, at(SOON + timedelta(days=1), 2), rules=[later_rule])
    assert (moved.moved, moved.new) == (1, 0)
    assert await batches_now(ledger) == [("thanks", "waiting", END + timedelta(days=1))]
    await heard(ledger, at(SOON, 1, key="d2"), rules=[later_rule])
    versions = await rows(ledger, "SELECT rule_version, due_at FROM handoff.batches ORDER BY id")
    assert versions == [(1, END + timedelta(days=1)), (2, END + timedelta(hours=5))]


async def test_a_move_wakes_the_batch_anew_and_takes_it_from_who_had_it(ledger: AsyncEngine) -> None:
    await heard(ledger, at(SOON, 1))
    await change(ledger, "UPDATE handoff.batches SET lease_owner = 'x', leased_until = now() + interval '1 hour',"
                         " wake_at = now() + interval '9 days', reason = 'presence_late'")  # fmt: skip
    await heard(ledger, at(SOON + timedelta(hours=2), 2))
    found = await rows(ledger, "SELECT lease_owner, leased_until, wake_at, reason FROM handoff.batches")
    assert found == [(None, None, END + timedelta(hours=2), "")]


async def test_a_report_that_moves_nothing_leaves_a_postponed_batch_alone(ledger: AsyncEngine) -> None:
    await heard(ledger, at(SOON, 1))
    await change(ledger, "UPDATE handoff.batches SET wake_at = due_at + interval '1 minute', reason = 'presence_late'")
    assert (await heard(ledger, at(SOON, 2, title="Neuer Titel"))).moved == 0
    assert await rows(ledger, "SELECT wake_at, reason FROM handoff.batches") == [
        (END + timedelta(minutes=1), "presence_late")
    ]


async def test_cancelled_and_revived(ledger: AsyncEngine) -> None:
    await heard(ledger, at(SOON, 1))
    assert (await heard(ledger, at(SOON, 2, cancelled=True))).cancelled == 1
    assert await batches_now(ledger) == [("thanks", "cancelled", END)]
    await heard(ledger, at(SOON, 3))
    assert await batches_now(ledger) == [("thanks", "waiting", END)]


async def test_a_deletion_before_its_creation_leaves_a_tombstone(ledger: AsyncEngine) -> None:
    await heard(ledger, at(SOON, 7, cancelled=True), at(SOON, 6))
    assert await batches_now(ledger) == []
    await plan_new_rules(ledger, "webinaris", "webinaris_default", [RULE])
    assert await batches_now(ledger) == []
    await heard(ledger, at(SOON, 8))
    assert await batches_now(ledger) == [("thanks", "waiting", END)]


async def test_a_judged_batch_never_moves_another_round_does(ledger: AsyncEngine) -> None:
    ended = datetime.now(UTC) - timedelta(minutes=61)
    source = FixedSource(at(ended, 1))
    await heard(ledger, at(ended, 1))
    assert await judge_due(ledger, RULE, source) == ["judged"]
    [before] = await batches_now(ledger)
    await heard(ledger, at(SOON, 2), at(SOON, 3, cancelled=True), at(SOON, 4))
    assert sorted(await batches_now(ledger)) == [before, ("thanks", "waiting", END)]


@pytest.mark.parametrize(
    ("news", "expected"),
    [
        (at(SOON, 2, cancelled=True), ("skipped", "occasion_cancelled")),
        (at(SOON, 2), ("skipped", "occasion_moved")),
        (None, ("confirmed", "")),
    ],
)
async def test_what_was_judged_and_has_not_gone_out_when_its_occasion_changes(
    ledger: AsyncEngine, news: Occasion | None, expected: tuple[str, str]
) -> None:
    known = at(datetime.now(UTC) - timedelta(minutes=61), 1)
    source = FixedSource(known, some_registrations(2, before=known.anchors["start"]))
    await heard(ledger, known)
    assert await judge_due(ledger, RULE, source) == ["judged"]
    await heard(ledger, *([news] if news else []))
    target = MemoryTarget()
    await work(ledger, RULE, desk_of(ledger, {"klicktipp_default": target}))
    found = await rows(ledger, "SELECT DISTINCT state, split_part(reason, ':', 1) FROM handoff.effects")
    assert found == [expected]
    assert len(target.effects) == (0 if news else 2)


@pytest.mark.parametrize(("minutes_ago", "state"), [(59, "waiting"), (61, "missed")])
async def test_what_was_over_long_before_it_was_first_seen_is_missed(
    ledger: AsyncEngine, minutes_ago: int, state: str
) -> None:
    await heard(ledger, at(datetime.now(UTC) - timedelta(minutes=60 + minutes_ago), 1))
    assert [found for _, found, _ in await batches_now(ledger)] == [state]


async def test_a_missed_batch_waits_again_when_its_occasion_moves_into_the_future(ledger: AsyncEngine) -> None:
    tomorrow = datetime.now(UTC) + timedelta(hours=5)
    await heard(ledger, at(tomorrow, 1), rules=[REMINDER])
    assert [state for _, state, _ in await batches_now(ledger)] == ["missed"]
    await heard(ledger, at(tomorrow + timedelta(hours=1), 2), rules=[REMINDER])
    assert [state for _, state, _ in await batches_now(ledger)] == ["missed"]
    await heard(ledger, at(SOON, 3), rules=[REMINDER])
    [(_, state, due)] = await batches_now(ledger)
    assert state == "waiting"
    assert due == REMINDER.when.due(SOON, "Europe/Berlin")


async def test_a_new_rule_waits_for_occasions_that_are_known(ledger: AsyncEngine) -> None:
    over = datetime.now(UTC) - timedelta(days=2)
    await heard(ledger, at(SOON, 1), at(SOON, 1, key="gone", cancelled=True), at(over, 1, key="over"), rules=[])
    for expected in (1, 0):
        planned = await plan_new_rules(ledger, "webinaris", "webinaris_default", [RULE])
        assert planned.new == expected
    assert await batches_now(ledger) == [("thanks", "waiting", END)]


async def test_a_new_rule_is_planned_for_where_the_occasion_is_moving_to(ledger: AsyncEngine) -> None:
    await heard(ledger, at(SOON, 1), rules=[])
    async with ledger.begin() as connection:
        await record_one(connection, at(SOON + timedelta(days=1), 2), [], Planned())
        planning = asyncio.create_task(plan_new_rules(ledger, "webinaris", "webinaris_default", [RULE]))
        await asyncio.sleep(0.1)
    assert (await planning).new == 1
    assert await batches_now(ledger) == [("thanks", "waiting", END + timedelta(days=1))]


async def test_a_source_that_keeps_no_time_of_change_is_followed_to_and_fro(ledger: AsyncEngine) -> None:
    there, back = at(SOON, 0), at(SOON + timedelta(days=1), 0)
    for event, moves in ((there, 0), (back, 1), (there, 1), (there, 0), (back, 1)):
        assert (await heard(ledger, event)).moved == moves
    assert await batches_now(ledger) == [("thanks", "waiting", END + timedelta(days=1))]


async def test_what_is_gone_stays_gone_against_older_news_and_comes_back_with_newer(ledger: AsyncEngine) -> None:
    """A report without a time of change (the last look found nothing) does not let old news in again."""
    gone = replace(at(SOON, 0), cancelled=True)
    for number in range(3):
        await heard(ledger, at(SOON, 5 + number))
        assert await batches_now(ledger) == [("thanks", "waiting", END)]
        await heard(ledger, gone)
        assert await batches_now(ledger) == [("thanks", "cancelled", END)]
        await heard(ledger, at(SOON + timedelta(days=9), 3 + number))
        assert await batches_now(ledger) == [("thanks", "cancelled", END)]


async def test_what_was_gone_and_is_reported_again_as_it_was_is_back(ledger: AsyncEngine) -> None:
    """A source that lost a date for a while and lists it again has not changed it."""
    gone = replace(at(SOON, 0), cancelled=True)
    for _ in range(3):
        await heard(ledger, at(SOON, 5))
        assert await batches_now(ledger) == [("thanks", "waiting", END)]
        await heard(ledger, gone, at(SOON + timedelta(days=9), 3))
        assert await batches_now(ledger) == [("thanks", "cancelled", END)]
    assert await heard(ledger, at(SOON, 5), at(SOON, 5)) == Planned(events=1, repeated=1, moved=1)


async def test_what_was_cancelled_is_not_revived_by_a_late_copy_of_its_creation(ledger: AsyncEngine) -> None:
    await heard(ledger, at(SOON, 5), at(SOON, 5, cancelled=True), at(SOON, 5))
    assert await batches_now(ledger) == [("thanks", "cancelled", END)]
    await heard(ledger, at(SOON, 6, cancelled=True), at(SOON, 5), at(SOON, 6, cancelled=True))
    assert await batches_now(ledger) == [("thanks", "cancelled", END)]


HOLD = "UPDATE handoff.batches SET state = 'held', reason = 'late', judged_at = now(), late_allowed = true"


@pytest.mark.parametrize("truth", [{"cancelled": True}, {"start": SOON + timedelta(hours=2)}])
async def test_of_two_reports_of_one_moment_the_one_that_is_said_again_is_followed(
    ledger: AsyncEngine, truth: dict[str, Any]
) -> None:
    """Else the last look would find it otherwise for ever, and nothing would follow it."""
    true, other = at(**({"start": SOON, "changed": 4} | truth)), at(SOON, 4)
    await heard(ledger, at(SOON, 1), true, other)
    assert await batches_now(ledger) == [("thanks", "waiting", END)]
    assert (await heard(ledger, true)).events == 1
    told = ("thanks", "cancelled", END) if true.cancelled else ("thanks", "waiting", END + timedelta(hours=2))
    assert await batches_now(ledger) == [told]
    assert await heard(ledger, true) == Planned(repeated=1)


async def test_a_held_batch_follows_its_occasion_to_another_moment(ledger: AsyncEngine) -> None:
    await heard(ledger, at(SOON, 1))
    await change(ledger, HOLD)
    await heard(ledger, at(SOON, 2, title="Neuer Titel"))
    assert await batches_now(ledger) == [("thanks", "held", END)]
    assert (await heard(ledger, at(SOON + timedelta(days=1), 3))).moved == 1
    found = await rows(ledger, "SELECT state, reason, due_at, late_allowed, judged_at FROM handoff.batches")
    assert found == [("waiting", "", END + timedelta(days=1), False, None)]


async def test_a_held_batch_is_cancelled_with_its_occasion(ledger: AsyncEngine) -> None:
    await heard(ledger, at(SOON, 1))
    await change(ledger, HOLD)
    assert (await heard(ledger, at(SOON, 2, cancelled=True))).cancelled == 1
    assert await rows(ledger, "SELECT state, reason FROM handoff.batches") == [("cancelled", "occasion_cancelled")]


async def test_a_skipped_batch_waits_again_only_for_another_moment(ledger: AsyncEngine) -> None:
    await heard(ledger, at(SOON, 1))
    await change(ledger, "UPDATE handoff.batches SET state = 'skipped', reason = 'late'")
    await heard(ledger, at(SOON, 2, cancelled=True), at(SOON, 3))
    assert await batches_now(ledger) == [("thanks", "skipped", END)]
    await heard(ledger, at(SOON + timedelta(days=1), 4))
    assert await batches_now(ledger) == [("thanks", "waiting", END + timedelta(days=1))]


async def test_what_a_person_dropped_stays_dropped(ledger: AsyncEngine) -> None:
    await heard(ledger, at(SOON, 1))
    await change(ledger, "UPDATE handoff.batches SET state = 'cancelled', reason = 'dropped_by_person'")
    await heard(ledger, at(SOON + timedelta(days=1), 2), at(SOON, 3, cancelled=True), at(SOON, 4))
    assert [state for _, state, _ in await batches_now(ledger)] == ["cancelled"]


CREATED, MOVED = at(SOON, 1), at(SOON + timedelta(days=1), 2)
CANCELLED, REVIVED = at(SOON + timedelta(days=1), 3, cancelled=True), at(SOON + timedelta(days=2), 4)


def expected_after(events: Sequence[Occasion]) -> list[tuple[str, datetime]]:
    """What waits is what the newest report says."""
    newest = max(events, key=lambda event: event.changed)
    return [] if newest.cancelled else [("waiting", newest.anchors["end"])]


async def test_every_order_of_events_ends_where_the_newest_says(ledger: AsyncEngine) -> None:
    kinds = (CREATED, MOVED, CANCELLED, REVIVED)
    sequences = [s for length in (1, 2, 3) for s in itertools.product(kinds, repeat=length)]
    sequences += list(itertools.permutations(kinds))

    async def play(number: int, sequence: Sequence[Occasion]) -> None:
        for event in sequence:
            await heard(ledger, replace(event, key=str(number)))

    for start in range(0, len(sequences), 5):
        chunk = list(enumerate(sequences))[start : start + 5]
        await asyncio.gather(*(play(number, sequence) for number, sequence in chunk))
    found = await rows(
        ledger,
        "SELECT o.key, b.state, b.due_at FROM handoff.batches b JOIN handoff.occasions o ON o.id = b.occasion_id"
        " WHERE b.state = 'waiting'",
    )
    waiting = {int(key): [(state, due)] for key, state, due in found}
    assert {number: waiting.get(number, []) for number in range(len(sequences))} == {
        number: expected_after(sequence) for number, sequence in enumerate(sequences)
    }


async def test_eight_at_once_with_shuffled_events_end_in_the_same_state(ledger: AsyncEngine) -> None:
    dice = random.Random(4)
    for number in range(12):
        kinds = dice.sample((CREATED, MOVED, CANCELLED, REVIVED), dice.choice((3, 4)))
        events = [replace(event, key=f"k{number}") for event in kinds]
        shuffled = [dice.sample(events, len(events)) for _ in range(8)]
        await asyncio.gather(*(heard(ledger, *mine, rules=(RULE, REMINDER)) for mine in shuffled))
        found = await rows(
            ledger,
            "SELECT b.state, b.due_at FROM handoff.batches b JOIN handoff.occasions o ON o.id = b.occasion_id"
            " WHERE o.key = :key AND b.rule_id = 'thanks' AND b.state = 'waiting'",
            key=f"k{number}",
        )
        assert found == expected_after(events), [event.changed for event in events]
        assert (await rows(ledger, "SELECT count(*) FROM handoff.inbox WHERE occasion_key = :key", key=f"k{number}"))[
            0
        ] == (len(events),)
