"""Every order in which an appointment's life can reach the ledger, through the real planner and PostgreSQL.

Stories grow word by word, each word in a savepoint that is rolled back before the next one is tried, so that what they
have in common happens once. A word after which nothing is different, neither at the source nor in the ledger, is not
grown: what follows it was tried without it.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from handoff.occasion import Occasion
from handoff.planning.appointments import Account
from handoff.planning.planner import Planned, record_one
from hooks.etermin_source import known_of
from tests.integration.test_appointment_lives import BATCHES, rules_of
from tests.support.appointment_due import OneConnection, moments_come
from tests.support.appointment_life import KEY, WORDS, Life

pytestmark = pytest.mark.integration
ACCOUNT, LONGEST, LONGEST_DUE = "etermin_default", 5, 4
"""Stories in which moments come are cut a word shorter: they take their time; random longer ones are another test."""
RULES = rules_of(ACCOUNT)
HOUR = timedelta(hours=1)


class Tree:
    """All stories, on one connection. :ivar grown: how many different ones there are."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection, self.grown = connection, 0

    async def grow(self, life: Life, story: tuple[str, ...] = ()) -> None:
        """Try every word that may come next."""
        for word in WORDS:
            later, told = copy(life), (*story, word)
            savepoint = await self._connection.begin_nested()
            news = await self._record(later.tell(word))
            if word == "due":
                news += await self._come_due(later, told)
            news += await self._record(later.polled(await self._known()))
            later.learn(await self._known())
            await self._check(later, told)
            if news or replace(later, now=life.now, crashing=life.crashing) != life:
                self.grown += 1
                if len(told) < (LONGEST_DUE if "due" in told else LONGEST):
                    await self.grow(later, told)
            await savepoint.rollback()

    async def _known(self) -> Occasion | None:
        return (await known_of(self._connection, ACCOUNT, [KEY])).get(KEY)

    async def _come_due(self, life: Life, story: tuple[str, ...]) -> int:
        known = await self._known()
        engine = cast(AsyncEngine, OneConnection(self._connection))
        sent = await moments_come(engine, RULES[0], life, life.shown())
        # After a handover nothing waits, and nobody looks, until the move is heard of.
        heard = known is not None and (not life.done or known.anchors["start"] == life.start)
        life.done += tuple(sent)
        assert not (life.over and sent), f"{story}: its cancellation was known"
        assert len(set(life.done)) == len(life.done), f"{story}: twice for one start"
        assert not heard or life.truth is None or life.start in life.done, f"{story}: its moment has come"
        return len(sent)

    async def _record(self, reports: list[Occasion]) -> int:
        planned = Planned()
        for one in reports:
            await record_one(self._connection, one, RULES, planned)
        return planned.events

    async def _check(self, life: Life, story: tuple[str, ...]) -> None:
        found = (await self._connection.execute(text(BATCHES.format(account=ACCOUNT)))).all()
        names = [row.rule_id for row in found]
        assert names.count("reminder") <= 1 + min(story.count("due"), story.count("move")), story
        assert names.count("deleted") <= (life.truth is None), story
        assert names.count("modified") <= story.count("move"), story
        if not life.crashing:
            waiting = [row.due_at for row in found if row.rule_id == "reminder" and row.state == "waiting"]
            assert waiting == ([life.start - HOUR] if life.truth and life.start not in life.done else []), story


@pytest.mark.parametrize("reach", [0, 1])
@pytest.mark.parametrize("prompt", [True, False])
async def test_every_story_up_to_five_words(ledger: AsyncEngine, prompt: bool, reach: int) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    account = Account("etermin", ACCOUNT, "Europe/Zurich")
    life = Life(prompt, now, now + timedelta(days=5), account, reach=reach)
    async with ledger.connect() as connection, connection.begin() as transaction:
        tree = Tree(connection)
        await tree.grow(life)
        await transaction.rollback()
    assert tree.grown > 300, "not even the known ways for a story to differ"
