"""Letting the moments come that a rule waits for: a last look at an appointment, its verdict, and what goes out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from handoff.delivery.comparison import gone
from handoff.delivery.consents import Consents
from handoff.delivery.gate import Gate
from handoff.delivery.lane_run import LaneRun
from handoff.ledger import batches, lanes, registrations, verdicts
from handoff.ledger.batches import WaitingBatch
from handoff.ledger.journal import Journal
from handoff.planning.appointments import Appointment, glimpsed
from handoff.planning.judging import judge_list
from handoff.planning.planner import Planned, record_one
from handoff.registration import Registration, Roster
from handoff.rules.rule import Rule
from handoff.target import Call
from tests.support.appointment_life import Life
from tests.support.delivery import desk_of
from tests.support.targets import MemoryTarget

OWNER, AHEAD = "due", timedelta(days=60).total_seconds()
LOOKS = 3
"""A last look that finds a move lets the batch wait for its new moment, which comes too."""


async def moments_come(engine: AsyncEngine, rule: Rule, life: Life, shown: Appointment | None) -> list[datetime]:
    """Let every moment come that a rule waits for, and everything be sent.

    The clock stays: judged is what waits, however far ahead it lies, so that a later move is one into the future.

    :param shown: the appointment as the last look finds it.
    :returns: the starts (aware) for which effects reached the target.
    """
    for _ in range(LOOKS):
        async with engine.begin() as connection:
            for batch in await batches.claim(connection, rule.id, OWNER, horizon=AHEAD):
                await _judge(connection, rule, batch, life, shown)
    return [call.occasion.anchors["start"] for call in await sent(engine, rule, OWNER)]


async def _judge(
    connection: AsyncConnection, rule: Rule, batch: WaitingBatch, life: Life, shown: Appointment | None
) -> None:
    known, now = batch.occasion.occasion, datetime.now(UTC)
    found = glimpsed(shown, known, life.account, life.now) if shown else None
    if found is None or found.anchors != known.anchors:
        await record_one(connection, found or gone(known), [], Planned())
        return
    customer = Registration("customer", "eva@example.org", now - timedelta(days=1))
    await registrations.store(connection, batch.occasion.id, Roster(now, now, (customer,)))
    listed = await registrations.listed(connection, batch.occasion.id)
    judged = list(judge_list(rule, known, batch.id, batch.moment, listed))
    await verdicts.write(connection, batch.id, rule, judged, moment=batch.moment, read_at=now)
    await batches.close(connection, batch.id, "judged")


async def sent(engine: AsyncEngine, rule: Rule, owner: str) -> list[Call]:
    """Let everything go out that is ready; return what reached the target."""
    calls = list[Call]()
    desk = desk_of(engine, {rule.steps[0].conn_id: MemoryTarget(after=calls.append)})
    journal, gate, consents = Journal(engine, owner), Gate(engine), Consents(engine)
    async with engine.begin() as connection:
        claimed = await lanes.claim(connection, rule.order_group, owner, most=9)
    writing = asyncio.create_task(journal.run())
    for lane in claimed:
        await LaneRun(lane, desk, journal, gate, consents, lambda: True).run()
    await journal.flush()
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    return calls


class OneConnection:
    """Stands in for an engine where all that is written shall be taken back: one connection, for one at a time."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection, self._free = connection, asyncio.Lock()

    @contextlib.asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Give the connection for one part that happens as a whole."""
        async with self._free, self._connection.begin_nested():
            yield self._connection

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[OneConnection]:
        """Give the connection as it is, within the transaction."""
        async with self._free:
            yield self

    async def execution_options(self, **options: Any) -> AsyncConnection:
        """Stay within the transaction whatever is asked for."""
        return self._connection

    async def execute(self, *args: Any) -> Any:
        """Carry out a statement."""
        return await self._connection.execute(*args)
