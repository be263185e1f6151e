"""Insightly's single calls: what is asked, and what is made of each answer."""

from __future__ import annotations

import base64
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime

import pytest
import time_machine

from handoff.errors import QuotaUsedUp, RateLimited, Refused, Transient, UnknownOutcome, WrongCredentials
from hooks.protocols.insightly import InsightlyProtocol
from hooks.protocols.insightly_records import CrmContact, Link, StateChange
from tests.support.conversation import Script, answer

KEY = "0a1b2c3d-secret"
CALLS = InsightlyProtocol("insightly_default", KEY)
DENIED = {"Message": "Authorization has been denied for this request."}
EVA = {
    "CONTACT_ID": 55, "FIRST_NAME": "Eva", "LAST_NAME": "Öztürk", "EMAIL_ADDRESS": "Eva@example.org",
    "PHONE": "+49 170 1234567", "DATE_OF_BIRTH": "1980-01-01 00:00:00", "BACKGROUND": "knows Max", "LINKS": [],
}  # fmt: skip


def opportunity(**more):
    return {
        "OPPORTUNITY_ID": 31, "OPPORTUNITY_STATE": "WON", "ACTUAL_CLOSE_DATE": "2026-03-02 00:00:00",
        "DATE_CREATED_UTC": "2026-01-10 08:00:11", "DATE_UPDATED_UTC": "2026-03-02 14:22:05", **more,
    }  # fmt: skip


