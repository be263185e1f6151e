"""How a worker ends: what got its answer is written down, whenever the end comes."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger import journal
from handoff.target import Call, Proof
from tests.support.delivery import desk_of, judge_due, plan, states, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.rows import rows_become
from tests.support.targets import MemoryTarget

BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


class InTheWay(MemoryTarget):
    """Carries an effect out, and from then on keeps its outcome from being written until it is let go."""

    def __init__(self, ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self._ledger, self._monkeypatch, self.lock = ledger, monkeypatch, AsyncExitStack()

    async def send(self, call: Call) -> Proof:
        proof = await super().send(call)
        connection = await self.lock.enter_async_context(self._ledger.connect())
        await connection.execute(text("SELECT FROM handoff.effects FOR UPDATE"))
        # It is the worker, which has nothing left to do, that writes the outcome.
        self._monkeypatch.setattr(journal, "GATHER_SECONDS", 3600.0)
        return proof


async def test_an_answer_is_written_though_the_end_comes_while_it_is_being_written(
    ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule, occasion = a_rule(), an_occasion(start=datetime.now(UTC) - timedelta(minutes=61))
    source = FixedSource(occasion, some_registrations(1, before=occasion.anchors["start"]))
    await plan(ledger, source, [rule], occasion)
    assert await judge_due(ledger, rule, source) == ["judged"]
    target = InTheWay(ledger, monkeypatch)
    working = asyncio.create_task(work(ledger, rule, desk_of(ledger, {"klicktipp_default": target})))
    await rows_become(ledger, BLOCKED, [(1,)])
    working.cancel()
    await asyncio.sleep(0.05)
    await target.lock.aclose()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(working, 60)
    assert len(target.effects) == 1
    assert await states(ledger) == {"confirmed": 1}
