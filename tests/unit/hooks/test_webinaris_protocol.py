"""Webinaris' calls without a network: what is asked, and what is made of each answer."""

from __future__ import annotations

import json
from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any

import pytest

from handoff.errors import RateLimited, Refused, SourceError, TargetError, Transient, UnknownOutcome, WrongCredentials
from handoff.registration import Presence
from hooks.protocols.webinaris import Participant, WebinarisProtocol
from hooks.protocols.webinaris_assumed import AssumedSurface, DateList, RosterList, UnknownDate
from hooks.protocols.webinaris_times import local_text, moment_of
from hooks.protocols.wire import Request, Response
from tests.support.webinaris_account import date

EVA = Participant("7167W1", "eva@example.org", datetime(2026, 3, 24, 18, tzinfo=UTC), "Eva", "Müller")
CALLS = WebinarisProtocol("webinaris_default", "k" * 32)
ASSUMED = AssumedSurface("webinaris_default", "k" * 32)


def converse(operation: Generator[Any, Any, Any], *answers: Any, status: int = 200) -> tuple[list[Request], Any]:
    """Drive an operation with the given answers; returns its requests and its result."""
    requests = [next(operation)]
    for answer in answers:
        body = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        try:
            requests.append(operation.send(Response(status, {}, body)))
        except StopIteration as stop:
            return requests, stop.value
    raise AssertionError(f"the operation wants more answers: {requests[-1]}")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("24.03.2026 19:00", "2026-03-24T18:00"),
        ("01.07.2026 19:00", "2026-07-01T17:00"),
        ("28.03.2027 01:59", "2027-03-28T00:59"),
        ("28.03.2027 02:00", "2027-03-28T01:00"),
        ("28.03.2027 02:30", "2027-03-28T01:30"),
        ("28.03.2027 03:30", "2027-03-28T01:30"),
        ("25.10.2026 02:30", "2026-10-25T00:30"),
        ("25.10.2026 03:00", "2026-10-25T02:00"),
        ("31.10.2027 02:00", "2027-10-31T00:00"),
        ("31.10.2027 02:59", "2027-10-31T00:59"),
    ],
)
def test_local_times_around_the_changes_of_the_clock(text: str, moment: str) -> None:
    assert moment_of(text) == datetime.fromisoformat(f"{moment}+00:00")


def test_a_skipped_time_is_written_back_moved_by_the_gap() -> None:
    assert local_text(moment_of("28.03.2027 02:30")) == "28.03.2027 03:30"


def test_registering_by_json() -> None:
    requests, answer = converse(CALLS.register(EVA, "female"), {"status": "ok"})
    assert [(r.method, r.path, r.changes) for r in requests] == [("POST", "/api/register", True)]
    assert requests[0].json == {
        "version": "v1.1", "apikey": "k" * 32, "webinar_id": "7167W1", "email": "eva@example.org",
        "firstname": "Eva", "lastname": "Müller", "time": 1774375200, "access": "active",
        "ip_address": "127.0.0.1", "gender": "female",
    }  # fmt: skip
    assert answer == {"status": "ok"}


def test_registering_the_legacy_way() -> None:
    blocked = Participant("7167W1", "eva@example.org", EVA.start, active=False, more={"note": "VIP"})
    requests, _ = converse(CALLS.register_legacy(blocked, "w" * 32), "OK\n")
    assert [(r.method, r.path, r.changes, r.json) for r in requests] == [("GET", "/api/", True, None)]
    assert requests[0].query == {
        "key": "7167W1", "password": "w" * 32, "is_paid": "NO", "time": "24.03.2026 19:00", "ip_address": "127.0.0.1",
        "email": "eva@example.org", "firstname": "", "lastname": "", "note": "VIP",
    }  # fmt: skip


@pytest.mark.parametrize(
    "body", [{"times": ["11:00", "19:00"]}, "11:00, 19:00 Uhr; 19:00", ["2026-03-24 11:00", "19:00"]]
)
def test_showtimes_are_found_in_any_form(body: Any) -> None:
    requests, times = converse(CALLS.showtimes("7167W1", "w" * 32), body)
    assert requests[0].query == {"webinaris_id": "7167W1", "api_password": "w" * 32}
    assert requests[0].path == "/api/showtimes"
    assert times == ["11:00", "19:00"]


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, "Webinar not found for eva@example.org Eva", Refused),
        (200, "<html>login</html>", UnknownOutcome),
        (200, "", UnknownOutcome),
        (403, "no", WrongCredentials),
        (400, "bad time for eva@example.org", Refused),
        (429, "", RateLimited),
        (500, "oops", UnknownOutcome),
    ],
)
def test_answers_to_a_legacy_registration_that_are_no_success(status: int, body: str, error: type[TargetError]) -> None:
    with pytest.raises(error) as caught:
        converse(CALLS.register_legacy(EVA, "w" * 32), body, status=status)
    assert type(caught.value) is error
    assert not any(word in str(caught.value) for word in ("eva", "Eva", "wwww"))


