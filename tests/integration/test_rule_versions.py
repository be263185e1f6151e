"""Rules are pinned: what waits keeps the steps it was planned with."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.errors import LedgerError
from handoff.ledger import rule_versions
from handoff.planning.planner import record
from tests.support.delivery import desk_of, judge_due, states, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.targets import MemoryTarget


def two_steps(first: str, second: str) -> list[dict[str, str]]:
    return [{"step": "klicktipp.tag", "tag": tag} for tag in (first, second)]


async def test_a_version_for_each_content(ledger: AsyncEngine) -> None:
    first, second = a_rule(), a_rule(steps=two_steps("a", "b"))
    presented = a_rule(description="new words", tags=["x"], owner="somebody", docs="more")
    async with ledger.begin() as connection:
        versions = [await rule_versions.pin(connection, rule) for rule in (first, second, first, presented, second)]
        assert versions == [1, 2, 1, 1, 2]
        assert await rule_versions.load(connection, "test_rule", 2) == second
        with pytest.raises(LedgerError, match="no version 3 of rule test_rule"):
            await rule_versions.load(connection, "test_rule", 3)


async def test_pinned_at_once_by_many(ledger: AsyncEngine) -> None:
    async def pin(number: int) -> int:
        async with ledger.begin() as connection:
            return await rule_versions.pin(connection, a_rule(title=f"title {number % 3}"))

    versions = await asyncio.gather(*map(pin, range(24)))
    assert sorted(set(versions)) == [1, 2, 3]
    assert all(versions[number] == versions[number + 3] for number in range(21))


async def test_a_known_version_is_pinned_without_waiting_for_who_pins_it_too(ledger: AsyncEngine) -> None:
    rule = a_rule()
    async with ledger.begin() as connection:
        await rule_versions.pin(connection, rule)
    async with ledger.begin() as first, ledger.begin() as second:
        await rule_versions.pin(first, rule)
        assert await asyncio.wait_for(rule_versions.pin(second, rule), 1) == 1


async def test_a_waiting_batch_keeps_its_steps_when_the_file_changes(ledger: AsyncEngine) -> None:
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61))
    source = FixedSource(occasion, some_registrations(3, before=occasion.anchors["start"]))
    old = a_rule(steps=two_steps("alt eins", "alt zwei"))
    new = a_rule(steps=two_steps("neu", "neu")[:1], who="attended")
    await record(ledger, [occasion], [old])
    await record(ledger, [an_occasion(start=occasion.anchors["start"], key="d2")], [new])
    assert sorted(await judge_due(ledger, new, source)) == ["judged", "judged"]
    tags: list[str] = []
    target = MemoryTarget(before=lambda call: tags.append(call.step.model_dump()["tag"]))
    await work(ledger, new, desk_of(ledger, {"klicktipp_default": target}))
    assert await states(ledger) == {"confirmed": 6}
    assert sorted(set(tags)) == ["alt eins", "alt zwei"]
