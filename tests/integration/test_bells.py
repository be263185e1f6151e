"""Bells: who has something to do now, who soon, and who is being looked after already."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger import bells, lanes
from handoff.ledger.bells import Bell
from handoff.planning.planner import record
from tests.support.delivery import judge_due
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.rows import change

RULE = a_rule(id="r", order_group="group")


async def batch_due(ledger: AsyncEngine, seconds: float, key: str = "d1") -> datetime:
    occasion = an_occasion(start=datetime.now(UTC) + timedelta(seconds=seconds, minutes=-60), key=key)
    await record(ledger, [occasion], [RULE])
    return occasion.anchors["end"]


async def lanes_ready(ledger: AsyncEngine, count: int = 3, ago: float = 60.0) -> None:
    await batch_due(ledger, -60)
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61))
    people = some_registrations(count, before=occasion.anchors["start"] - timedelta(minutes=5))
    source = FixedSource(None, people)
    source.occasion = lambda known: _same(known)  # type: ignore[method-assign,assignment]
    assert await judge_due(ledger, RULE, source) == ["judged"]
    await change(ledger, "UPDATE handoff.lanes SET ready_at = clock_timestamp() - make_interval(secs => :ago)", ago=ago)


async def _same(known: object) -> object:
    return known


async def ringing(ledger: AsyncEngine, lead: float = 12.0) -> list[Bell]:
    async with ledger.connect() as connection:
        return await bells.due(connection, lead)


async def next_in(ledger: AsyncEngine, lead: float = 12.0) -> float | None:
    async with ledger.connect() as connection:
        return await bells.seconds_to_next(connection, lead)


async def test_nothing_waits(ledger: AsyncEngine) -> None:
    assert await ringing(ledger) == []
    assert await next_in(ledger) is None


async def test_a_batch_rings_a_lead_before_its_moment(ledger: AsyncEngine) -> None:
    moment = await batch_due(ledger, 30)
    assert await ringing(ledger) == []
    assert await next_in(ledger) == pytest.approx(18, abs=1)
    assert await ringing(ledger, lead=31) == [Bell("batch", "r", moment)]
    assert await next_in(ledger, lead=31) is None
    await batch_due(ledger, 28, key="d2")
    [bell] = await ringing(ledger, lead=31)
    assert bell.moment < moment


async def test_a_batch_somebody_has_does_not_ring_until_its_lease_is_over(ledger: AsyncEngine) -> None:
    await batch_due(ledger, 5)
    await change(ledger, "UPDATE handoff.batches SET lease_owner = 'x', leased_until = now() + interval '1 minute'")
    assert await ringing(ledger) == []
    await change(ledger, "UPDATE handoff.batches SET leased_until = now() - interval '1 second'")
    assert [bell.kind for bell in await ringing(ledger)] == ["batch"]


@pytest.mark.parametrize("state", ["judged", "cancelled", "held", "missed"])
async def test_what_does_not_wait_does_not_ring(ledger: AsyncEngine, state: str) -> None:
    await batch_due(ledger, 5)
    await change(ledger, "UPDATE handoff.batches SET state = :state", state=state)
    assert (await ringing(ledger), await next_in(ledger)) == ([], None)


async def test_lanes_ring_when_nobody_takes_them_up(ledger: AsyncEngine) -> None:
    await lanes_ready(ledger)
    [bell] = await ringing(ledger)
    assert (bell.kind, bell.name) == ("lane", "group")
    async with ledger.begin() as connection:
        [one] = await lanes.claim(connection, "group", "worker", most=1)
    assert one.effects
    assert await ringing(ledger) == [], "somebody works in this group and will come to the others"
    await change(ledger, "UPDATE handoff.lanes SET leased_until = now() - interval '1 second' WHERE lease_owner <> ''")
    assert len(await ringing(ledger)) == 1


async def test_lanes_that_have_just_got_ready_are_left_to_who_is_about(ledger: AsyncEngine) -> None:
    await lanes_ready(ledger, ago=0.0)
    assert await ringing(ledger) == []
    seconds = await next_in(ledger)
    assert seconds is not None
    assert 0 < seconds <= bells.LANE_PATIENCE_SECONDS


async def test_lanes_that_rest_or_are_held(ledger: AsyncEngine) -> None:
    await lanes_ready(ledger, ago=-100.0)
    assert await ringing(ledger) == []
    assert await next_in(ledger) == pytest.approx(100 + bells.LANE_PATIENCE_SECONDS, abs=1)
    await change(ledger, "UPDATE handoff.lanes SET held = 'a person decides', ready_at = now() - interval '1 hour'")
    assert (await ringing(ledger), await next_in(ledger)) == ([], None)


async def test_the_lead_comes_from_measured_starts(ledger: AsyncEngine) -> None:
    async def lead_after(*seconds: float) -> float:
        async with ledger.begin() as connection:
            for one in seconds:
                await bells.started(connection, "r", one)
            return await bells.lead_seconds(connection)

    assert await lead_after() == bells.FIRST_LEAD_SECONDS
    assert await lead_after(0.5) == bells.SHORTEST_LEAD_SECONDS
    assert await lead_after(16.0, 1.0) == 26.0
    assert await lead_after(500.0) == bells.LONGEST_LEAD_SECONDS
    assert await lead_after(*[1.0] * 50) == bells.SHORTEST_LEAD_SECONDS
