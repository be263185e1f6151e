"""The first verdicts are written ahead of the moment, and seen by nobody unless the last look brings no news."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery import judging_run, moment
from handoff.delivery.moment import attend, first_look
from handoff.ledger.batches import WaitingBatch
from handoff.ledger.connect import open_ledger_async
from handoff.occasion import Occasion
from handoff.planning.planner import record
from handoff.registration import Registration, Roster
from tests.support.domain import FixedSource, a_rule, an_occasion
from tests.support.moments import RULE, claim, delivered, listed_for, planned, somebody
from tests.support.rows import batches_now, rows

LATE = "SELECT EXTRACT(EPOCH FROM judged_at - due_at) FROM handoff.batches"
FREE = "SELECT id FROM handoff.batches FOR UPDATE SKIP LOCKED"
Hook = Callable[[], Awaitable[None]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prepare a second ahead of the moment."""
    monkeypatch.setattr(moment, "PREPARING", timedelta(seconds=1))


class Looked(FixedSource):
    """Does something at each look; the first is a second ahead of the moment, the last at it."""

    def __init__(self, occasion: Occasion, people: tuple[Registration, ...], *hooks: Hook) -> None:
        super().__init__(occasion, people)
        self.news: tuple[Registration, ...] = ()
        self.hooks = list(hooks)

    async def occasion(self, known: Occasion) -> Occasion | None:
        if self.hooks:
            await self.hooks.pop(0)()
        return await super().occasion(known)

    async def roster(self, known: Occasion, since: datetime | None) -> Roster:
        whole = await super().roster(known, since)
        return replace(whole, registrations=self.news) if since else whole


async def nothing() -> None:
    """Let it be as it is."""


def soon(seconds: float = 2.5, **changes: object) -> Occasion:
    return an_occasion(start=datetime.now(UTC) - timedelta(minutes=60) + timedelta(seconds=seconds), **changes)


async def waiting(ledger: AsyncEngine, source: Looked) -> WaitingBatch:
    assert source.now
    await planned(ledger, source.now)
    [batch] = await claim(ledger, horizon=10)
    await first_look(ledger, batch, source)
    return batch


async def test_nothing_of_it_is_seen_before_the_moment_and_all_of_it_after(
    ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging_run, "FIRST_WRITTEN", 10)
    seen: list[tuple[int, int]] = []

    async def look() -> None:
        seen.append((len(await rows(ledger, FREE)), len(await rows(ledger, "SELECT FROM handoff.verdicts"))))

    occasion = soon()
    source = Looked(occasion, listed_for(occasion, 25), look, look)
    batch = await waiting(ledger, source)
    assert await attend(ledger, batch, source, lambda: None) == "judged"
    assert seen == [(1, 0), (0, 0)], "at the moment the batch is locked, and its verdicts are still out of sight"
    [(late,)] = await rows(ledger, LATE)
    assert late >= 0
    assert len(await delivered(ledger)) == 25


async def test_whoever_registers_in_the_last_half_second_is_handed_over_too(ledger: AsyncEngine) -> None:
    occasion = soon()
    source = Looked(occasion, listed_for(occasion, 3))

    async def register() -> None:
        source.news = (somebody(occasion, "late", "zuletzt@example.org"),)

    source.hooks = [nothing, register]
    batch = await waiting(ledger, source)
    assert await attend(ledger, batch, source, lambda: None) == "judged"
    arrived = await delivered(ledger)
    assert len(arrived) == len(set(arrived)) == 4
    assert "zuletzt@example.org" in arrived


@pytest.mark.parametrize("became", ["cancelled", "moved", "frozen", "not_selected"])
async def test_what_changes_in_the_last_half_second_takes_it_back(ledger: AsyncEngine, became: str) -> None:
    occasion = soon()
    source = Looked(occasion, listed_for(occasion, 3))

    async def change() -> None:
        later = {**occasion.anchors, "end": occasion.anchors["end"] + timedelta(hours=1)}
        source.now = {
            "cancelled": replace(occasion, cancelled=True, changed=2),
            "moved": replace(occasion, anchors=later, changed=2),
            "not_selected": replace(occasion, series="another", changed=2),
        }.get(became, occasion)

    def is_frozen() -> bool:
        return became == "frozen" and datetime.now(UTC) >= occasion.anchors["end"]

    source.hooks = [nothing, change]
    rule = a_rule(webinars=[occasion.series]) if became == "not_selected" else RULE
    await planned(ledger, occasion, rule)
    [batch] = await claim(ledger, horizon=10)
    await first_look(ledger, batch, source)
    outcome = await attend(ledger, batch, source, lambda: None, frozen=is_frozen)
    assert outcome == {"not_selected": "cancelled"}.get(became, became)
    assert await rows(ledger, "SELECT FROM handoff.verdicts") == []
    assert await delivered(ledger) == []
    assert len(await rows(ledger, FREE)) == 1, "nothing stays locked"
    assert [state for _, state, _ in await batches_now(ledger)] == [
        "cancelled" if outcome == "cancelled" else "waiting"
    ]


async def test_batches_of_one_moment_do_not_wait_for_each_others_connections(
    ledger: AsyncEngine, ledger_url: str
) -> None:
    """The one whose turn it is may need a connection for its last look: requests are counted in the ledger."""
    due, small = soon(3.0), open_ledger_async(ledger_url, connections=2)
    turn, sources = asyncio.Lock(), {}

    async def count() -> None:
        await rows(small, "SELECT pg_sleep(0.05)")

    for number in range(8):
        occasion = replace(due, key=f"d{number}")
        sources[occasion.key] = Looked(occasion, listed_for(due, 5), nothing, count, count)
        await record(ledger, [occasion], [RULE])
    claimed = await claim(ledger, horizon=10)
    looks = [(batch, sources[batch.occasion.occasion.key]) for batch in claimed]
    for batch, source in looks:
        await first_look(ledger, batch, source)
    try:
        async with asyncio.timeout(15):
            became = await asyncio.gather(*(attend(small, b, s, lambda: None, turn=turn) for b, s in looks))
    finally:
        await small.dispose()
    assert became == ["judged"] * 8
    assert len(await delivered(ledger)) == 40
