"""A step that cannot be read, at a target that otherwise can: in doubt it is held, the others are settled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.errors import UnknownOutcome
from handoff.target import Call
from tests.support.delivery import desk_of, judge_due, plan, states, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.targets import MemoryTarget

STEPS = [
    {"step": "quentn.term", "term": "Termin"},
    {"step": "quentn.campaign", "campaign": 42},
    {"step": "quentn.term", "term": "Nachher"},
]


@pytest.mark.parametrize("dies", [False, True], ids=["lost answer", "dead worker"])
async def test_a_doubtful_start_of_a_campaign_is_held_and_never_repeated(ledger: AsyncEngine, dies: bool) -> None:
    class Died(Exception):
        """The worker's end, after the call and before its outcome."""

    lost: set[str] = set()

    def lose(call: Call) -> UnknownOutcome | None:
        if call.key in lost:
            return None
        lost.add(call.key)
        if dies and call.step.step == "quentn.campaign":
            raise Died
        return UnknownOutcome(call.step.conn_id, call.step.step, "lost")

    rule, target = a_rule(steps=STEPS), MemoryTarget(after=lose)
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61), minutes=60)
    source = FixedSource(occasion, some_registrations(1, before=occasion.anchors["start"]))
    await plan(ledger, source, [rule], occasion)
    assert await judge_due(ledger, rule, source) == ["judged"]
    for _ in range(2):
        try:
            await work(ledger, rule, desk_of(ledger, {"quentn_default": target}))
        except Died:
            async with ledger.begin() as connection:
                await connection.execute(text("UPDATE handoff.lanes SET leased_until = now()"))
    # The term before it was read back, what comes after it waits for a person.
    assert await states(ledger) == {"confirmed": 1, "held": 1, "planned": 1}
    assert len(target.effects) == 2
