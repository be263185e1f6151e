"""Mails leave over few connections: what is announced leaves at once, and what waits for one is still planned."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery import lane_run
from handoff.delivery.gate import Gate
from handoff.delivery.worker import Worker
from handoff.ledger import freezes
from handoff.planning.planner import record
from hooks.mail import KEPT_OPEN
from sandbox import Sandbox
from tests.support.delivery import states
from tests.support.domain import an_occasion
from tests.support.mailing import MAILS, START, VARIABLE, judged, mail_desk, mailbox
from tests.support.rows import change, rows

pytestmark = pytest.mark.integration
PEOPLE, SLOW = 100, 0.3


class Office:
    """One worker with many lanes in flight, and the sandbox's own count of what it sent."""

    def __init__(self, ledger: AsyncEngine, sandbox: Sandbox) -> None:
        self._sandbox, self.gate, self._desk = sandbox, Gate(ledger), mail_desk(ledger)
        worker = Worker(ledger, MAILS.order_group, f"worker/{uuid.uuid4()}", self._desk, gate=self.gate)
        self.working = asyncio.create_task(worker.run())

    @property
    def sent(self) -> int:
        return len(self._sandbox.world.mailbox.mails)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition() and not self.working.done():
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        self.working.cancel()
        await asyncio.gather(self.working, return_exceptions=True)
        await self._desk.close()


@asynccontextmanager
async def mailing(ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    """Let a worker send to everybody over a slow mail server; give it when the first mails have arrived."""
    await judged(ledger, PEOPLE)
    async with Sandbox() as sandbox:
        sandbox.gate.latency["email"] = SLOW
        monkeypatch.setenv(VARIABLE, mailbox(sandbox))
        office = Office(ledger, sandbox)
        try:
            await office.until(lambda: office.sent > KEPT_OPEN)
            yield office
        finally:
            await office.close()


async def ended(ledger: AsyncEngine) -> list[tuple[Any, ...]]:
    """Return what became of the effects: state, reason, attempts, and how many."""
    return await rows(
        ledger, "SELECT state, reason, attempts, count(*) FROM handoff.effects GROUP BY 1, 2, 3 ORDER BY 1"
    )


async def test_a_freeze_stops_the_mails_that_wait_for_a_connection(
    ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with mailing(ledger, monkeypatch) as office:
        async with ledger.begin() as connection:
            await freezes.freeze(connection, "account:smtp_default", "test")
        await office.gate.refresh()
        before = office.sent
        async with asyncio.timeout(30):
            await office.working
        assert office.sent <= before + KEPT_OPEN
        assert await ended(ledger) == [("confirmed", "", 1, office.sent), ("planned", "", 0, PEOPLE - office.sent)]


async def test_a_worker_that_dies_leaves_no_more_in_doubt_than_it_has_connections(
    ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with mailing(ledger, monkeypatch) as office:
        [(announced,)] = await rows(ledger, "SELECT count(*) FROM handoff.effects WHERE state = 'sending'")
        assert 1 <= announced <= KEPT_OPEN
        await office.close()
        left = await states(ledger)
        assert left["sending"] <= KEPT_OPEN
        assert left["confirmed"] + left["sending"] >= office.sent


async def test_what_is_cancelled_while_it_waits_for_a_connection_is_not_sent(
    ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_run, "SHORT_SECONDS", 0.0)
    async with mailing(ledger, monkeypatch) as office:
        await record(ledger, [an_occasion(start=START, cancelled=True, changed=2.0)], [MAILS])
        before = office.sent
        async with asyncio.timeout(30):
            await office.working
        assert office.sent <= before + KEPT_OPEN
        skipped = ("skipped", "occasion_cancelled", 0, PEOPLE - office.sent)
        assert await ended(ledger) == [("confirmed", "", 1, office.sent), skipped]


async def test_who_lost_the_lanes_while_they_waited_for_a_connection_sends_nothing_more(
    ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with mailing(ledger, monkeypatch) as office:
        await change(
            ledger, "UPDATE handoff.lanes SET lease_owner = 'another', leased_until = now() + interval '1 hour'"
        )
        before = office.sent
        await office.until(lambda: office.sent > before + KEPT_OPEN)
        assert office.sent <= before + KEPT_OPEN
        found = await states(ledger)
        assert found["planned"] >= PEOPLE - office.sent
