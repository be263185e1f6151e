"""eTermin's single calls: what is asked, how it is signed, and what is made of each answer."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from handoff.errors import RateLimited, Transient, UnknownOutcome, WrongCredentials
from hooks.protocols.answers import Denied
from hooks.protocols.etermin import ETerminProtocol, signature_of
from hooks.protocols.etermin_answers import Declined, UnreadableRow
from tests.support.conversation import Script, answer

KEY = "sk-test-secret"
CALLS = ETerminProtocol("etermin_default", "pk-public", KEY, "Europe/Berlin")
DATE = {"date": "Sun, 10 May 2026 07:00:00 GMT"}
READ_AT = datetime(2026, 5, 10, 7, tzinfo=UTC)


def row(**more):
    return {
        "ID": 4711, "ExternalID": "uid-1", "CalendarID": 90709, "CalendarName": "Beratung",
        "StartDateTime": "2026-05-11T10:00:00", "EndDateTime": "2026-05-11T10:30:00",
        "StartDateTimeUTC": "2026-05-11T08:00:00", "EndDateTimeUTC": "2026-05-11T08:30:00",
        "CreationDate": "2026-05-01T08:12:44", "FirstName": "Eva", "LastName": "Muster",
        "Email": "eva@example.test", "Phone": None, "Town": "Bern", "Notes": None, "ServicesText": "Erstgespräch",
        "BookingLanguage": "de", "ManualConfirmed": 1, "Sequence": 0, "BlockedApp": 0, "Status": "3", **more,
    }  # fmt: skip


def about(moment):
    """Return whether a moment is that of the answers, whose date has no fractions."""
    return abs((moment - READ_AT).total_seconds()) <= 1


def test_the_contracts_vector():
    assert signature_of("sk-test-secret", "1234567890") == "85QAuFZ9tHS6HuPBpK98CO7JUjHwiK2lNe8nw6KBPtY="


def test_every_call_is_signed_with_a_fresh_salt():
    script = Script(answer([]), answer([]), answer([]))
    script.run(CALLS.calendars(), CALLS.calendars(), CALLS.appointment("uid-1"))
    salts = [request.headers["salt"] for request in script.requests]
    assert len(set(salts)) == 3
    for request, salt in zip(script.requests, salts, strict=True):
        assert request.headers["publickey"] == "pk-public"
        assert request.headers["signature"] == signature_of(KEY, salt)
        assert KEY not in repr(request)


def test_an_appointment_is_read_by_its_external_id():
    script = Script(answer([row()], **DATE))
    found, read_at = script.run(CALLS.appointment("uid-1"))
    (request,) = script.requests
    assert (request.method, request.path, request.query) == ("GET", "/appointment", {"id": "uid-1"})
    assert (found.id, found.number, found.calendar_id, found.calendar) == ("uid-1", 4711, "90709", "Beratung")
    assert found.start == datetime(2026, 5, 11, 8, tzinfo=UTC)
    assert found.booked_at == datetime(2026, 5, 1, 6, 12, 44, tzinfo=UTC)
    assert (found.confirmed, found.newsletter, found.customer.phone, found.notes) == (True, None, "", "")
    assert found.customer.town == "Bern"
    assert about(read_at)


def test_one_without_an_external_id_is_read_by_its_number():
    script = Script(answer([row(ExternalID=None)]))
    found, _ = script.run(CALLS.appointment("#4711"))
    assert script.requests[0].query == {"appid": "4711"}
    assert found.id == "#4711"


@pytest.mark.parametrize(
    "nothing", [answer([]), answer(None), answer({"Message": "?"}, 404), answer([row(ExternalID="x")])]
)
def test_an_appointment_that_is_not_there(nothing):
    assert Script(nothing).run(CALLS.appointment("uid-1"))[0] is None


def test_an_appointment_that_cannot_be_read_is_not_gone():
    with pytest.raises(Transient, match=r"row 0 \(4711\): StartDateTime is no time"):
        Script(answer([row(StartDateTime="?", StartDateTimeUTC=None)])).run(CALLS.appointment("uid-1"))


def test_the_end_of_a_range_is_the_day_after():
    script = Script(answer([row(), row(ID=2, ExternalID="u2", BlockedApp=1), row(ID=3, StartDateTimeUTC="?"), "x"]))
    found = script.run(CALLS.between(date(2026, 5, 10), date(2026, 5, 12), calendarid="90709"))
    query = {"start": "2026-05-10", "end": "2026-05-12", "calendarid": "90709"}
    assert (script.asked, script.requests[0].query) == ([("GET", "/appointment")], query)
    assert [one.id for one in found.appointments] == ["uid-1"]
    assert found.problems == (
        "row 2 (3): StartDateTime is no time like 2026-05-10T10:00:00",
        "row 3: it is no object with fields",
    )


@pytest.mark.parametrize("header", ["SyncToken", "synctoken", "X-Sync-Token"])
def test_the_feed_goes_on_where_it_ended(header):
    script = Script(
        answer([row(SyncStatus="1")], **{header.lower(): "77", **DATE}), answer([], **{header.lower(): "78"})
    )
    first, second = script._drive(CALLS.sync()), script._drive(CALLS.sync("77"))
    assert (first.token, first.full, [one.id for one in first.appointments]) == ("77", True, ["uid-1"])
    assert about(first.read_at)
    assert (second.token, second.full, second.appointments) == ("78", False, ())
    assert [request.query for request in script.requests] == [{"synctoken": "1"}, {"synctoken": "77"}]


@pytest.mark.parametrize(
    "refusal", [answer({"Message": "bad"}, 400), answer({"Status": "-1", "StatusMsg": "unknown sync token"})]
)
def test_a_token_that_is_not_known_any_more_leads_to_everything(refusal):
    script = Script(refusal, answer([row()], synctoken="99"))
    found = script.run(CALLS.sync("77"))
    assert (found.full, found.token) == (True, "99")
    assert [request.query["synctoken"] for request in script.requests] == ["77", "1"]


def test_everything_that_is_refused_is_an_error():
    with pytest.raises(Denied):
        Script(answer({"Message": "bad"}, 400)).run(CALLS.sync())


def test_without_a_token_the_next_reading_is_of_everything():
    found = Script(answer([])).run(CALLS.sync("77"))
    assert (found.token, found.full) == ("", False)


def test_a_row_that_stands_for_a_deletion():
    found = Script(answer([row(SyncStatus="Deleted")])).run(CALLS.sync("7"))
    assert ([one.appointment.id for one in found.deletions], found.appointments) == (["uid-1"], ())


def test_deletions_are_read_by_their_day():
    gone = {
        "AppID": 4711, "ExternalID": "uid-1", "Calendarid": 90709, "TimeStamp": "2026-05-10T09:00:00",
        "StartDateTime": "2026-05-11T10:00:00", "Email": "eva@example.test", "LastName": "Muster",
    }  # fmt: skip
    script = Script(answer([gone, {"AppID": 5, "TimeStamp": "?"}], **DATE))
    found = script.run(CALLS.deleted(date(2026, 5, 9), date(2026, 5, 12)))
    assert script.requests[0].query == {"start": "2026-05-09", "end": "2026-05-12"}
    deletion, untimed = found.deletions
    assert (deletion.appointment.id, deletion.appointment.calendar_id) == ("uid-1", "90709")
    assert deletion.deleted_at == datetime(2026, 5, 10, 7, tzinfo=UTC)
    assert deletion.appointment.customer.email == "eva@example.test"
    assert (untimed.appointment.id, untimed.deleted_at, found.problems) == ("#5", None, ())


@pytest.mark.parametrize(
    "listing",
    [CALLS.sync("7"), CALLS.between(READ_AT.date(), READ_AT.date()), CALLS.deleted(READ_AT.date(), READ_AT.date())],
)
def test_a_list_of_appointments_may_be_large_and_take_its_time(listing):
    script = Script(answer([]))
    script.run(listing)
    assert (script.requests[0].most_bytes, script.requests[0].timeout) == (256 * 1024**2, 120)


def test_a_large_answer_is_understood_aside_and_a_small_one_at_once():
    for notes, aside in (("x", 0), ("x" * 300_000, 1)):
        script = Script(answer([row(Notes=notes)], synctoken="8"))
        assert [one.id for one in script.run(CALLS.sync("7")).appointments] == ["uid-1"]
        assert script.asides == aside


def test_a_contact_that_cannot_be_read_says_nothing_of_others():
    with pytest.raises(UnreadableRow, match=r"row 0 \(without an id\): Email is no text"):
        Script(answer([{"CID": 9, "Email": {}}])).run(CALLS.contacts("eva@example.test"))


def test_contacts_come_as_json_or_xml_and_have_the_address_that_was_asked_for():
    body = (
        b'\xef\xbb\xbf<?xml version="1.0"?><ArrayOfContact xmlns="x"><Contact><CID>9</CID>'
        b"<Email>Eva@example.test</Email><Newsletter>true</Newsletter></Contact></ArrayOfContact>"
    )
    in_xml = answer(None, body=body, **{"content-type": "application/xml; charset=utf-8"})
    in_json = answer([
        {"CID": 9, "Email": "Eva@example.test", "Newsletter": 1},
        {"CID": 10, "Email": "max@example.test"},
    ])
    for reply in (in_xml, in_json):
        script = Script(reply)
        (found,) = script.run(CALLS.contacts(" eva@example.test "))
        assert script.requests[0].query == {"email": "eva@example.test"}
        assert (found.id, found.newsletter, found.customer.email) == ("9", True, "Eva@example.test")


@pytest.mark.parametrize("shown", ["eva@xn--mller-kva.de", "EVA@müller.de"])
def test_a_contact_is_meant_however_its_domain_is_shown(shown):
    (found,) = Script(answer([{"CID": 9, "Email": shown}])).run(CALLS.contacts("eva@müller.de"))
    assert found.customer.email == shown


@pytest.mark.parametrize("body", [b"<a>", b'<!DOCTYPE a [<!ENTITY b "c">]><a><d><e>&b;</e></d></a>', b""])
def test_xml_that_is_broken_or_has_entities_is_no_answer(body):
    with pytest.raises(Transient, match="without JSON"):
        Script(answer(None, body=body, **{"content-type": "text/xml"})).run(CALLS.contacts("eva@example.test"))


def test_calendars_and_services():
    calendars = Script(answer([{"CalendarID": 90709, "CalendarName": "Beratung"}])).run(CALLS.calendars())
    services = Script(answer([{"ID": 5, "Name": "Erstgespräch"}])).run(CALLS.services())
    assert [(one.id, one.name) for one in (*calendars, *services)] == [("90709", "Beratung"), ("5", "Erstgespräch")]
    assert Script(answer([])).run(CALLS.verify()) == 0


def test_a_booking_is_in_the_query_with_the_accounts_local_time():
    script = Script(answer([{"ID": 12, "IID": "x", "Status": "0", "StatusMsg": ""}]))
    start = datetime(2026, 5, 11, 8, tzinfo=UTC)
    more = {"email": "eva@example.test", "city": "Bern", "calendarname": "Beratung"}
    assert script.run(CALLS.book(start, start + timedelta(minutes=30), "90709", **more)) == "12"
    (request,) = script.requests
    assert (request.method, request.path, request.changes) == ("POST", "/appointment", True)
    assert request.query == {"start": "2026-05-11 10:00", "end": "2026-05-11 10:30", "calendarid": "90709", **more}
    assert (request.json, request.form) == (None, None)


def test_changes_and_deletions_are_in_the_query_too():
    script = Script(answer({"Status": "OK", "StatusMsg": ""}), answer(None, body=b""), answer(None, 204, body=b""))
    script.run(CALLS.change("uid-1", manualconfirmed="1"), CALLS.delete("uid-1", sync="1"), CALLS.delete("#4711"))
    assert [(one.method, one.query) for one in script.requests] == [
        ("PUT", {"id": "uid-1", "manualconfirmed": "1"}),
        ("DELETE", {"id": "uid-1", "sync": "1"}),
        ("DELETE", {"appid": "4711"}),
    ]
    for nothing in ("", "#", " "):
        with pytest.raises(ValueError, match="without an id"):
            Script().run(CALLS.delete(nothing))


SAID = {"ID": 0, "Status": "-5", "StatusMsg": "Slot taken for EVA@example.test, Eva Muster"}


@pytest.mark.parametrize("document", [SAID, [SAID]])
def test_a_business_error_in_a_200_is_a_refusal_without_the_persons_data(document):
    start = datetime(2026, 5, 11, 8, tzinfo=UTC)
    more = {"email": "eva@example.test", "firstname": "Eva", "lastname": "Muster"}
    with pytest.raises(Declined, match=r"status -5: Slot taken for …") as caught:
        Script(answer(document)).run(CALLS.book(start, start, "90709", **more))
    assert caught.value.status == 200
    assert not [word for word in ("eva", "muster") if word in str(caught.value).lower()]


def test_what_the_query_said_of_the_person_is_left_out_however_it_is_spelled():
    start = datetime(2026, 5, 11, 8, tzinfo=UTC)
    said = "no %2FAPI?LASTNAME=m%c3%bcLLER&notes=Bitte+klingeln, Müller"
    more = {"lastname": "Müller", "notes": "Bitte klingeln"}
    with pytest.raises(Declined) as caught:
        Script(answer(SAID | {"StatusMsg": said})).run(CALLS.book(start, start, "90709", **more))
    assert "no %2FAPI?LASTNAME=…&notes=…, …" in str(caught.value)


@pytest.mark.parametrize(
    "reply",
    [
        answer({"Message": "?"}, 401),
        answer(None, 403, body=b""),
        answer({"Status": "1001", "StatusMsg": "Invalid signature"}),
        answer({"Message": "publickey is missing"}, 400),
    ],
)
def test_a_wrong_key_says_where_the_keys_are(reply):
    with pytest.raises(WrongCredentials, match="compare both keys with API > API & Web Push") as caught:
        Script(reply).run(CALLS.verify())
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (answer(None, 502, body=b""), Transient),
        (answer(None, 200, body=b"<html>"), Transient),
        (answer({"ID": 1}), Transient),
        (answer(None, 429, body=b"", **{"retry-after": "7"}), RateLimited),
        (answer({"Message": "no"}, 422), Denied),
    ],
)
def test_other_answers_to_a_reading(reply, error):
    with pytest.raises(error) as caught:
        Script(reply).run(CALLS.between(date(2026, 5, 10), date(2026, 5, 11)))
    assert type(caught.value) is error


@pytest.mark.parametrize(
    "reply",
    [answer(None, 502, body=b""), answer(None, 200, body=b""), answer("x"), answer([{"Status": "0", "StatusMsg": ""}])],
)
def test_a_booking_without_an_answer_that_says_something_is_in_doubt(reply):
    start = datetime(2026, 5, 11, 8, tzinfo=UTC)
    with pytest.raises(UnknownOutcome):
        Script(reply).run(CALLS.book(start, start, "90709"))
