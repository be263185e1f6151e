"""Every story of a date that is moved to and fro after its handover: nobody is written to twice, and nobody is lost."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
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
from handoff.rules.rule import Rule
from tests.support.appointment_due import OneConnection, sent
from tests.support.domain import some_registrations
from tests.support.rounds import DAY, HOUR, LATER, NOW, SOON, at, reminder

pytestmark = pytest.mark.integration
MINUTE = timedelta(minutes=1)
LONGEST = 4
"""The date is told of before, and after each story all the rest is judged and sent as well."""
PEOPLE = some_registrations(2, before=NOW - 9 * DAY)
OWNER, EARLIER = "run", NOW - HOUR - 30 * MINUTE
REMINDER = reminder(late_after={"days": 9})
FOLLOW_UP = reminder(when={"minutes": 0, "after": "end"}, late_after={"days": 9})
Places = dict[str, tuple[datetime, datetime]]
"""Starts and ends. The clock stays: of `first` and `near` the moment has passed, and it never comes of the others."""
REMINDED: Places = {
    "first": (SOON, SOON + HOUR), "near": (SOON + 5 * MINUTE, SOON + HOUR), "later": (LATER, LATER + HOUR),
}  # fmt: skip
FOLLOWED: Places = {
    "first": (EARLIER, EARLIER + HOUR), "longer": (EARLIER, NOW + HOUR), "later": (LATER, LATER + HOUR),
}  # fmt: skip
PASSED = {"first", "near"}


@dataclass
class Date:
    """What the source says, and what came of it.

    :ivar had: how many effects people had. :ivar judged: somebody was. :ivar excused: who was not sent to may stay so:
        it was tried while the date was another, or cancelled.
    """

    place: str = "first"
    changed: float = 1.0
    cancelled: bool = False
    judged: bool = False
    excused: bool = False
    had: Counter[str] = field(default_factory=Counter)


class Tree:
    """All stories, on one connection. :ivar grown: how many different ones there are."""

    def __init__(self, connection: AsyncConnection, rule: Rule, places: Places) -> None:
        self._connection, self._rule, self._places, self.grown = connection, rule, places, 0

    async def grow(self, date: Date, story: tuple[str, ...] = ()) -> None:
        """Try every word that may come next."""
        for word in (*self._places, "part", "rest", "send", "cancel"):
            later, told = deepcopy(date), (*story, word)
            savepoint = await self._connection.begin_nested()
            if await self._happens(later, word):
                self.grown += 1
                await self._ends(later, told)
                if len(told) < LONGEST:
                    await self.grow(later, told)
            await savepoint.rollback()

    async def tell(self, date: Date) -> None:
        """Let the source report the date."""
        date.changed += 1.0
        start, end = self._places[date.place]
        told = at(start, date.changed, cancelled=date.cancelled, anchors={"start": start, "end": end})
        await record_one(self._connection, told, [self._rule], Planned())

    async def _happens(self, date: Date, word: str) -> bool:
        """Let something happen; tell whether it did."""
        if word in {"part", "rest"}:
            return await self._judge(date, 1 if word == "part" else len(PEOPLE))
        if word == "send":
            return await self._send(date)
        if date.cancelled if word == "cancel" else (date.place == word and not date.cancelled):
            return False
        date.place, date.cancelled = (date.place, True) if word == "cancel" else (word, False)
        await self.tell(date)
        return True

    async def _judge(self, date: Date, number: int) -> bool:
        """Judge so many of what is due; tell whether there was anything."""
        claimed = await batches.claim(self._connection, self._rule.id, OWNER, horizon=0)
        for batch in claimed:
            now = datetime.now(UTC)
            await registrations.store(self._connection, batch.occasion.id, Roster(now, now, PEOPLE))
            listed = await registrations.listed(self._connection, batch.occasion.id)
            judged = list(judge_list(self._rule, batch.occasion.occasion, batch.id, batch.moment, listed))[:number]
            await verdicts.write(self._connection, batch.id, self._rule, judged, moment=batch.moment, read_at=now)
            date.judged = True
            if number == len(PEOPLE):
                await batches.close(self._connection, batch.id, "judged")
        return bool(claimed)

    async def _send(self, date: Date) -> bool:
        calls = await sent(cast(AsyncEngine, OneConnection(self._connection)), self._rule, OWNER)
        date.had.update(call.contact.email for call in calls)
        ended = "SELECT count(*) FROM handoff.effects WHERE state IN ('skipped', 'held')"
        if (await self._connection.execute(text(ended))).scalar_one():
            assert date.excused or date.cancelled or date.place in {"later", "longer"}, f"not sent at {date.place}"
            date.excused = True
        return bool(calls)

    async def _ends(self, told: Date, story: tuple[str, ...]) -> None:
        """Let all that is due be judged and sent: once, unless the date is still to come."""
        savepoint, date = await self._connection.begin_nested(), deepcopy(told)
        await self._judge(date, len(PEOPLE))
        await self._send(date)
        had = [date.had[one.email] for one in PEOPLE]
        assert max(had) <= 1, f"{story}: twice"
        rounds = (
            await self._connection.execute(text("SELECT state, reason FROM handoff.batches ORDER BY round"))
        ).all()
        waiting = [state for state, _ in rounds].count("waiting")
        if date.cancelled:
            assert waiting == 0, story
        elif date.place in PASSED:
            assert (waiting, min(had) == 1 or date.excused) == (0, True), f"{story}: lost, {had}, {rounds}"
        elif date.place == "later":
            assert waiting == 1, f"{story}: lost for later"
        else:
            assert waiting == (0 if date.judged else 1), f"{story}: what only ends later takes place once"
        await savepoint.rollback()


@pytest.mark.parametrize(("rule", "places"), [(REMINDER, REMINDED), (FOLLOW_UP, FOLLOWED)], ids=["before", "after"])
async def test_every_story(ledger: AsyncEngine, rule: Rule, places: Places) -> None:
    async with ledger.connect() as connection, connection.begin() as transaction:
        tree, date = Tree(connection, rule, places), Date()
        await tree.tell(date)
        await tree.grow(date)
        await transaction.rollback()
    assert tree.grown > 300, "not even the known ways for a story to differ"
