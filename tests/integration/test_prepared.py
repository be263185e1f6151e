"""What was read ahead of the moment is not read after it, unless it has changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import NoResultFound
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.desk import Desk
from handoff.errors import Transient
from handoff.ledger import lanes, rule_versions
from handoff.ledger.lanes import OpenEffect
from handoff.planning.planner import record
from handoff.rules.steps import KlickTippTag, Step
from handoff.target import Call
from tests.support.delivery import desk_of, judge_due
from tests.support.domain import FixedSource, a_rule
from tests.support.moments import RULE, ended, listed_for, planned
from tests.support.rows import change
from tests.support.targets import MemoryTarget


@pytest.fixture
def desk(ledger: AsyncEngine) -> Desk:
    return desk_of(ledger, {"klicktipp_default": MemoryTarget()})


@contextmanager
def statements(ledger: AsyncEngine) -> Iterator[list[str]]:
    """Collect what is asked of the ledger."""
    said: list[str] = []

    def hear(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        said.append(statement)

    event.listen(ledger.sync_engine, "before_cursor_execute", hear)
    yield said
    event.remove(ledger.sync_engine, "before_cursor_execute", hear)


async def first_effect(ledger: AsyncEngine) -> OpenEffect:
    async with ledger.begin() as connection:
        [lane] = await lanes.claim(connection, RULE.order_group, "worker", most=1)
    return lane.effects[0]


async def called(desk: Desk, effect: OpenEffect) -> Call:
    return await desk.call(effect, await desk.batch(effect, 0.0), {})


async def test_the_first_effect_asks_the_ledger_for_nothing_that_was_prepared(ledger: AsyncEngine, desk: Desk) -> None:
    known = ended()
    await planned(ledger, known)
    await desk.prepare(1)
    assert await judge_due(ledger, RULE, FixedSource(known, listed_for(known, 1))) == ["judged"]
    effect = await first_effect(ledger)
    with statements(ledger) as prepared:
        call = await called(desk, effect)
    with statements(ledger) as unprepared:
        assert await called(desk_of(ledger, {}), effect) == call
    assert (len(prepared), len(unprepared)) == (0, 2)


async def test_an_occasion_that_is_newer_than_what_was_prepared_is_read_again(ledger: AsyncEngine, desk: Desk) -> None:
    known = ended()
    await planned(ledger, known)
    await desk.prepare(1)
    renamed = replace(known, title="Another title", changed=2)
    await record(ledger, [renamed], [RULE])
    assert await judge_due(ledger, RULE, FixedSource(renamed, listed_for(known, 1))) == ["judged"]
    effect = await first_effect(ledger)
    assert (await called(desk, effect)).occasion.title == "Another title"
    with statements(ledger) as said:
        await called(desk, effect)
    assert said == []


async def test_one_look_tells_all_effects_of_a_batch_what_became_of_its_occasion(
    ledger: AsyncEngine, desk: Desk
) -> None:
    known = ended()
    await planned(ledger, known)
    await desk.prepare(1)
    assert await judge_due(ledger, RULE, FixedSource(known, listed_for(known, 5))) == ["judged"]
    async with ledger.begin() as connection:
        claimed = await lanes.claim(connection, RULE.order_group, "worker", most=5)
    effects = [lane.effects[0] for lane in claimed]
    await record(ledger, [replace(known, cancelled=True, changed=2)], [RULE])
    with statements(ledger) as said:
        for effect in effects:
            await desk.batch(effect, effect.known_at)
    assert (said, {effect.cancelled for effect in effects}) == ([], {False})
    since = time.monotonic()
    with statements(ledger) as said:
        await asyncio.gather(*(desk.batch(effect, since) for effect in effects))
        await desk.batch(effects[0], since)
    # What became of the occasion, and the occasion and the rule as they are now: each once.
    assert (len(effects), len(said), {effect.cancelled for effect in effects}) == (5, 3, {True})


async def test_a_rule_that_was_changed_since_it_was_prepared_is_read_again(ledger: AsyncEngine, desk: Desk) -> None:
    """Its batch was planned anew by somebody, and judged by another run."""
    known, other = ended(), a_rule(steps=[{"step": "klicktipp.tag", "tag": "anders"}])
    await planned(ledger, known)
    await desk.prepare(1)
    async with ledger.begin() as connection:
        version = await rule_versions.pin(connection, other)
    await change(ledger, "UPDATE handoff.batches SET rule_version = :version", version=version)
    assert await judge_due(ledger, other, FixedSource(known, listed_for(known, 1))) == ["judged"]
    step = (await called(desk, await first_effect(ledger))).step
    assert isinstance(step, KlickTippTag)
    assert step.tag == "anders"


async def test_a_batch_that_could_not_be_read_is_read_again(ledger: AsyncEngine, desk: Desk) -> None:
    with pytest.raises(NoResultFound):
        await desk.prepare(1)
    await planned(ledger, ended())
    await desk.prepare(1)


async def test_an_account_that_cannot_be_prepared_keeps_no_other_from_it(ledger: AsyncEngine) -> None:
    prepared: list[str] = []

    class Preparing(MemoryTarget):
        async def prepare(self, step: Step) -> None:
            prepared.append(f"{step.conn_id} {step.tag}")  # type: ignore[attr-defined]
            if step.conn_id == "down":
                raise Transient("down", "log in")

    places = [("down", "a"), ("down", "b"), ("up", "a"), ("up", "b")]
    steps = [{"step": "klicktipp.tag", "tag": tag, "conn_id": account} for account, tag in places]
    await planned(ledger, ended(), a_rule(steps=steps))
    await desk_of(ledger, {"down": Preparing(), "up": Preparing()}).prepare(1)
    assert sorted(prepared) == ["down a", "down b", "up a", "up b"]
