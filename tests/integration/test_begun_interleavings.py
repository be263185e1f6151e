"""Every order in which a batch is judged in part, moved, moved back, cancelled and revived, by the real planner."""

from __future__ import annotations

from collections import Counter
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from handoff.ledger import batches, registrations, verdicts
from handoff.planning.judging import judge_list
from handoff.planning.planner import Planned, record_one
from handoff.registration import Roster
from tests.support.appointment_due import OneConnection, sent
from tests.support.domain import some_registrations
from tests.support.rounds import DAY, NOW, at, reminder

pytestmark = pytest.mark.integration
WORDS = ("part", "rest", "move", "back", "cancel", "revive")
LONGEST = 4
"""After each story all the rest is judged as well."""
RULE, OWNER = reminder(), "run"
PEOPLE = some_registrations(2, before=NOW - DAY)
FIRST, AHEAD = NOW + 9 * DAY, timedelta(days=60).total_seconds()
"""The clock stays: judged is what waits, however far ahead it lies, so that a later move is one into the future."""


@dataclass
class Date:
    """What the source says. :ivar place: how many moves ahead. :ivar had: who was handed over for which start."""

    place: int = 0
    changed: float = 1.0
    cancelled: bool = False
    had: Counter[tuple[str, datetime]] = field(default_factory=Counter)

    @property
    def start(self) -> datetime:
        return FIRST + self.place * DAY


class Tree:
    """All stories, on one connection. :ivar grown: how many different ones there are."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection, self.grown = connection, 0

    async def grow(self, date: Date, story: tuple[str, ...] = ()) -> None:
        """Try every word that may come next."""
        for word in WORDS:
            later, told = copy(date), (*story, word)
            later.had = Counter(date.had)
            savepoint = await self._connection.begin_nested()
            if await self._happens(later, word):
                self.grown += 1
                self._check(later, told)
                await self._ends(later, told)
                if len(told) < LONGEST:
                    await self.grow(later, told)
            await savepoint.rollback()

    async def tell(self, date: Date) -> None:
        """Let the source report the date."""
        date.changed += 1.0
        await record_one(self._connection, at(date.start, date.changed, cancelled=date.cancelled), [RULE], Planned())

    async def _happens(self, date: Date, word: str) -> bool:
        """Let something happen; tell whether it did."""
        if word == "rest":
            return await self._judge(date, len(PEOPLE))
        if word == "part":
            before = date.had.total()
            return await self._judge(date, 1) and date.had.total() > before
        if not {"back": date.place > 0, "cancel": not date.cancelled, "revive": date.cancelled}.get(word, True):
            return False
        date.place += {"move": 1, "back": -1}.get(word, 0)
        date.cancelled = word == "cancel"
        await self.tell(date)
        return True

    async def _judge(self, date: Date, number: int) -> bool:
        """Judge so many of a batch that waits and send what that lets go out; tell whether there was one."""
        claimed = await batches.claim(self._connection, RULE.id, OWNER, horizon=AHEAD)
        for batch in claimed:
            now = datetime.now(UTC)
            await registrations.store(self._connection, batch.occasion.id, Roster(now, now, PEOPLE))
            listed = await registrations.listed(self._connection, batch.occasion.id)
            judged = list(judge_list(RULE, batch.occasion.occasion, batch.id, batch.moment, listed))[:number]
            await verdicts.write(self._connection, batch.id, RULE, judged, moment=batch.moment, read_at=now)
            if number == len(PEOPLE):
                await batches.close(self._connection, batch.id, "judged")
        for call in await sent(cast(AsyncEngine, OneConnection(self._connection)), RULE, OWNER):
            date.had[call.contact.email, call.occasion.anchors["start"]] += 1
        return bool(claimed)

    def _check(self, date: Date, story: tuple[str, ...]) -> None:
        assert max(date.had.values(), default=0) <= 1, f"{story}: twice for one start, {date.had}"

    async def _ends(self, date: Date, story: tuple[str, ...]) -> None:
        """Let the last moment come: everybody has been handed over for it, unless it is cancelled."""
        savepoint, end = await self._connection.begin_nested(), copy(date)
        end.had = Counter(date.had)
        waits = await self._judge(end, len(PEOPLE))
        self._check(end, story)
        if date.cancelled:
            assert not waits, f"{story}: cancelled, and something waits"
        else:
            assert all(end.had[one.email, date.start] for one in PEOPLE), f"{story}: lost for {date.start}, {end.had}"
        left = "SELECT count(*) FROM handoff.batches WHERE state NOT IN ('judged', 'cancelled')"
        assert (await self._connection.execute(text(left))).scalar_one() == 0, story
        await savepoint.rollback()


async def test_every_story_up_to_four_words(ledger: AsyncEngine) -> None:
    async with ledger.connect() as connection, connection.begin() as transaction:
        tree, date = Tree(connection), Date()
        await tree.tell(date)
        await tree.grow(date)
        await transaction.rollback()
    assert tree.grown > 100, "not even the known ways for a story to differ"
