"""One effect that meets a mistake in a program ends alone: its worker and everybody else go on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.errors import Refused, TargetError, UnknownOutcome
from handoff.ledger import replays
from handoff.rules.rule import Rule
from handoff.target import Call, Proof
from tests.support.chaos import tags
from tests.support.delivery import desk_of, judge_due, plan, states, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.etermin_world import ETermin
from tests.support.etermin_world import rule as a_booking
from tests.support.rows import change, rows
from tests.support.targets import MemoryTarget

POISON = "person3@example.org"
RULE = a_rule(steps=tags("eins", "zwei"))
PERSON = """
    SELECT step_no, state, reason, attempts FROM handoff.effects AS effect
    JOIN handoff.handoffs AS handoff ON handoff.id = handoff_id
    JOIN handoff.contacts AS contact ON contact.id = contact_id WHERE email = :email ORDER BY step_no
"""


async def judged(ledger: AsyncEngine, rule: Rule = RULE, people: int = 20) -> None:
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61))
    source = FixedSource(occasion, some_registrations(people, before=occasion.anchors["start"]))
    await plan(ledger, source, [rule], occasion)
    assert await judge_due(ledger, rule, source) == ["judged"]


def stumble(call: Call) -> TargetError | None:
    """Fail for one contact as a parser would that did not expect something, and say whom it was about."""
    if call.contact.email == POISON:
        raise KeyError(f"no field for {POISON}")
    return None


class Stumbling(MemoryTarget):
    """Stumbles before an effect is announced, or when it is read back."""

    def __init__(self, where: str, **faults: Callable[[Call], TargetError | None]) -> None:
        super().__init__(**faults)
        self._where = where

    def coalesces(self, call: Call) -> bool:
        if self._where == "before":
            stumble(call)
        return super().coalesces(call)

    async def seen(self, call: Call) -> Proof | None:
        if self._where == "reading":
            stumble(call)
        return await super().seen(call)


async def sent(ledger: AsyncEngine, target: MemoryTarget) -> list[tuple[Any, ...]]:
    """Let a worker work; return what became of the one contact's effects."""
    await judged(ledger)
    await work(ledger, RULE, desk_of(ledger, {"klicktipp_default": target}), horizon=0.0)
    return await rows(ledger, PERSON, email=POISON)


async def test_before_the_announcement_nothing_was_sent_and_it_is_refused(
    ledger: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "handoff"):
        found = await sent(ledger, target := Stumbling("before"))
    assert [row[1] for row in found] == ["refused", "skipped"]
    assert "KeyError" in found[0][2]
    assert "test_unforeseen.py" in found[0][2]
    assert found[0][3] == 0
    assert await states(ledger) == {"confirmed": 38, "refused": 1, "skipped": 1}
    assert POISON not in dict(target.effects)
    told = "\n".join(record.getMessage() for record in caplog.records)
    assert "KeyError" in told
    assert "in coalesces" in told
    assert "person3" not in told + found[0][2]


async def test_after_the_announcement_it_is_settled_by_reading(ledger: AsyncEngine) -> None:
    target = MemoryTarget(after=stumble)
    await judged(ledger)
    await work(ledger, RULE, desk_of(ledger, {"klicktipp_default": target}))
    assert await states(ledger) == {"confirmed": 40}
    assert len(target.effects) == len(set(target.effects)) == 40


async def test_after_the_announcement_it_is_held_where_nothing_can_be_read(ledger: AsyncEngine) -> None:
    found = await sent(ledger, target := MemoryTarget(after=stumble, readable=False))
    assert [row[1] for row in found] == ["held", "planned"]
    assert "KeyError" in found[0][2]
    assert "person3" not in found[0][2]
    assert await states(ledger) == {"confirmed": 38, "held": 1, "planned": 1}
    assert len(target.effects) == 39