def test_every_request_is_signed_with_the_key_a_colon_and_no_password():
    script = Script(answer({"INSTANCE_NAME": "Demo GmbH", "PLAN_NAME": "Plus"}))
    assert script.run(CALLS.verify()) == "Demo GmbH"
    (request,) = script.requests
    assert (request.method, request.path, request.changes) == ("GET", "/Instance", False)
    scheme, _, value = request.headers["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(value)) == ("Basic", f"{KEY}:".encode())


@pytest.mark.parametrize("document", [[], {}, {"INSTANCE_NAME": None}, "Demo"])
def test_an_instance_without_a_name_is_no_instance(document):
    with pytest.raises(Transient, match="names no instance"):
        Script(answer(document)).run(CALLS.verify())


@pytest.mark.parametrize("body", [None, b"", b"<html>no</html>"])
def test_401_says_that_key_or_pod_may_be_wrong(body):
    with pytest.raises(WrongCredentials, match=r"key is wrong, or the pod is.*User Settings > API"):
        Script(answer(DENIED, 401, body=body)).run(CALLS.verify())


def test_a_key_that_is_revoked_in_the_middle_of_a_write_changed_nothing():
    with pytest.raises(WrongCredentials):
        Script(answer(DENIED, 401)).run(CALLS.add_tag("contact", 55, "x"))


@pytest.mark.parametrize(("asked", "seconds"), [({}, 2.0), ({"Retry_After": "7"}, 7.0), ({"Retry_After": "soon"}, 2.0)])
@pytest.mark.parametrize("remaining", [{}, {"x-ratelimit-remaining": "99"}])
def test_a_burst_waits_a_moment(asked, seconds, remaining):
    headers = {name.lower(): value for name, value in asked.items()} | remaining
    with pytest.raises(RateLimited, match="in a second") as caught:
        Script(answer(None, 429, body=b"", **headers)).run(CALLS.add_tag("contact", 55, "x"))
    assert type(caught.value) is RateLimited
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize("short", [{}, {"retry-after": "1"}])
def test_a_day_that_is_used_up_rests_until_tomorrow_and_says_so(short):
    headers = {"x-ratelimit-limit": "40000", "x-ratelimit-remaining": "0", **short}
    with (
        time_machine.travel(datetime(2026, 3, 2, 22, 30, tzinfo=UTC), tick=False),
        pytest.raises(QuotaUsedUp, match=r"no request of 40000 left today; goes on at 2026-03-03 00:00 UTC") as caught,
    ):
        Script(answer({"Message": "?"}, 429, **headers)).run(CALLS.verify())
    assert caught.value.retry_after == 5401.0


def test_a_day_that_is_used_up_rests_as_long_as_insightly_asks_when_it_asks_for_long():
    headers = {"x-ratelimit-remaining": "0", "retry-after": "7200"}
    with pytest.raises(QuotaUsedUp, match="asks to wait 7200 s") as caught:
        Script(answer(None, 429, **headers)).run(CALLS.verify())
    assert caught.value.retry_after == 7200.0


@pytest.mark.parametrize("status", [400, 403, 404, 405])
def test_what_is_refused_stays_refused_with_the_vendors_words(status):
    document = {"Message": f"Link name 'x' of eva@example.org with {KEY} is wrong"}
    with pytest.raises(Refused, match=f"HTTP {status}: Link name 'x' of … with … is wrong"):
        Script(answer(document, status)).run(CALLS.add_link("note", 9, "opportunity", 31))


@pytest.mark.parametrize("status", [400, 403, 404, 405])
def test_a_refusal_without_words_is_one(status):
    with pytest.raises(Refused, match=f"HTTP {status} without words"):
        Script(answer(None, status, body=b"")).run(CALLS.tags("contact", 55))


def test_a_403_that_is_not_insightlys_stops_the_account():
    for operation in (CALLS.record("opportunity", 31), CALLS.add_tag("contact", 55, "x")):
        with pytest.raises(WrongCredentials, match="a proxy or firewall"):
            Script(answer(status=403, body=b"<html>Forbidden</html>")).run(operation)


def test_a_404_that_is_not_insightlys_does_not_say_that_a_record_is_gone():
    page = answer(status=404, body=b"<html>Not Found</html>")
    for operation in (CALLS.record("opportunity", 31), CALLS.contact(55), CALLS.add_tag("contact", 55, "x")):
        with pytest.raises(Transient, match="check the connection's host"):
            Script(page).run(operation)


@pytest.mark.parametrize("document", [{"Name": "Err", "Message": "no"}, {"Message": 7}, [], "x"])
def test_refusals_of_every_form(document):
    with pytest.raises(Refused, match="Err: no" if "Name" in document else "unknown form"):
        Script(answer(document, 400)).run(CALLS.add_tag("contact", 55, "x"))


def test_what_is_said_of_a_reading_may_name_anybody_and_is_not_repeated():
    with pytest.raises(Refused) as refusal:
        Script(answer({"Message": "Eva Muster is not yours"}, 403)).run(CALLS.record("opportunity", 31))
    assert refusal.value.words == "HTTP 403: Insightly's words are not repeated"


@pytest.mark.parametrize("broken", [answer(None, 500), answer(None, 502, body=b"<html>"), answer(None, 302)])
def test_no_answer_to_be_had(broken):
    with pytest.raises(Transient):
        Script(broken).run(CALLS.record("opportunity", 31))
    with pytest.raises(UnknownOutcome):
        Script(broken).run(CALLS.add_tag("contact", 55, "x"))


def test_a_record_by_its_id():
    script = Script(answer(opportunity()))
    record = script.run(CALLS.record("opportunity", 31))
    assert script.asked == [("GET", "/Opportunities/31")]
    assert "brief" not in script.requests[0].query
    assert (record.id, record.state, record.closed_on) == (31, "WON", date(2026, 3, 2))
    assert (record.tags, record.contact_ids) == (frozenset(), ())


def test_a_record_that_is_gone():
    script = Script(answer({"Message": "?"}, 404))
    assert script.run(CALLS.record("project", 7)) is None
    assert script.asked == [("GET", "/Projects/7")]


@pytest.mark.parametrize("document", [opportunity(OPPORTUNITY_STATE=""), [], None, {"OPPORTUNITY_NAME": "Relaunch"}])
def test_a_record_that_cannot_be_read(document):
    with pytest.raises(Transient, match=r"read opportunity.*missing") as caught:
        Script(answer(document)).run(CALLS.record("opportunity", 31))
    assert "Relaunch" not in str(caught.value)


def test_the_history_tells_when_it_was_won_oldest_first():
    entries = [
        {"OPPORTUNITY_ID": 31, "DATE_CHANGED_UTC": "2026-03-02 14:22:05", "FOR_OPPORTUNITY_STATE": "Won"},
        {"OPPORTUNITY_ID": 31, "DATE_CHANGED_UTC": "2026-02-01 10:00:00", "FOR_OPPORTUNITY_STATE": "OPEN"},
    ]  # fmt: skip
    script = Script(answer(entries))
    assert script.run(CALLS.state_history(31)) == (
        StateChange("OPEN", datetime(2026, 2, 1, 10, tzinfo=UTC)),
        StateChange("WON", datetime(2026, 3, 2, 14, 22, 5, tzinfo=UTC)),
    )
    assert script.asked == [("GET", "/Opportunities/31/StateHistory")]


def test_an_opportunity_that_is_gone_has_no_history():
    assert Script(answer(None, 404, body=b"")).run(CALLS.state_history(31)) == ()


def test_a_history_that_cannot_be_read():
    with pytest.raises(Transient, match="DATE_CHANGED_UTC is missing"):
        Script(answer([{"FOR_OPPORTUNITY_STATE": "WON"}])).run(CALLS.state_history(31))


def test_of_a_contact_only_id_address_and_name_are_kept():
    script = Script(answer(EVA))
    contact = script.run(CALLS.contact(55))
    assert script.asked == [("GET", "/Contacts/55")]
    assert contact == CrmContact(55, "Eva@example.org", "Eva", "Öztürk")
    assert str(contact) == "CrmContact(id=55)"


def test_a_contact_without_an_address_and_one_that_is_gone():
    assert Script(answer({"CONTACT_ID": 56, "EMAIL_ADDRESS": None})).run(CALLS.contact(56)) == CrmContact(56)
    assert Script(answer(None, 404)).run(CALLS.contact(57)) is None


def test_contacts_are_found_by_address_in_any_case_the_oldest_first():
    others = [
        {**EVA, "CONTACT_ID": 70},
        {**EVA, "CONTACT_ID": 9, "EMAIL_ADDRESS": "max@example.org"},
        {"CONTACT_ID": 0},
    ]
    script = Script(answer([*others, EVA]))
    assert [contact.id for contact in script.run(CALLS.contacts_by_email(" eva@example.org"))] == [55, 70]
    assert script.asked == [("GET", "/Contacts/Search")]
    query = script.requests[0].query
    assert (query["field_name"], query["field_value"], query["brief"]) == ("EMAIL_ADDRESS", "eva@example.org", "true")


def test_a_contact_is_found_however_its_domain_is_shown():
    shown = [EVA | {"EMAIL_ADDRESS": "Eva@xn--mller-kva.de"}]
    assert len(Script(answer(shown)).run(CALLS.contacts_by_email("eva@müller.de"))) == 1


def test_links_are_read_and_set_with_singular_names():
    listed = answer([{"LINK_ID": 1, "LINK_OBJECT_NAME": "Contact", "LINK_OBJECT_ID": 55}])
    script = Script(answer({"LINK_ID": 2}, 201), listed)
    read = script.run(CALLS.add_link("note", 9, "project", 7), CALLS.links("opportunity", 31))
    assert read == (Link("Contact", 55),)
    assert script.asked == [("POST", "/Notes/9/Links"), ("GET", "/Opportunities/31/Links")]
    assert script.requests[0].json == {"LINK_OBJECT_NAME": "Project", "LINK_OBJECT_ID": 7}


def test_tags_are_read_added_and_removed_with_a_body():
    listed = answer([{"TAG_NAME": "für Süd"}, {"TAG_NAME": ""}])
    script = Script(answer({}, 201), answer(None, 200, body=b""), listed)
    added, removed = CALLS.add_tag("project", 7, "für Süd"), CALLS.remove_tag("contact", 55, "für Süd")
    assert script.run(added, removed, CALLS.tags("opportunity", 31)) == ("für Süd",)
    assert [(request.method, request.path, request.json) for request in script.requests[:2]] == [
        ("POST", "/Projects/7/Tags", {"TAG_NAME": "für Süd"}),
        ("DELETE", "/Contacts/55/Tags", {"TAG_NAME": "für Süd"}),
    ]


def test_an_empty_answer_to_a_read_is_none():
    with pytest.raises(Transient, match="without JSON"):
        Script(answer(None, body=b"")).run(CALLS.tags("contact", 55))


def test_the_cursor_follows_insightlys_clock_and_this_machines_only_without_it():
    changed = datetime(2026, 3, 2, 14, 22, 5, tzinfo=UTC)
    later = {"date": format_datetime(changed + timedelta(hours=1), usegmt=True)}
    with time_machine.travel(changed - timedelta(days=3)):
        by_insightly = Script(answer([opportunity()], **later)).run(CALLS.changed("opportunity"))
        by_itself = Script(answer([opportunity()])).run(CALLS.changed("opportunity"))
    assert by_insightly.cursor == changed + timedelta(seconds=1)
    assert by_itself.cursor < changed - timedelta(days=2)
