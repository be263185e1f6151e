"""eTermin's Web Push: two forms, one meaning; and any bytes at all."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.protocols.etermin_push import UnreadablePush, parse_push

BERLIN = "Europe/Berlin"
UID = "b1f0c6d2-7d0e-4a55-9a6b-0f6f1f0f2c11"
JSON = {
    "command": "CREATED", "appointmentUID": UID, "startDateTimeUTC": "2026-05-10T08:00:00",
    "endDateTimeUTC": "2026-05-10T08:30:00", "startDateTime": "2026-05-10T10:00:00",
    "endDateTime": "2026-05-10T10:30:00", "bookingDateUTC": "2026-05-01T06:12:44", "salutation": "Frau",
    "lastName": "Muster", "firstName": "Eva", "phone": "+41790000000", "street": "", "ZIP": "", "town": "",
    "birthday": "", "notes": "Bitte klingeln", "email": "eva@example.test", "calendarName": "Beratung",
    "selectedAnswers": "Erstgespräch", "bookingLanguage": "de-CH", "additional1": "", "newsletter": True,
}  # fmt: skip
VARIABLES = {
    "COMMAND": "CREATED", "APPOINTMENTUID": UID, "STARTDATETIMEUTC": "20260510 080000",
    "ENDDATETIMEUTC": "20260510 083000", "STARTDATETIME": "20260510 100000", "ENDDATETIME": "20260510 103000",
    "BOOKINGDATEUTC": "20260501 061244", "SALUTATION": "Frau", "LASTNAME": "Muster", "FIRSTNAME": "Eva",
    "PHONE": "+41790000000", "NOTES": "Bitte klingeln", "EMAIL": "eva@example.test", "CALENDARNAME": "Beratung",
    "SELECTEDANSWERS": "Erstgespräch", "BOOKINGLANGUAGE": "de-CH", "NEWSLETTER": "1",
}  # fmt: skip
FORM = "application/x-www-form-urlencoded; charset=utf-8"


def as_json(**more):
    return parse_push("application/json; charset=utf-8", json.dumps(JSON | more).encode(), BERLIN)


def as_form(**more):
    return parse_push(FORM, urlencode(VARIABLES | more).encode(), BERLIN)


def test_both_forms_say_the_same():
    push = as_json()
    found = push.appointment
    assert (push.kind, found.id, found.calendar, found.service) == ("created", UID, "Beratung", "Erstgespräch")
    assert found.start == datetime(2026, 5, 10, 8, tzinfo=UTC)
    assert found.end == datetime(2026, 5, 10, 8, 30, tzinfo=UTC)
    assert found.booked_at == datetime(2026, 5, 1, 6, 12, 44, tzinfo=UTC)
    assert (found.customer.email, found.customer.first_name, found.customer.last_name, found.customer.phone) == (
        "eva@example.test", "Eva", "Muster", "+41790000000",
    )  # fmt: skip
    assert (found.customer.language, found.newsletter, found.notes) == ("de", True, "Bitte klingeln")
    assert as_form() == push


def test_a_deletion_needs_nothing_but_the_id():
    push = parse_push(FORM, urlencode({"COMMAND": "DELETED", "APPOINTMENTUID": UID}).encode(), BERLIN)
    assert (push.kind, push.appointment.id, push.appointment.start) == ("deleted", UID, None)
    assert push.appointment.newsletter is None


@pytest.mark.parametrize("content_type", ["", "text/plain", "text/json"])
def test_the_form_is_told_by_the_body_where_no_type_tells_it(content_type):
    assert parse_push(content_type, b"\xef\xbb\xbf " + json.dumps(JSON).encode(), BERLIN) == as_json()
    if content_type != "text/json":
        assert parse_push(content_type, urlencode(VARIABLES).encode(), BERLIN) == as_json()


def test_the_doubled_hour_is_told_by_the_twin_and_else_by_the_first():
    doubled = {"startDateTime": "2026-10-25T02:30:00"}
    assert as_json(**doubled, startDateTimeUTC="2026-10-25T01:30:00").appointment.start.hour == 1
    assert as_json(**doubled, startDateTimeUTC="").appointment.start.hour == 0


def test_a_repetition_has_the_same_key_and_anything_else_another():
    keys = {
        as_json().content_key,
        as_json(command="MODIFIED").content_key,
        as_json(startDateTimeUTC="2026-05-11T08:00:00").content_key,
        as_json(appointmentUID="x").content_key,
        as_json(email="max@example.test").content_key,
    }
    assert len(keys) == 5
    assert as_json(somethingNew={"deep": [1]}, additional7="x").content_key == as_form(OTHER="y").content_key
    assert as_json().content_key in keys


def test_it_keeps_contact_data_out_of_its_representation():
    shown = repr(as_json())
    assert UID in shown
    assert not [secret for secret in ("eva@", "Eva", "Muster", "klingeln", "+4179") if secret in shown]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"command": "MOVED eva@example.test"}, "command is none of"),
        ({"command": None}, "command is none of"),
        ({"appointmentUID": ""}, "appointmentUID is missing"),
        ({"startDateTimeUTC": "eva@example.test"}, "startDateTime is no time"),
        ({"endDateTime": ["eva"], "endDateTimeUTC": ""}, "endDateTime is no text"),
        ({"email": {"eva": "example"}}, "Email is no text"),
        ({"sequence": "eva"}, "sequence is no whole number"),
    ],
)
def test_a_wrong_field_is_named_and_not_quoted(more, words):
    with pytest.raises(UnreadablePush, match=words) as caught:
        as_json(**more)
    assert "eva" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("content_type", "body", "words"),
    [
        ("multipart/form-data", b"", "content type"),
        ("application/json", b"{", "no JSON"),
        ("application/json", b"[" * 100_000, "no JSON"),
        ("application/json", b'{"a": ' + b"9" * 5000 + b"}", "no JSON"),
        ("application/json", b"[]", "no object"),
        ("application/json", b"\xff", "not UTF-8"),
        (FORM, b"COMMAND=%FF", "no form"),
        (FORM, b"&".join(b"A%d=1" % number for number in range(501)), "no form"),
        (FORM, b"", "command is none of"),
    ],
)
def test_what_is_no_push(content_type, body, words):
    with pytest.raises(UnreadablePush, match=words):
        parse_push(content_type, body, BERLIN)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner), max_leaves=3
)


@given(st.sampled_from(["application/json", FORM, "", "text/plain", "text/html"]), st.binary())
def test_any_bytes_are_a_push_or_the_one_error(content_type, body):
    with suppress(UnreadablePush):
        assert parse_push(content_type, body, BERLIN).appointment.id


@given(st.dictionaries(st.sampled_from(sorted(JSON)), PLAIN), st.booleans())
def test_any_values_are_a_push_or_the_one_error(values, formed):
    try:
        if formed:
            pairs = {name.upper(): str(value) for name, value in (JSON | values).items()}
            push = parse_push(FORM, urlencode(pairs, errors="replace").encode(), BERLIN)
        else:
            push = as_json(**values)
    except UnreadablePush:
        return
    assert push.appointment.id
    assert len(push.content_key) == 64
