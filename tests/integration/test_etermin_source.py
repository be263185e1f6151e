"""eTermin as the delivery engine sees it: its list, and the last look at one appointment and its customer."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.appointment import event_of
from handoff.errors import Transient
from handoff.occasion import Occasion
from handoff.planning.appointments import GLIMPSED
from handoff.planning.planner import record
from hooks.etermin import ETerminClient
from hooks.etermin_source import ETerminSource, known_of
from tests.support.etermin_account import CONN_ID, NOW, ETerminAccount, gone, row, serving

pytestmark = pytest.mark.integration
SINCE = NOW - timedelta(days=30)
MOVED = {"StartDateTimeUTC": "2026-05-12T08:00:00", "EndDateTimeUTC": "2026-05-12T08:30:00"}


async def no_wait() -> None:
    """Let every request go at once."""


@pytest.fixture
def account() -> Iterator[ETerminAccount]:
    with serving() as served:
        served.answer("/appointment", (200, [row()]))
        served.answer("/appointmentdeleted", (200, []))
        yield served


@pytest.fixture
async def source(account: ETerminAccount, ledger: AsyncEngine) -> AsyncIterator[ETerminSource]:
    opened = ETerminSource(ETerminClient.from_connection(CONN_ID, account.connection(), no_wait), ledger)
    yield opened
    await opened.close()
    await opened.close()


async def compare(source: ETerminSource, ledger: AsyncEngine) -> tuple[int, dict[str, Occasion]]:
    """List and record, as the sweep does; return how much was news, and what was listed."""
    listing = await source.occasions(SINCE)
    planned = await record(ledger, listing.occasions, [])
    return planned.events, {one.key: one for one in listing.occasions}


async def known(ledger: AsyncEngine, *keys: str) -> dict[str, Occasion]:
    async with ledger.connect() as connection:
        return await known_of(connection, CONN_ID, list(keys))


async def test_the_list_is_of_a_range_and_what_is_known_is_no_news(
    account: ETerminAccount, source: ETerminSource, ledger: AsyncEngine
) -> None:
    assert (await compare(source, ledger))[0] == 1
    (query,) = account.queries("/appointment")
    assert query["start"] == "2026-04-09"
    assert datetime.fromisoformat(query["end"]).replace(tzinfo=UTC) > datetime.now(UTC) + timedelta(days=700)
    assert account.queries("/appointmentdeleted") == [{"start": "2026-05-07", "end": "2026-05-12"}]
    account.later(hours=1)
    news, listed = await compare(source, ledger)
    assert (news, listed) == (0, await known(ledger, "uid-1"))


async def test_the_list_tells_of_changes_and_deletions_that_were_missed(
    account: ETerminAccount, source: ETerminSource, ledger: AsyncEngine
) -> None:
    await compare(source, ledger)
    account.later(minutes=5)
    account.answer("/appointment", (200, [row(**MOVED)]))
    assert list((await compare(source, ledger))[1]) == ["uid-1/modified/1", "uid-1"]
    account.later(minutes=5)
    account.answer("/appointment", (200, []))
    account.answer("/appointmentdeleted", (200, [gone()]))
    assert list((await compare(source, ledger))[1]) == ["uid-1/deleted/2", "uid-1"]
    account.later(minutes=5)
    assert (await compare(source, ledger))[0] == 0
    assert (await known(ledger, "uid-1"))["uid-1"].cancelled


async def test_the_list_of_what_was_deleted_does_not_kill_what_is_listed(
    account: ETerminAccount, source: ETerminSource, ledger: AsyncEngine
) -> None:
    account.answer("/appointmentdeleted", (200, [gone()]))
    _, listed = await compare(source, ledger)
    assert not listed["uid-1"].cancelled


async def test_an_entry_that_cannot_be_read_is_left_out_of_the_list(
    account: ETerminAccount, source: ETerminSource, caplog: pytest.LogCaptureFixture
) -> None:
    account.answer("/appointment", (200, [row(), row("bad", StartDateTimeUTC="eva@example.test")]))
    with caplog.at_level(logging.WARNING):
        listing = await source.occasions(SINCE)
    assert (len(listing.occasions), listing.only_changes) == (1, False)
    assert "row 1 (4711): StartDateTime is no time" in caplog.text
    assert "eva@" not in caplog.text


async def test_a_last_look(account: ETerminAccount, source: ETerminSource, ledger: AsyncEngine) -> None:
    _, listed = await compare(source, ledger)
    before = listed["uid-1"]
    assert await source.occasion(before) == before
    account.later(minutes=5)
    account.answer("/appointment", (200, [row(**MOVED)]))
    found = await source.occasion(before)
    assert found is not None
    assert found.anchors["start"] == datetime(2026, 5, 12, 8, tzinfo=UTC)
    assert GLIMPSED in found.facts
    await record(ledger, [found], [])
    account.later(minutes=5)
    assert list((await compare(source, ledger))[1]) == ["uid-1/modified/1", "uid-1"]
    account.answer("/appointment", (200, []))
    assert await source.occasion(before) is None
    account.answer("/appointment", (502, None))
    with pytest.raises(Transient):
        await source.occasion(before)


async def test_the_roster_is_the_one_who_booked(account: ETerminAccount, source: ETerminSource) -> None:
    (occasion,) = (await source.occasions(SINCE)).occasions
    roster = await source.roster(occasion, NOW)
    (eva,) = roster.registrations
    assert (eva.ref, eva.email, eva.first_name, eva.last_name) == ("uid-1", "eva@example.test", "Eva", "Muster")
    assert (eva.phone, eva.language, eva.registered_at) == ("+41790000000", "de", NOW - timedelta(hours=1))
    assert eva.details == {"notes": "Bitte klingeln", "town": "Bern"}
    assert account.queries("/appointment")[-1] == {"id": "uid-1"}
    found, _ = await source.appointment(occasion)
    assert found is not None
    assert found.notes == "Bitte klingeln"
    account.answer("/appointment", (200, []))
    assert (await source.roster(occasion, None)).registrations == ()


async def test_a_change_and_a_deletion_looked_at_again(
    account: ETerminAccount, source: ETerminSource, ledger: AsyncEngine
) -> None:
    await compare(source, ledger)
    account.later(minutes=5)
    account.answer("/appointment", (200, [row(**MOVED)]))
    change = (await compare(source, ledger))[1]["uid-1/modified/1"]
    assert await source.occasion(change) == change
    assert [one.email for one in (await source.roster(change, None)).registrations] == ["eva@example.test"]
    account.later(minutes=5)
    account.answer("/appointment", (200, []))
    account.answer("/appointmentdeleted", (200, [gone("other"), gone()]))
    assert await source.occasion(change) == replace(change, cancelled=True)
    deletion = (await compare(source, ledger))[1]["uid-1/deleted/2"]
    assert event_of(deletion) == "deleted"
    assert await source.occasion(deletion) == deletion
    asked = len(account.queries("/appointment"))
    roster = await source.roster(deletion, None)
    assert [(one.ref, one.email) for one in roster.registrations] == [("uid-1", "eva@example.test")]
    assert roster.registrations[0].registered_at <= deletion.anchors["deleted"]
    assert account.queries("/appointmentdeleted")[-1] == {"start": "2026-05-09", "end": "2026-05-12"}
    assert len(account.queries("/appointment")) == asked
