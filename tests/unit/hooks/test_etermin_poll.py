"""One poll of an eTermin account, over real HTTP: what is asked, and what it means."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from handoff.appointment import event_of
from handoff.errors import TargetError, Transient
from handoff.occasion import Occasion
from handoff.planning.appointments import Account
from handoff.rules.appointment import AppointmentRule
from handoff.times.timing import When
from hooks.etermin import ETerminClient
from hooks.etermin_cursor import FeedCursor
from hooks.etermin_meaning import meaning
from hooks.etermin_poll import poll
from tests.support.etermin_account import CONN_ID, NOW, ETerminAccount, gone, row, serving

ACCOUNT = Account("etermin", CONN_ID, "Europe/Berlin")
ASKING = AppointmentRule.model_validate({
    "id": "asking", "title": "Asking", "when": {"minutes": 0, "after": "booked"}, "newsletter_only": True,
    "steps": [{"step": "klicktipp.tag", "tag": "Newsletter"}],
})  # fmt: skip
MODIFIED = ASKING.model_copy(update={"when": When.model_validate({"minutes": 0, "after": "modified"})})


async def no_wait() -> None:
    """Let every request go at once."""


class Watch:
    """Polls again and again, and keeps what the ledger would."""

    def __init__(self, served: ETerminAccount, client: ETerminClient) -> None:
        self.served, self.client, self.cursor = served, client, FeedCursor()
        self.known: dict[str, Occasion] = {}

    async def poll(self, *rules: AppointmentRule, newsletter: bool = False) -> list[str]:
        """Poll once and return what it meant, by key, ``-`` before what is cancelled."""
        polled = await poll(self.client, self.cursor)
        known = {key: one for key, one in self.known.items() if key in polled.keys}
        asking = [*rules, ASKING] if newsletter else rules
        found = [one async for one in meaning(self.client, polled, known, ACCOUNT, asking)]
        news = [one for one in found if self.known.get(one.key) != one]
        self.known |= {one.key: one for one in found}
        self.cursor = FeedCursor.parse(polled.cursor.text())
        self.problems = polled.problems
        self.served.later(minutes=5)
        return [f"{'-' * one.cancelled}{one.key}" for one in news]


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    with serving() as served:
        client = ETerminClient.from_connection(CONN_ID, served.connection(), no_wait)
        async with client:
            yield Watch(served, client)


async def test_a_booking_a_move_and_a_deletion(watch: Watch) -> None:
    watch.served.feed(row())
    assert await watch.poll() == ["uid-1"]
    watch.served.feed(token="8")
    assert await watch.poll() == []
    later = {"StartDateTimeUTC": "2026-05-12T08:00:00", "EndDateTimeUTC": "2026-05-12T08:30:00"}
    watch.served.feed(row(**later), token="9")
    assert await watch.poll() == ["uid-1/modified/1", "uid-1"]
    assert watch.known["uid-1"].anchors["start"] == datetime(2026, 5, 12, 8, tzinfo=UTC)
    watch.served.feed(token="10")
    watch.served.answer("/appointmentdeleted", (200, [gone()]))
    assert await watch.poll() == ["uid-1/deleted/2", "-uid-1"]
    assert await watch.poll() == []
    assert [query["synctoken"] for query in watch.served.queries("/appointmentsync")] == ["1", "7", "8", "9", "10"]
    assert set(map(str, watch.served.queries("/appointmentdeleted"))) == {
        "{'start': '2026-05-09', 'end': '2026-05-12'}"
    }


async def test_the_days_of_deletions_reach_back_to_the_last_poll(watch: Watch) -> None:
    watch.served.feed()
    await watch.poll()
    watch.served.later(days=4)
    await watch.poll()
    assert watch.served.queries("/appointmentdeleted")[1] == {"start": "2026-05-09", "end": "2026-05-16"}


async def test_a_deletion_first_and_its_booking_later(watch: Watch) -> None:
    watch.served.feed()
    watch.served.answer("/appointmentdeleted", (200, [gone()]))
    assert await watch.poll() == ["-uid-1"]
    watch.served.feed(row())
    watch.served.answer("/appointment", (200, []))
    assert await watch.poll() == []
    assert watch.known["uid-1"].cancelled


async def test_a_trace_of_what_was_deleted_is_told_from_what_lives_again(watch: Watch) -> None:
    watch.served.feed(row())
    await watch.poll()
    watch.served.feed(row(SyncStatus="99"))
    watch.served.answer("/appointmentdeleted", (200, [gone()]))
    watch.served.answer("/appointment", (200, []))
    assert await watch.poll() == ["uid-1/deleted/1", "-uid-1"]
    watch.served.answer("/appointment", (200, [row()]))
    assert await watch.poll() == ["uid-1"]
    assert await watch.poll() == []
    assert watch.served.queries("/appointment") == [{"id": "uid-1"}] * 3


async def test_the_feed_may_tell_of_a_deletion_itself(watch: Watch) -> None:
    watch.served.feed(row())
    await watch.poll()
    watch.served.feed(row(SyncStatus="deleted"))
    assert await watch.poll() == ["uid-1/deleted/1", "-uid-1"]
    watch.served.feed()
    watch.served.answer("/appointmentdeleted", (200, [gone()]))
    assert await watch.poll() == []


async def test_a_full_reading_leaves_out_what_ended_long_ago(watch: Watch) -> None:
    old = NOW - timedelta(days=40)
    past = {"StartDateTimeUTC": old.isoformat(), "EndDateTimeUTC": old.isoformat()}
    recent = {"StartDateTimeUTC": (NOW - timedelta(days=20)).isoformat(), "EndDateTimeUTC": None, "EndDateTime": None}
    watch.served.feed(row("old", **past), row("recent", **recent), row())
    assert await watch.poll() == ["recent", "uid-1"]
    watch.served.feed(row("old", **past))
    assert await watch.poll() == ["old"]


async def test_a_token_that_is_lost_costs_a_full_reading_and_no_news(watch: Watch) -> None:
    watch.served.feed(row())
    await watch.poll()
    watch.served.answer("/appointmentsync", (200, []))
    await watch.poll()
    watch.served.feed(row(), row("uid-2"), token="20")
    assert await watch.poll() == ["uid-2"]
    assert [query["synctoken"] for query in watch.served.queries("/appointmentsync")] == ["1", "7", "1"]


async def test_a_poll_that_fails_moves_nothing(watch: Watch) -> None:
    watch.served.feed(row())
    watch.served.answer("/appointmentdeleted", (502, None), (200, []))
    with pytest.raises(Transient):
        await watch.poll()
    assert await watch.poll() == ["uid-1"]
    assert [query["synctoken"] for query in watch.served.queries("/appointmentsync")] == ["1", "1"]


async def test_what_cannot_be_read_is_named_and_the_others_are_read(watch: Watch) -> None:
    watch.served.feed(row("bad", StartDateTimeUTC="eva@example.test"), row())
    assert await watch.poll() == ["uid-1"]
    assert watch.problems == ("row 0 (4711): StartDateTime is no time like 2026-05-10T10:00:00",)


@pytest.mark.parametrize(("said", "contacts", "ticked", "asked"), [
    (None, [{"Email": "Eva@example.test", "Newsletter": 1}], True, 1),
    (None, [{"Email": "eva@example.test", "Newsletter": 0}], False, 1),
    (0, [{"Email": "eva@example.test", "Newsletter": 1}], False, 0),
    (True, [], True, 0),
])  # fmt: skip
async def test_the_newsletter_box_is_looked_up_once_where_nothing_is_said(
    watch: Watch, said: Any, contacts: list[Any], ticked: bool, asked: int
) -> None:
    watch.served.feed(row(Newsletter=said))
    watch.served.answer("/contact", (200, contacts))
    assert await watch.poll(newsletter=True) == ["uid-1"]
    assert await watch.poll(newsletter=True) == []
    assert watch.known["uid-1"].facts["newsletter"] is ticked
    assert len(watch.served.queries("/contact")) == asked
    assert event_of(watch.known["uid-1"]) == "created"


SILENT = [[], [{"Email": "eva@example.test"}], [{"Email": "eva@example.test", "Newsletter": None}]]
TICKED = [{"Email": "eva@example.test", "Newsletter": 1}]


@pytest.mark.parametrize("silent", SILENT)
async def test_that_nothing_is_said_of_the_box_is_no_no(watch: Watch, silent: list[Any]) -> None:
    watch.served.feed(row())
    watch.served.answer("/contact", (200, silent))
    assert await watch.poll(newsletter=True) == ["uid-1"]
    assert await watch.poll(newsletter=True) == [], "so that whoever begins anew gets further"
    assert "newsletter" not in watch.known["uid-1"].facts
    assert len(watch.served.queries("/contact")) == 1


@pytest.mark.parametrize(("minutes", "asked"), [(181, 1), (119, 2), (5, 2), (-1, 1)])
async def test_who_said_nothing_of_the_box_is_asked_again_shortly_before_the_moment(
    watch: Watch, minutes: int, asked: int
) -> None:
    watch.served.feed(row())
    watch.served.answer("/contact", (200, []))
    await watch.poll(newsletter=True)
    watch.served.answer("/contact", (200, TICKED))
    reminder = ASKING.model_copy(update={"when": When.model_validate({"hours": 1, "before": "start"})})
    # An hour before ten in Berlin.
    watch.served.now = datetime(2026, 5, 11, 7, tzinfo=UTC) - timedelta(minutes=minutes)
    await watch.poll(reminder)
    assert len(watch.served.queries("/contact")) == asked
    assert watch.known["uid-1"].facts.get("newsletter") is (True if asked == 2 else None)


async def test_a_change_is_asked_about_anew(watch: Watch) -> None:
    watch.served.feed(row())
    watch.served.answer("/contact", (200, []), (200, TICKED))
    await watch.poll(newsletter=True)
    watch.served.feed(row(Sequence=1), token="8")
    await watch.poll(MODIFIED)
    assert [one.facts["newsletter"] for one in watch.known.values()] == [True, True]


def test_a_cursor_is_read_as_it_was_written() -> None:
    cursor = FeedCursor("7", NOW, NOW + timedelta(seconds=1), "3")
    assert FeedCursor.parse(cursor.text()) == cursor
    assert FeedCursor.parse(None) == FeedCursor.parse(FeedCursor().text()) == FeedCursor()


async def test_a_late_trace_of_what_was_deleted_days_ago_does_not_bring_it_back(watch: Watch) -> None:
    watch.served.feed(row())
    await watch.poll()
    watch.served.feed()
    watch.served.answer("/appointmentdeleted", (200, [gone()]), (200, []))
    await watch.poll()
    watch.served.feed(row())
    watch.served.answer("/appointment", (200, []))
    assert await watch.poll() == []
    assert watch.known["uid-1"].cancelled


async def test_a_deletion_told_twice_in_one_poll_does_not_end_what_lives_again(watch: Watch) -> None:
    watch.served.feed(row())
    await watch.poll()
    watch.served.feed(row(SyncStatus="deleted"))
    watch.served.answer("/appointmentdeleted", (200, [gone()]))
    assert await watch.poll() == ["uid-1/deleted/1", "-uid-1"]
    watch.served.feed(row())
    watch.served.answer("/appointment", (200, [row()]))
    assert await watch.poll() == ["uid-1"]
    assert not watch.known["uid-1"].cancelled


async def test_another_revision_is_an_edit_unless_everything_was_read_anew(watch: Watch) -> None:
    watch.served.feed(row(SyncKey=5))
    assert await watch.poll() == ["uid-1"]
    watch.served.feed(row(SyncKey=5), token="8")
    assert await watch.poll() == []
    watch.served.feed(row(SyncKey=6), token="9")
    assert await watch.poll() == ["uid-1/modified/1", "uid-1"]
    watch.cursor.token = ""
    watch.served.feed(row(SyncKey=99), token="10")
    assert await watch.poll() == [], "a full reading lists what did not change, whatever it calls it"
    watch.served.feed(row(SyncKey=100), token="11")
    assert await watch.poll() == ["uid-1/modified/2", "uid-1"]


async def test_what_lives_again_has_the_revision_of_its_row(watch: Watch) -> None:
    watch.served.feed(row(SyncKey=5))
    await watch.poll()
    watch.served.feed(row(SyncKey=6, SyncStatus="deleted"), token="8")
    await watch.poll()
    watch.served.feed(row(SyncKey=7), token="9")
    watch.served.answer("/appointment", (200, [row()]))
    assert await watch.poll() == ["uid-1"]
    assert await watch.poll() == []
    assert watch.known["uid-1"].facts["revision"] == "7"


async def test_an_address_is_looked_up_once(watch: Watch) -> None:
    watch.served.feed(row(), row("uid-2"), row("uid-3", Email="Eva@example.test"))
    watch.served.answer("/contact", (200, [{"Email": "eva@example.test", "Newsletter": 1}]))
    assert await watch.poll(newsletter=True) == ["uid-1", "uid-2", "uid-3"]
    assert watch.served.queries("/contact") == [{"email": "eva@example.test"}]


@pytest.mark.parametrize("answer", [(429, {}), (502, None), (403, {})])
async def test_what_stops_every_look_up_ends_the_poll_after_what_needs_none(watch: Watch, answer: Any) -> None:
    watch.served.feed(row(), row("uid-2", Newsletter=0))
    watch.served.answer("/contact", answer)
    meant = meaning(watch.client, await poll(watch.client, watch.cursor), {}, ACCOUNT, [ASKING])
    assert (await anext(meant)).key == "uid-2"
    with pytest.raises(TargetError):
        await anext(meant)
