"""Late policy and windows against the ledger: what is too late is held, skipped or sent, as the rule says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.moment import LATE
from handoff.ledger import certificates
from handoff.ledger.decisions import Decision, Subject, decide
from handoff.occasion import Occasion
from handoff.planning.planner import record
from handoff.registration import Registration
from handoff.rules.rule import Rule
from handoff.times.late import HELD
from tests.support.delivery import desk_of, judge_due, states, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.rows import change, rows
from tests.support.targets import MemoryTarget

HOUR = (datetime.now(UTC) + timedelta(minutes=2)).hour
NOON = f"Etc/GMT{HOUR - 12:+}"
"""A zone where it is about noon now, whenever the test runs; signs in these names are the other way round."""
CLOSED = {"not_before": "16:00", "not_after": "18:00"}
OPEN = {"not_before": "08:00", "not_after": "16:00"}
TAG = {"step": "klicktipp.tag", "tag": "da"}
MAIL = {"step": "email", "template": "hello", "conn_id": "klicktipp_default"}


def late_by(minutes: float, **changes: Any) -> Occasion:
    start = datetime.now(UTC) - timedelta(minutes=60 + minutes)
    return an_occasion(**{"start": start, "timezone": NOON} | changes)


async def became(
    ledger: AsyncEngine, rule: Rule, occasion: Occasion, people: Sequence[Registration] | None = None
) -> str:
    if people is None:
        people = some_registrations(3, before=occasion.anchors["start"])
    await record(ledger, [occasion], [rule])
    [found] = await judge_due(ledger, rule, FixedSource(occasion, people))
    return found


async def sent(ledger: AsyncEngine, rule: Rule) -> int:
    target = MemoryTarget()
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}), horizon=1)
    return len(target.effects)


async def certified(ledger: AsyncEngine, rule: Rule) -> certificates.Count:
    async with ledger.begin() as connection:
        [batch_id] = await certificates.to_certify(connection, rule.id)
        return await certificates.count(connection, batch_id)


@pytest.mark.parametrize(
    ("then", "state", "reason", "effects"),
    [("hold", "held", LATE, 0), ("skip", "skipped", "late", 0), ("send", "judged", "", 3)],
)
async def test_a_batch_that_could_not_be_judged_in_time(
    ledger: AsyncEngine, then: str, state: str, reason: str, effects: int
) -> None:
    rule = a_rule(late_after={"minutes": 30, "then": then})
    assert await became(ledger, rule, late_by(40)) == state
    assert await rows(ledger, "SELECT state, reason FROM handoff.batches") == [(state, reason)]
    assert await sent(ledger, rule) == effects


async def test_a_skipped_batch_is_accounted_for(ledger: AsyncEngine) -> None:
    rule = a_rule(late_after={"minutes": 30, "then": "skip"})
    await became(ledger, rule, late_by(40))
    counted = await certified(ledger, rule)
    assert (counted.listed, counted.excluded, counted.pending) == (3, {"late": 3}, 0)
    assert counted.even


async def test_a_held_batch_goes_on_when_a_person_says_so(ledger: AsyncEngine) -> None:
    rule, occasion = a_rule(late_after={"minutes": 30}), late_by(40)
    assert await became(ledger, rule, occasion) == "held"
    [(batch_id,)] = await rows(ledger, "SELECT id FROM handoff.batches")
    async with ledger.begin() as connection:
        await decide(connection, [Subject("batch", batch_id)], Decision.SEND_AGAIN)
    people = some_registrations(3, before=occasion.anchors["start"])
    assert await judge_due(ledger, rule, FixedSource(occasion, people)) == ["judged"]
    assert await sent(ledger, rule) == 3


@pytest.mark.parametrize(("then", "expected"), [("hold", ("held", HELD)), ("skip", ("skipped", "late"))])
async def test_an_effect_that_could_not_be_sent_in_time(
    ledger: AsyncEngine, then: str, expected: tuple[str, str]
) -> None:
    rule = a_rule(late_after={"minutes": 30, "then": then})
    await became(ledger, rule, late_by(20))
    await change(ledger, "UPDATE handoff.batches SET due_at = due_at - interval '20 minutes'")
    assert await sent(ledger, rule) == 0
    assert await rows(ledger, "SELECT DISTINCT state, reason FROM handoff.effects") == [expected]


async def test_a_closed_window_lets_the_message_wait_and_what_comes_before_it_go(ledger: AsyncEngine) -> None:
    rule = a_rule(steps=[TAG, MAIL, TAG], window=CLOSED)
    assert await became(ledger, rule, late_by(1)) == "judged"
    assert await sent(ledger, rule) == 3
    assert await states(ledger) == {"confirmed": 3, "planned": 6}
    [(ready,)] = await rows(ledger, "SELECT DISTINCT date_trunc('minute', ready_at) FROM handoff.lanes")
    assert ready == datetime.now(ZoneInfo(NOON)).replace(hour=16, minute=0, second=0, microsecond=0)


async def test_an_open_window_holds_nothing_back(ledger: AsyncEngine) -> None:
    rule = a_rule(steps=[TAG, MAIL], window=OPEN)
    await became(ledger, rule, late_by(1))
    assert await sent(ledger, rule) == 6


@pytest.mark.parametrize(
    ("steps", "window", "expected"),
    [
        ([MAIL, TAG], CLOSED, "judged"),  # all of it is postponed to what is still to come
        ([TAG, MAIL], CLOSED, "held"),  # the tag had no window to wait for
        ([MAIL], OPEN, "held"),
    ],
)
async def test_a_batch_is_not_late_while_its_window_is_still_to_open(
    ledger: AsyncEngine, steps: list[dict[str, str]], window: dict[str, str], expected: str
) -> None:
    rule = a_rule(steps=steps, window=window, late_after={"minutes": 30})
    assert await became(ledger, rule, late_by(40)) == expected


async def test_a_batch_is_late_only_when_it_is_so_for_everybody(ledger: AsyncEngine) -> None:
    """Somebody lives where the window was open at the moment, somebody else where it is still to open."""
    rule = a_rule(steps=[MAIL], window=OPEN, late_after={"minutes": 30})
    occasion = late_by(40)
    here, there = some_registrations(2, before=occasion.anchors["start"])
    evening = f"Etc/GMT{HOUR - 20:+}" if HOUR >= 8 else f"Etc/GMT{HOUR + 4:+}"
    assert await became(ledger, rule, occasion, [here, replace(there, timezone=evening)]) == "judged"
    assert await sent(ledger, rule) == 0
    found = await rows(
        ledger,
        "SELECT contact.email, effect.state FROM handoff.effects AS effect"
        " JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id"
        " JOIN handoff.contacts AS contact ON contact.id = handoff.contact_id ORDER BY email",
    )
    assert found == [("person0@example.org", "held"), ("person1@example.org", "planned")]
