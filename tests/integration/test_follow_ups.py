"""What follows an appointment, counted from its end: it moves with it, dies with it, and waits as long as it takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.comparison import compare_account
from handoff.planning.missed import LOOK_BACK
from handoff.times.timing import When
from hooks.accounts import open_source
from hooks.etermin_poll import KEPT_BACK
from tests.support.delivery import judge_due
from tests.support.etermin_world import BATCHES, CONN, ETermin, rule
from tests.support.rows import rows

pytestmark = pytest.mark.integration
DUE = "SELECT due_at FROM handoff.batches WHERE rule_id = 'after'"
END = "SELECT CAST(anchors ->> 'end' AS timestamptz) FROM handoff.occasions WHERE key = 'a1'"
WAITING, CANCELLED = [("after", "a1", "waiting")], [("after", "a1", "cancelled")]
LATE = 40
"""So many days after the end somebody is written to: longer than appointments are listed."""


def follow_up(days: int) -> dict[str, Any]:
    """Return a rule that waits so many days after the end."""
    return rule("after", {"days": days, "after": "end"})


def days_after(end: datetime, days: int) -> datetime:
    """Return the same time of day so many days later, where the appointment takes place."""
    return When(days=days, after="end").due(end, "Europe/Berlin")


async def one(ledger: AsyncEngine, query: str) -> datetime:
    """Return the one moment of a query."""
    [(found,)] = await rows(ledger, query)
    assert isinstance(found, datetime)
    return found


async def compared(etermin: ETermin) -> None:
    """Let the sweep compare the account with the ledger, as if it had not done so for long."""
    source = await open_source("etermin", CONN, etermin.ledger)

    async def opened(*_: str) -> Any:
        return source

    try:
        rules = etermin.rules(follow_up(LATE))
        found = await compare_account(etermin.ledger, opened, ("etermin", CONN), rules, everything=True)
    finally:
        await source.close()
    assert (found.troubles, found.read_at is None) == ([], False)


async def over_for(etermin: ETermin, ledger: AsyncEngine, days: int) -> None:
    """Have an appointment that is known and was over so long ago, and a follow-up that still waits."""
    etermin.rules(follow_up(LATE))
    await etermin.book(start="-1d")
    await etermin.poll()
    await etermin.order("move", uid="a1", start=f"-{days}d")
    await etermin.poll()
    end = await one(ledger, END)
    assert end < datetime.now(UTC) - timedelta(days=days - 1)
    assert await one(ledger, DUE) == days_after(end, LATE) > datetime.now(UTC)
    assert await rows(ledger, BATCHES) == WAITING


async def test_a_follow_up_moves_with_the_end_alone(etermin: ETermin, ledger: AsyncEngine) -> None:
    etermin.rules(follow_up(2))
    await etermin.book(start="+2d")
    await etermin.poll()
    end = await one(ledger, END)
    assert await one(ledger, DUE) == days_after(end, 2)
    await etermin.order("move", uid="a1", start=(end - timedelta(minutes=30)).isoformat(), minutes=75)
    assert (await etermin.poll())["moved"] == 1
    later = end + timedelta(minutes=45)
    assert (await one(ledger, END), await one(ledger, DUE)) == (later, days_after(later, 2))
    assert await rows(ledger, BATCHES) == WAITING


async def test_a_follow_up_dies_with_its_appointment(etermin: ETermin, ledger: AsyncEngine) -> None:
    etermin.rules(follow_up(2))
    await etermin.book(start="-1d")
    await etermin.poll()
    assert await rows(ledger, BATCHES) == WAITING, "over already, but not for two days"
    await etermin.order("cancel", uid="a1")
    await etermin.poll()
    assert await rows(ledger, BATCHES) == CANCELLED


async def test_a_follow_up_whose_appointment_is_deleted_after_the_last_poll_is_stopped_by_the_last_look(
    etermin: ETermin, ledger: AsyncEngine
) -> None:
    [after] = etermin.rules(rule("after", {"minutes": 1, "after": "end"}))
    await etermin.book(start="-40m", booked="-2d")
    await etermin.poll()
    await etermin.order("cancel", uid="a1")
    source = await etermin.source()
    assert await judge_due(ledger, after, source) == ["cancelled"]
    await source.close()
    assert await rows(ledger, "SELECT count(*) FROM handoff.effects") == [(0,)]


@pytest.mark.parametrize("days", [LOOK_BACK.days, KEPT_BACK.days, KEPT_BACK.days + 4])
async def test_a_follow_up_waits_longer_than_lists_look_back(etermin: ETermin, ledger: AsyncEngine, days: int) -> None:
    await over_for(etermin, ledger, days + 1)
    due = await one(ledger, DUE)
    await compared(etermin)
    await etermin.poll()
    assert await rows(ledger, BATCHES) == WAITING
    assert await one(ledger, DUE) == due


async def test_what_is_deleted_long_after_its_end_is_not_followed_up(etermin: ETermin, ledger: AsyncEngine) -> None:
    await over_for(etermin, ledger, KEPT_BACK.days + 4)
    await etermin.order("cancel", uid="a1")
    await compared(etermin)
    assert await rows(ledger, BATCHES) == CANCELLED