@pytest.mark.parametrize(
    ("body", "error"),
    [({"status": "error", "message": "Eva is blocked"}, Refused), ([], UnknownOutcome), ("OK", UnknownOutcome)],
)
def test_answers_to_a_json_registration_that_are_no_success(body: Any, error: type[TargetError]) -> None:
    with pytest.raises(error) as caught:
        converse(CALLS.register(EVA), body)
    assert "Eva" not in str(caught.value)


def dates(*entries: Any, **query: Any) -> tuple[Request, DateList]:
    requests, listed = converse(ASSUMED.dates(**query), {"now": 5.0, "dates": list(entries)})
    return requests[0], listed


def test_dates_become_occasions() -> None:
    request, listed = dates(date(start=1774375200.0, updated=7.5), updated_since=3.25, webinar_id="7167W1")
    assert (request.method, request.path, request.changes) == ("GET", "/api/assumed/dates", False)
    assert request.query == {"apikey": "k" * 32, "updated_since": "3.250000", "webinar_id": "7167W1"}
    assert listed.problems == ()
    assert listed.now == datetime.fromtimestamp(5, UTC)
    assert listed.cursor == 7.5
    [occasion] = listed.occasions
    assert (occasion.source, occasion.account) == ("webinaris", "webinaris_default")
    assert (occasion.key, occasion.series, occasion.title) == ("d1", "7167W1", "Mehr Termine")
    assert (occasion.timezone, occasion.cancelled, occasion.changed) == ("Europe/Berlin", False, 7.5)
    assert occasion.anchors == {
        "start": datetime(2026, 3, 24, 18, tzinfo=UTC), "end": datetime(2026, 3, 24, 19, tzinfo=UTC)
    }  # fmt: skip


def test_unix_time_wins_over_local_time_and_local_time_does_without() -> None:
    entry = date(start=1000.0)
    assert dates(entry)[1].occasions[0].anchors["start"] == datetime.fromtimestamp(1000, UTC)
    del entry["start_unix"], entry["end_unix"]
    assert dates(entry)[1].occasions[0].anchors["start"] == datetime(2026, 3, 24, 18, tzinfo=UTC)
    assert dates({**entry, "timezone": ""})[1].occasions[0].timezone == "Europe/Berlin"
    assert dates({**entry, "timezone": "UTC"})[1].occasions[0].anchors["start"] == datetime(2026, 3, 24, 19, tzinfo=UTC)


def test_a_cancelled_date_says_so() -> None:
    assert dates(date(status="cancelled"))[1].occasions[0].cancelled


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"id": None}, "'id'"),
        ({"id": " "}, "'id'"),
        ({"start_unix": None, "start": "2026-03-24 19:00"}, "webinar date bad: field 'start'"),
        ({"start_unix": None, "start": None}, "webinar date bad: field 'start'"),
        ({"end_unix": "soon"}, "webinar date bad: field 'end_unix'"),
        ({"end_unix": 1e300}, "webinar date bad: field 'end_unix'"),
        ({"end_unix": 999.0}, "webinar date bad: field 'end'"),
        ({"timezone": "Mars/Base"}, "webinar date bad: field 'timezone'"),
    ],
)
def test_a_bad_date_is_named_and_hides_no_other(wrong: dict[str, Any], field: str) -> None:
    _, listed = dates(date("d1"), date("bad") | wrong, date("d2"))
    assert [occasion.key for occasion in listed.occasions] == ["d1", "d2"]
    assert len(listed.problems) == 1
    assert field in str(listed.problems[0])