async def test_what_cannot_be_read_because_of_it_is_held(ledger: AsyncEngine) -> None:
    target = Stumbling("reading", after=stumble)
    await judged(ledger)
    for _ in range(2):
        await change(ledger, "UPDATE handoff.lanes SET ready_at = now() WHERE ready_at IS NOT NULL")
        await work(ledger, RULE, desk_of(ledger, {"klicktipp_default": target}), horizon=0.0)
    [first, second] = await rows(ledger, PERSON, email=POISON)
    assert (first[1], second[1]) == ("held", "planned")
    assert "KeyError" in first[2]
    assert "person3" not in first[2]
    assert await states(ledger) == {"confirmed": 38, "held": 1, "planned": 1}
    assert len(target.effects) == 39


async def test_what_cannot_be_read_because_the_target_says_no_is_held(ledger: AsyncEngine) -> None:
    """Its tag was renamed, or the key may write and not read: the call may well have had its effect."""

    class Renamed(MemoryTarget):
        async def seen(self, call: Call) -> Proof | None:
            raise Refused(call.step.conn_id, "look for a tag", "no tag called eins")

    def lost(call: Call) -> TargetError | None:
        return UnknownOutcome(call.step.conn_id, "tag") if call.contact.email == POISON else None

    target = Renamed(after=lost)
    await judged(ledger)
    for _ in range(2):
        await change(ledger, "UPDATE handoff.lanes SET ready_at = now() WHERE ready_at IS NOT NULL")
        await work(ledger, RULE, desk_of(ledger, {"klicktipp_default": target}), horizon=0.0)
    [first, second] = await rows(ledger, PERSON, email=POISON)
    assert (first[1], second[1]) == ("held", "planned")
    assert "cannot be read back" in first[2]
    assert "no tag called eins" in first[2]
    assert await states(ledger) == {"confirmed": 38, "held": 1, "planned": 1}
    async with ledger.begin() as connection:
        assert await replays.dead(connection, replays.Selection(rule_id=RULE.id)) == []


@pytest.mark.parametrize(("state", "end"), [("planned", "refused"), ("sending", "held"), ("unknown", "held")])
async def test_what_cannot_be_rendered_any_more_is_held_if_it_is_in_doubt(
    ledger: AsyncEngine, etermin: ETermin, state: str, end: str
) -> None:
    step = {"step": "quentn.contact", "notes": "aus {{ entry.town }}"}
    [rule] = etermin.rules(a_booking("booked", {"minutes": 0, "after": "booked"}, steps=[step]))
    await etermin.book(city="Bern")
    await etermin.poll()
    source = await etermin.source()
    assert await judge_due(ledger, rule, source) == ["judged"]
    await source.close()
    await change(ledger, "UPDATE handoff.effects SET state = :state, intent_at = now(), attempts = 1", state=state)
    await change(ledger, "UPDATE handoff.registrations SET contact_id = NULL")
    target = MemoryTarget()
    await work(ledger, rule, desk_of(ledger, {"quentn_default": target}), horizon=0.0)
    [(became, reason)] = await rows(ledger, "SELECT state, reason FROM handoff.effects")
    assert (became, "town" in reason, target.calls) == (end, True, 0)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [("step = 'klicktipp.untag'", "step 1"), ("step_no = 7", "step 8"), ("account = 'klicktipp_2'", "step 1")],
)
async def test_an_effect_that_is_no_step_of_its_rule_is_held(ledger: AsyncEngine, wrong: str, words: str) -> None:
    rule, target = a_rule(), MemoryTarget()
    await judged(ledger, rule)
    await change(
        ledger, f"UPDATE handoff.effects SET {wrong} WHERE id = (SELECT min(id) FROM handoff.effects)"
    )  # fmt: skip
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target, "klicktipp_2": target}))
    assert await states(ledger) == {"confirmed": 19, "held": 1}
    [(reason, attempts)] = await rows(ledger, "SELECT reason, attempts FROM handoff.effects WHERE state = 'held'")
    assert words in reason
    assert "test_rule" in reason
    assert (attempts, target.calls) == (0, 19)
