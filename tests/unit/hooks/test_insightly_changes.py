"""Reading what changed, page by page, while it changes: nothing missed, nothing twice."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from handoff.errors import Transient
from hooks.protocols.insightly import InsightlyProtocol
from hooks.protocols.insightly_pages import PAGE
from hooks.protocols.insightly_records import Changes
from hooks.protocols.wire import Request, Response
from tests.support.conversation import Script, answer

CALLS = InsightlyProtocol("insightly_default", "secret-key")
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def row(number: int, updated: datetime = NOON, **more: Any) -> dict[str, Any]:
    return {
        "OPPORTUNITY_ID": number, "OPPORTUNITY_STATE": "WON", "DATE_CREATED_UTC": "2026-01-10 08:00:11",
        "DATE_UPDATED_UTC": written(updated), **more,
    }  # fmt: skip


class Vendor:
    """A list that is cut by position and filtered strictly, and that may change before each page is read."""

    def __init__(self, *rows: dict[str, Any], now: datetime = NOON + timedelta(hours=1)) -> None:
        self.rows = {entry["OPPORTUNITY_ID"]: entry for entry in rows}
        self.now = now
        self.before: Callable[[int], None] = lambda page: None
        self.queries: list[dict[str, str]] = []

    def put(self, number: int, updated: datetime, **more: Any) -> None:
        self.rows[number] = row(number, updated, **more)

    def delete(self, *numbers: int) -> None:
        for number in numbers:
            self.rows.pop(number, None)

    def changed(self, since: datetime | None) -> Changes:
        operation = CALLS.changed("opportunity", since)
        self.queries.clear()
        request = next(operation)
        while True:
            self.before(len(self.queries))
            try:
                request = operation.send(self._answer(request))
            except StopIteration as stop:
                return stop.value

    def _answer(self, request: Request) -> Response:
        assert (request.method, request.path) == ("GET", "/Opportunities/Search")
        query = dict(request.query)
        self.queries.append(query)
        after = query.get("updated_after_utc", "").replace("T", " ").rstrip("Z")
        found = [self.rows[number] for number in sorted(self.rows)]
        found = [entry for entry in found if entry["DATE_UPDATED_UTC"] > after]
        skip, top = int(query["skip"]), min(int(query["top"]), 500)
        body = json.dumps(found[skip : skip + top]).encode()
        return Response(200, {"content-type": "application/json", "date": format_datetime(self.now, usegmt=True)}, body)


def ids(changes: Changes) -> list[int]:
    return [record.id for record in changes.records]


def test_one_page_of_changes_is_one_request_with_everything_that_is_needed():
    vendor = Vendor(row(31, TAGS=[{"TAG_NAME": "callexa"}]))
    vendor.changed(NOON)
    assert vendor.queries == [{"updated_after_utc": "2026-03-02T11:59:59Z", "top": "500", "skip": "0"}]


def test_the_first_reading_has_no_filter():
    vendor = Vendor(row(31))
    assert ids(vendor.changed(None)) == [31]
    assert "updated_after_utc" not in vendor.queries[0]


def test_what_is_kept_of_a_record_and_that_it_is_all():
    vendor = Vendor(
        row(
            31, OPPORTUNITY_STATE="Won", OPPORTUNITY_NAME="Relaunch Meier", BID_AMOUNT=4200,
            ACTUAL_CLOSE_DATE="2026-03-01 00:00:00", TAGS=[{"TAG_NAME": "callexa"}, {"TAG_NAME": "Süd"}],
            LINKS=[
                {"LINK_OBJECT_NAME": "Organisation", "LINK_OBJECT_ID": 7},
                {"LINK_OBJECT_NAME": "Contact", "LINK_OBJECT_ID": 55, "ROLE": "Buyer"},
                {"LINK_OBJECT_NAME": "contact", "LINK_OBJECT_ID": "12"},
                {"LINK_OBJECT_NAME": "Contact", "LINK_OBJECT_ID": 55},
                {"LINK_OBJECT_NAME": "Project", "LINK_OBJECT_ID": None},
            ],
        )
    )  # fmt: skip
    (record,) = vendor.changed(NOON).records
    assert (record.kind, record.id, record.state) == ("opportunity", 31, "WON")
    assert record.created_at == datetime(2026, 1, 10, 8, 0, 11, tzinfo=UTC)
    assert (record.updated_at, record.closed_on) == (NOON, date(2026, 3, 1))
    assert (record.tags, record.contact_ids) == (frozenset({"callexa", "Süd"}), (55, 12))
    assert not {"Relaunch", "Meier", "4200", "Buyer"} & set(str(record).replace("'", " ").split())


def test_a_project_has_its_own_names():
    rows = [{
        "PROJECT_ID": 7, "STATUS": "in  Progress", "COMPLETED_DATE": "0000-00-00 00:00:00",
        "DATE_CREATED_UTC": "0000-00-00 00:00:00", "DATE_UPDATED_UTC": "2026-03-02 12:00:00", "LINKS": None,
    }]  # fmt: skip
    script = Script(answer(rows, date=format_datetime(NOON, usegmt=True)))
    (record,) = script.run(CALLS.changed("project", NOON)).records
    assert script.asked == [("GET", "/Projects/Search")]
    assert (record.kind, record.state, record.closed_on) == ("project", "IN PROGRESS", None)
    assert record.created_at == record.updated_at == NOON


def test_the_filter_is_strict_so_the_cursors_own_second_is_read_again():
    vendor = Vendor(row(1, NOON), row(2, NOON - timedelta(seconds=1)), now=NOON)
    changes = vendor.changed(NOON)
    assert (ids(changes), changes.cursor) == ([1], NOON)
    vendor.put(3, NOON)
    assert ids(vendor.changed(changes.cursor)) == [1, 3]


def test_a_second_that_is_over_is_not_read_again():
    vendor = Vendor(*(row(number) for number in range(1, 1201)), now=NOON + timedelta(hours=1))
    changes = vendor.changed(NOON - timedelta(days=1))
    assert changes.cursor == NOON + timedelta(seconds=1)
    assert ids(vendor.changed(changes.cursor)) == []
    assert len(vendor.queries) == 1
    vendor.put(5, NOON + timedelta(seconds=1))
    assert ids(vendor.changed(changes.cursor)) == [5]


def test_a_second_that_may_not_be_over_is_read_again():
    vendor = Vendor(row(1), now=NOON + timedelta(seconds=60))
    assert vendor.changed(None).cursor == NOON


@pytest.mark.parametrize("count", [499, 500, 501, 998, 999, 1000, 3217])
def test_thousands_stamped_in_the_same_second(count):
    vendor = Vendor(*(row(number * 3) for number in range(1, count + 1)))
    assert ids(vendor.changed(NOON)) == [number * 3 for number in range(1, count + 1)]
    assert len(vendor.queries) == 1 + max(0, math.ceil((count - PAGE + 1) / (PAGE - 1)))


def test_nothing_changed_leaves_the_cursor_where_it_was():
    vendor = Vendor()
    assert vendor.changed(NOON) == Changes((), (), NOON)
    assert vendor.changed(None) == Changes((), (), None)


def test_the_cursor_never_goes_back():
    vendor = Vendor(row(1), now=NOON - timedelta(hours=3))
    assert vendor.changed(NOON).cursor == NOON


@pytest.mark.parametrize("gone", [1, 2, 250, 499, 500])
def test_rows_that_move_up_while_the_list_is_read_are_not_missed(gone):
    vendor = Vendor(*(row(number) for number in range(1, 1601)))

    def vanish(page: int) -> None:
        if page == 1:
            vendor.delete(*range(1, gone + 1))

    vendor.before = vanish
    changes = vendor.changed(NOON)
    assert set(ids(changes)) >= set(range(gone + 1, 1601))
    assert len(ids(changes)) == len(set(ids(changes)))


def test_a_list_that_ends_before_its_next_page_is_read_again():
    vendor = Vendor(*(row(number) for number in range(1, 502)))
    vendor.before = lambda page: vendor.delete(*range(1, 451)) if page == 1 else None
    assert 501 in ids(vendor.changed(NOON))


def test_a_row_that_enters_where_it_was_read_already_comes_with_the_next_poll():
    """It changed after the reading began, so the cursor must not be later than that."""
    began = NOON + timedelta(hours=1)
    vendor = Vendor(*(row(number) for number in range(10, 1210)), now=began)

    def meanwhile(page: int) -> None:
        if page == 1:
            vendor.put(5, began + timedelta(seconds=2))
            vendor.put(1205, began + timedelta(seconds=9), OPPORTUNITY_STATE="LOST")

    vendor.before = meanwhile
    changes = vendor.changed(NOON)
    assert 5 not in ids(changes)
    assert set(ids(changes)) == set(range(10, 1210))
    assert changes.cursor is not None
    assert NOON < changes.cursor <= began
    vendor.before = lambda page: None
    assert {5, 1205} <= set(ids(vendor.changed(changes.cursor)))


def test_a_record_read_twice_counts_once_in_its_newest_form():
    vendor = Vendor(*(row(number) for number in range(1, 700)), now=NOON)

    def meanwhile(page: int) -> None:
        if page == 1:
            vendor.put(500, NOON + timedelta(seconds=3), OPPORTUNITY_STATE="LOST")

    vendor.before = meanwhile  # fmt: skip
    changes = vendor.changed(NOON)
    (record,) = [record for record in changes.records if record.id == 500]
    assert record.state == "LOST"
    assert len(changes.records) == 699


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_between_pages_nothing_is_missed_in_the_end(seed):
    """A seeded story: deletions, edits and new rows before every page; polls follow each other by their cursors."""
    dice = random.Random(seed)
    vendor = Vendor(
        *(row(number, NOON - timedelta(seconds=dice.randrange(3))) for number in range(1000, 3200)), now=NOON
    )
    seen: dict[int, str] = {}

    def churn(_page: int) -> None:
        vendor.now += timedelta(seconds=dice.choice([0, 0, 1, 2]))
        for _ in range(dice.randrange(60)):
            number = dice.randrange(1, 3300)
            if dice.random() < 0.7:
                vendor.delete(number)
            else:
                vendor.put(number, vendor.now, OPPORTUNITY_STATE=dice.choice(["OPEN", "WON", "LOST"]))

    vendor.before = churn
    cursor: datetime | None = None
    for poll in range(4):
        if poll == 3:
            vendor.before = lambda page: None
        changes = vendor.changed(cursor)
        assert len(ids(changes)) == len(set(ids(changes)))
        for record in changes.records:
            seen[record.id] = record.state
        cursor = changes.cursor
    assert {number: entry["OPPORTUNITY_STATE"] for number, entry in vendor.rows.items()}.items() <= seen.items()


def test_a_list_that_never_holds_still_is_left_for_the_next_poll():
    vendor = Vendor(*(row(number) for number in range(1, 50_000)))
    vendor.before = lambda page: vendor.delete(*sorted(vendor.rows)[:600]) if page else None
    with pytest.raises(Transient, match="rows vanish faster"):
        vendor.changed(NOON)


@pytest.mark.parametrize("rows", [[row(number) for number in range(1, 501)], [None] * 500])
def test_a_list_that_never_ends_is_left(rows):
    """Two pages are enough to see that ``skip`` is not heeded; a script without a third answer says so."""
    page = answer(rows)
    with pytest.raises(Transient, match="holds nothing new"):
        Script(page, page).run(CALLS.changed("opportunity", NOON))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"DATE_UPDATED_UTC": "soon Eva"}, "opportunity 32: DATE_UPDATED_UTC is no time like 2026-03-02 14:22:05"),
        ({"DATE_UPDATED_UTC": 17}, "opportunity 32: DATE_UPDATED_UTC is no time like 2026-03-02 14:22:05"),
        ({"DATE_UPDATED_UTC": "0000-00-00 00:00:00"}, "opportunity 32: DATE_UPDATED_UTC is missing"),
        ({"OPPORTUNITY_STATE": None}, "opportunity 32: OPPORTUNITY_STATE is missing"),
        ({"OPPORTUNITY_ID": "Eva"}, "opportunity at 1: OPPORTUNITY_ID is no id"),
        ({"OPPORTUNITY_ID": True}, "opportunity at 1: OPPORTUNITY_ID is no id"),
        ({"OPPORTUNITY_ID": "7" * 5000}, "opportunity at 1: OPPORTUNITY_ID is no id"),
        ({"OPPORTUNITY_ID": 2**63}, "opportunity at 1: OPPORTUNITY_ID is no id"),
        ({"OPPORTUNITY_ID": str(2**63)}, "opportunity at 1: OPPORTUNITY_ID is no id"),
        ({"ACTUAL_CLOSE_DATE": "yesterday"}, "opportunity 32: ACTUAL_CLOSE_DATE is no date like 2026-03-02 00:00:00"),
        ({"TAGS": "Eva"}, "opportunity 32: TAGS is no list of entries"),
        ({"LINKS": ["Eva"]}, "opportunity 32: LINKS is no list of entries"),
        (
            {"LINKS": [{"LINK_OBJECT_NAME": "Contact", "LINK_OBJECT_ID": "x"}]},
            "opportunity 32: LINK_OBJECT_ID is no id",
        ),
    ],
)
def test_a_row_that_cannot_be_read_is_told_and_hinders_no_other(changes, problem):
    script = Script(answer([row(31), {**row(32), **changes}, row(33)]))
    read = script.run(CALLS.changed("opportunity", NOON))
    assert (ids(read), read.problems) == ([31, 33], (problem,))


@pytest.mark.parametrize("bad", [None, 7, "Eva", []])
def test_a_row_that_is_none_is_told_by_its_position(bad):
    script = Script(answer([bad, row(33)]))
    read = script.run(CALLS.changed("opportunity", NOON))
    assert (ids(read), read.problems) == ([33], ("opportunity at 0: DATE_UPDATED_UTC is missing",))


def test_a_bad_row_at_the_edge_of_a_page_is_told_once():
    vendor = Vendor(*(row(number) for number in range(1, 700)))
    vendor.rows[500]["OPPORTUNITY_STATE"] = ""
    changes = vendor.changed(NOON)
    assert len(changes.records) == 698
    assert changes.problems == ("opportunity 500: OPPORTUNITY_STATE is missing",)


def test_a_row_that_can_be_read_the_second_time_is_no_problem():
    vendor = Vendor(*(row(number) for number in range(1, 700)))
    vendor.rows[500]["OPPORTUNITY_STATE"] = ""
    vendor.before = lambda page: vendor.put(500, NOON) if page == 1 else None
    changes = vendor.changed(NOON)
    assert (len(changes.records), changes.problems) == (699, ())


def test_rows_that_are_not_sorted_are_read_and_told():
    read = Script(answer([row(33), row(31)])).run(CALLS.changed("opportunity", NOON))
    assert ids(read) == [31, 33]
    assert "ascending order" in read.problems[0]


@pytest.mark.parametrize("document", [{"Message": "?"}, None, "x"])
def test_an_answer_that_is_no_list_is_transient(document):
    with pytest.raises(Transient, match="read opportunity changes"):
        Script(answer(document)).run(CALLS.changed("opportunity", NOON))


def test_records_by_tag_are_read_the_same_way():
    script = Script(answer([row(number) for number in range(1, 501)]), answer([row(500), row(501)]))
    read = script.run(CALLS.tagged("opportunity", "für Callexa"))
    assert len(read.records) == 501
    assert [request.path for request in script.requests] == ["/Opportunities/SearchByTag"] * 2
    assert script.requests[1].query == {"tag_name": "für Callexa", "top": "500", "skip": "499"}


def test_one_raw_page():
    script = Script(answer([row(1)]))
    assert script.run(CALLS.page("project", NOON, skip=1000)) == [row(1)]
    assert script.requests[0].query == {"updated_after_utc": "2026-03-02T12:00:00Z", "top": "500", "skip": "1000"}
