"""The exact moment: the last look decides."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery import moment
from handoff.delivery.moment import attend, first_look
from handoff.errors import Transient
from handoff.occasion import Occasion
from handoff.planning.planner import record
from handoff.registration import Roster
from tests.support.delivery import judge_due
from tests.support.domain import FixedSource, a_rule, an_occasion, stay
from tests.support.moments import (
    RULE,
    claim,
    delivered,
    ended,
    listed_for,
    planned,
    somebody,
)
from tests.support.rows import batches_now, rows


async def test_the_last_look_finds_it_moved(ledger: AsyncEngine) -> None:
    known = ended()
    later = an_occasion(start=known.anchors["start"] + timedelta(days=1), changed=2)
    await planned(ledger, known)
    source = FixedSource(later, listed_for(known, 3))
    assert await judge_due(ledger, RULE, source) == ["moved"]
    assert await batches_now(ledger) == [("test_rule", "waiting", later.anchors["end"])]
    assert await delivered(ledger) == []
    assert await claim(ledger, owner="another") == []


@pytest.mark.parametrize("gone", [False, True])
async def test_the_last_look_finds_it_cancelled_or_gone(ledger: AsyncEngine, gone: bool) -> None:
    known = ended()
    await planned(ledger, known)
    source = FixedSource(None if gone else replace(known, cancelled=True, changed=2), listed_for(known, 3))
    assert await judge_due(ledger, RULE, source) == ["cancelled"]
    assert [state for _, state, _ in await batches_now(ledger)] == ["cancelled"]
    assert await delivered(ledger) == []


async def test_it_was_gone_came_back_and_is_gone_again(ledger: AsyncEngine) -> None:
    """The second disappearance says the same words as the first; it still is news."""
    known = ended()
    await planned(ledger, known)
    for number in range(1, 3):
        assert await judge_due(ledger, RULE, FixedSource(None)) == ["cancelled"]
        assert [state for _, state, _ in await batches_now(ledger)] == ["cancelled"]
        await record(ledger, [replace(known, changed=1 + number)], [RULE])
        assert [state for _, state, _ in await batches_now(ledger)] == ["waiting"]


async def test_it_was_moved_after_the_run_had_claimed_it(ledger: AsyncEngine) -> None:
    known = an_occasion(start=datetime.now(UTC) - timedelta(minutes=60) + timedelta(seconds=0.4))
    source = FixedSource(known, listed_for(known, 3))
    await planned(ledger, known)
    [batch] = await claim(ledger, horizon=5)
    await first_look(ledger, batch, source)
    attending = asyncio.create_task(attend(ledger, batch, source, lambda: None))
    moved = replace(known, anchors={**known.anchors, "end": known.anchors["end"] + timedelta(hours=1)}, changed=2)
    await record(ledger, [moved], [RULE])
    # The source's answer to the last look may be older than what the watcher has already recorded.
    assert await attending == "moved"
    assert await batches_now(ledger) == [("test_rule", "waiting", moved.anchors["end"])]
    assert await delivered(ledger) == []


async def test_it_waits_for_the_moment(ledger: AsyncEngine) -> None:
    soon = an_occasion(start=datetime.now(UTC) - timedelta(minutes=60) + timedelta(seconds=0.5))
    source = FixedSource(soon, listed_for(soon, 1))
    await planned(ledger, soon)
    assert await judge_due(ledger, RULE, source) == []
    assert await judge_due(ledger, RULE, source, horizon=5) == ["judged"]
    [(late,)] = await rows(ledger, "SELECT EXTRACT(EPOCH FROM judged_at - due_at) FROM handoff.batches")
    assert 0 <= late < 0.25


async def test_what_could_not_be_judged_in_time_is_held(ledger: AsyncEngine) -> None:
    occasion, rule = ended(40), a_rule(late_after={"minutes": 30})
    source = FixedSource(occasion, listed_for(occasion, 2))
    await planned(ledger, occasion, rule)
    assert await judge_due(ledger, rule, source) == ["held"]
    assert await rows(ledger, "SELECT state, reason FROM handoff.batches") == [("held", moment.LATE)]
    assert await delivered(ledger) == []


@pytest.mark.parametrize("became", ["late", "not_selected"])
async def test_what_is_ended_by_a_run_that_knows_only_the_old_moment_stays_as_planned(
    ledger: AsyncEngine, became: str
) -> None:
    """It was moved while the run was on its way; that it is late, or not selected, is no longer true."""
    known = ended(40 if became == "late" else 1)
    rule = a_rule(late_after={"minutes": 30}, webinars=[known.series])
    moved = replace(known, anchors={name: at + timedelta(days=2) for name, at in known.anchors.items()}, changed=2)
    await planned(ledger, known, rule)
    [batch] = await claim(ledger)
    await record(ledger, [moved], [rule])
    stale = replace(known, series="another") if became == "not_selected" else known
    assert await attend(ledger, batch, FixedSource(stale), lambda: None) == "moved"
    assert await batches_now(ledger) == [("test_rule", "waiting", moved.anchors["end"])]


async def test_what_changed_after_the_first_look_counts(ledger: AsyncEngine) -> None:
    occasion, rule = ended(), a_rule(who="attended")
    start = occasion.anchors["start"]
    person = somebody(occasion, "a", "eva@example.org")

    class Changing(FixedSource):
        asked: list[datetime | None] = []  # noqa: RUF012

        async def roster(self, known: Occasion, since: datetime | None) -> Roster:
            self.asked.append(since)
            now = datetime.now(UTC)
            new = somebody(occasion, "b", "neu@example.org", presence=(stay(start, 0, 60),))
            return Roster(now, now, (replace(person, presence=(stay(start, 0, 60),)), new) if since else (person,))

    source = Changing(occasion)
    await planned(ledger, occasion, rule)
    assert await judge_due(ledger, rule, source) == ["judged"]
    assert source.asked[0] is None
    assert source.asked[1] is not None
    assert sorted(await delivered(ledger, rule)) == ["eva@example.org", "neu@example.org"]


async def test_a_source_that_cannot_be_read_leaves_the_batch_waiting(ledger: AsyncEngine) -> None:
    occasion = ended()

    class Down(FixedSource):
        async def roster(self, known: Occasion, since: datetime | None) -> Roster:
            raise Transient("webinaris_default", "read the list")

    await planned(ledger, occasion)
    [batch] = await claim(ledger)
    with pytest.raises(Transient):
        await attend(ledger, batch, Down(occasion), lambda: None)
    assert [state for _, state, _ in await batches_now(ledger)] == ["waiting"]
    assert await attend(ledger, batch, FixedSource(occasion), lambda: None) == "judged"


async def test_a_date_that_is_gone_has_no_list_either(ledger: AsyncEngine) -> None:
    occasion = ended()

    class Gone(FixedSource):
        async def roster(self, known: Occasion, since: datetime | None) -> Roster:
            raise Transient("webinaris_default", "read the list", "no such date")

    await planned(ledger, occasion)
    [batch] = await claim(ledger)
    assert await attend(ledger, batch, Gone(None), lambda: None) == "cancelled"