def test_an_entry_that_is_no_object_hides_no_other() -> None:
    _, listed = dates(date("d1"), "nonsense", None)
    assert [occasion.key for occasion in listed.occasions] == ["d1"]
    assert len(listed.problems) == 2


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, {"now": 1.0}, SourceError),
        (200, [], SourceError),
        (200, {"dates": []}, SourceError),
        (200, "", Transient),
        (200, "<html>", Transient),
        (403, "forbidden", WrongCredentials),
        (429, "", RateLimited),
        (503, "", Transient),
    ],
)
def test_dates_that_cannot_be_read(status: int, body: Any, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        converse(ASSUMED.dates(), body, status=status)
    assert "kkkk" not in str(caught.value)


def page(
    *participants: Any, following: str | None = None, read_at: float = 100.0, until: float = 90.0
) -> dict[str, Any]:
    times = {"read_at": read_at, "presence_until": until}
    return {"date_id": "d1", "participants": list(participants), "next": following, **times}


def listed(ref: str, registered: float = 1.0, **more: Any) -> dict[str, Any]:
    return {
        "id": ref, "email": f"{ref}@example.org", "firstname": "Eva", "lastname": "Müller", "phone": "+49 30 1",
        "language": "de", "timezone": "Europe/Vienna", "registered": registered, "presence": [], "updated": 1.0, **more,
    }  # fmt: skip


def roster(*pages: Any) -> tuple[list[Request], RosterList]:
    return converse(ASSUMED.roster("d1"), *pages)


def test_a_roster_is_read_to_its_last_page_in_order_of_registration() -> None:
    stays = [{"joined": 10.0, "left": 20.0}, {"joined": 30.0, "left": None}]
    requests, result = roster(
        page(listed("p3", 3.0), listed("p1", 1.0), following="p1", read_at=100.0, until=91.0),
        page(listed("p2", 1.0, presence=stays), read_at=101.0, until=90.0),
    )
    assert [request.query.get("after") for request in requests] == [None, "p1"]
    assert requests[1].query == {"apikey": "k" * 32, "date_id": "d1", "after": "p1", "limit": "1000"}
    assert [registration.ref for registration in result.roster.registrations] == ["p1", "p2", "p3"]
    assert result.roster.read_at.timestamp() == 100.0
    assert result.roster.presence_until.timestamp() == 90.0
    second = result.roster.registrations[1]
    assert (second.email, second.first_name, second.timezone) == ("p2@example.org", "Eva", "Europe/Vienna")
    assert second.presence == (
        Presence(datetime.fromtimestamp(10, UTC), datetime.fromtimestamp(20, UTC)),
        Presence(datetime.fromtimestamp(30, UTC)),
    )


def test_who_is_on_two_pages_is_listed_once_as_read_last() -> None:
    _, result = roster(
        page(listed("p1", email="old@example.org"), following="x"), page(listed("p1", email="new@example.org"))
    )
    assert [registration.email for registration in result.roster.registrations] == ["new@example.org"]


def test_addresses_are_kept_as_listed() -> None:
    _, result = roster(
        page(listed("p1", email=None), listed("p2", email="no address"), listed("p3", email="P1@Example.org"))
    )
    assert [registration.email for registration in result.roster.registrations] == ["", "no address", "P1@Example.org"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"id": ""}, "'id'"),
        ({"registered": None}, "participant bad: field 'registered'"),
        ({"presence": {"joined": 1}}, "participant bad: field 'presence'"),
        ({"presence": [{"left": 1.0}]}, "participant bad: field 'joined'"),
        ({"presence": [{"joined": 2.0, "left": 1.0}]}, "participant bad: field 'left'"),
    ],
)
def test_a_bad_participant_is_named_without_data_and_hides_no_other(wrong: dict[str, Any], field: str) -> None:
    _, result = roster(page(listed("p1"), listed("bad") | wrong, listed("p2")))
    assert [registration.ref for registration in result.roster.registrations] == ["p1", "p2"]
    assert [field in str(problem) for problem in result.problems] == [True]
    assert len(result.roster.unreadable) == 1
    assert "id" in wrong or result.roster.unreadable == ("bad",)
    assert "example.org" not in str(result.problems[0])
    assert "Eva" not in str(result.problems[0])


def test_several_entries_without_id_are_all_named() -> None:
    nameless = [listed("", float(n)) for n in range(3)]
    _, result = roster(page(*nameless[:2], following="x"), page(nameless[2]))
    _, again = roster(page(*reversed(nameless)))
    assert len(set(result.roster.unreadable)) == 3
    assert set(again.roster.unreadable) == set(result.roster.unreadable)
    assert len({str(problem) for problem in result.problems}) == 3


def test_pages_that_never_end_are_an_error() -> None:
    with pytest.raises(SourceError, match="twice"):
        roster(page(listed("p1"), following="p1"), page(listed("p2"), following="p1"))


def test_an_unknown_date_is_named() -> None:
    with pytest.raises(UnknownDate, match="'d1'"):
        converse(ASSUMED.roster("d1"), "", status=404)


def test_the_prefix_is_the_connections() -> None:
    requests, _ = converse(AssumedSurface("a", "k", "x/y/").dates(), {"now": 1.0, "dates": []})
    assert requests[0].path == "/x/y/dates"
