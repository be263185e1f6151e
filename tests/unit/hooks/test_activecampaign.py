from __future__ import annotations

import pytest

from handoff.errors import RateLimited, Refused, Transient, UnknownOutcome, WrongCredentials
from hooks.protocols.activecampaign import ActiveCampaignProtocol
from hooks.protocols.activecampaign_bulk import BulkRefused, Imported, read_import, start_import
from tests.support.conversation import Script, answer

EVA = "eva@example.org"
TAGS = answer({"tags": [{"id": "20", "tag": "Webinar", "tagType": "contact"}], "meta": {"total": "1"}})
FORBIDDEN = answer({"message": "Forbidden"}, 403)


@pytest.fixture
def campaign() -> ActiveCampaignProtocol:
    return ActiveCampaignProtocol("active", "token-1")


def test_sync_sends_the_contact_with_its_field_values(campaign):
    script = Script(answer({"contact": {"id": "10"}, "fieldValues": []}, 201))
    attributes = {"firstName": "Eva", "phone": "+49170"}
    assert script.run(campaign.sync_contact(EVA, attributes, {"1": "Kurs A"})) == "10"
    (request,) = script.requests
    assert (request.method, request.path, request.changes) == ("POST", "/contact/sync", True)
    assert request.headers["Api-Token"] == "token-1"
    assert request.json == {
        "contact": {
            "email": EVA,
            "firstName": "Eva",
            "phone": "+49170",
            "fieldValues": [{"field": "1", "value": "Kurs A"}],
        }
    }


def test_a_contact_is_found_by_its_exact_address(campaign):
    script = Script(answer({"contacts": [{"id": "1", "email": "x" + EVA}, {"id": "2", "email": EVA.upper()}]}))
    assert script.run(campaign.find_contact(EVA))["id"] == "2"
    assert (script.asked, script.requests[0].query) == ([("GET", "/contacts")], {"email": EVA})
    assert Script(answer({"contacts": []})).run(campaign.find_contact(EVA)) is None


def test_a_tag_is_added_by_ids(campaign):
    script = Script(answer({"contactTag": {"id": "7", "contact": "1", "tag": "20"}}, 201))
    assert script.run(campaign.add_tag("1", "20")) == "7"
    assert script.requests[0].path == "/contactTags"
    assert script.requests[0].json == {"contactTag": {"contact": "1", "tag": "20"}}


def test_a_tag_is_removed_by_its_association(campaign):
    associations = answer({"contactTags": [{"id": "6", "tag": "2"}, {"id": "7", "contact": "1", "tag": "20"}]})
    assert Script(associations).run(campaign.tag_association("1", "20")) == "7"
    assert Script(associations).run(campaign.tag_association("1", "21")) is None
    script = Script(answer({}), answer({"message": "No Result found"}, 404))
    script.run(campaign.remove_tag("7"), campaign.remove_tag("7"))
    assert script.asked == [("DELETE", "/contactTags/7")] * 2


def test_the_worst_state_of_a_list_membership_counts(campaign):
    memberships = [{"id": "1", "list": "2", "status": "1"}, {"id": "2", "list": "2", "status": "2"}]
    script = Script(answer({"contactLists": memberships}))
    assert script.run(campaign.list_status("10", "2")) == 2
    assert script.asked == [("GET", "/contacts/10/contactLists")]
    assert Script(answer({"contactLists": memberships})).run(campaign.list_status("10", "3")) is None


def test_pages_are_read_until_the_total_is_reached(campaign):
    first = [{"id": str(number), "tag": f"t{number}"} for number in range(1, 101)]
    last = [{"id": "101", "tag": "t101"}]
    script = Script(answer({"tags": first, "meta": {"total": "101"}}), answer({"tags": last, "meta": {"total": "101"}}))
    assert script.run(campaign.tag_id("t101")) == "101"
    assert [dict(request.query) for request in script.requests] == [
        {"limit": "100", "offset": "0"},
        {"limit": "100", "offset": "100"},
    ]


def test_a_server_that_repeats_its_page_does_not_hold_us_for_ever(campaign):
    page = answer({"tags": [{"id": "1", "tag": "a"}], "meta": {"total": "5"}})
    assert Script(page, page).run(campaign.tag_id("a")) == "1"


def test_tags_of_templates_are_not_contact_tags(campaign):
    tags = [{"id": "1", "tag": "A", "tagType": "template"}, {"id": "2", "tag": "A", "tagType": "contact"}]
    assert Script(answer({"tags": tags})).run(campaign.tag_id("A")) == "2"


def test_tags_and_lists_may_be_named_by_id_and_a_name_wins(campaign):
    tags = answer({"tags": [{"id": "20", "tag": "Webinar"}, {"id": "21", "tag": "20"}]})
    lists = answer({"lists": [{"id": "2", "name": "3"}, {"id": "3", "name": "Kunden"}]})
    script = Script(tags)
    assert [script.run(campaign.tag_id(given)) for given in ("20", "21", "Webinar")] == ["21", "21", "20"]
    script = Script(lists)
    assert [script.run(campaign.lists.resolve(given)) for given in ("3", "2", "Kunden")] == ["2", "2", "3"]


def test_an_unknown_tag_says_what_to_do(campaign):
    with pytest.raises(Refused, match=r"active: find tag: .*no tag called 'Webiner'; did you mean 'Webinar'\?"):
        Script(TAGS).run(campaign.tag_id("Webiner"))


def test_a_missing_tag_is_created_once_and_found_when_the_answer_was_lost(campaign):
    script = Script(TAGS, answer({"tag": {"id": "21", "tag": "Neu"}}, 201))
    assert script.run(campaign.tag_id("Neu", True), campaign.tag_id("Neu")) == "21"
    assert script.requests[1].json == {"tag": {"tag": "Neu", "tagType": "contact", "description": ""}}
    lost = UnknownOutcome("active", "create tag")
    script = Script(TAGS, lost, answer({"tags": [{"id": "22", "tag": "Zwei"}]}))
    assert script.run(campaign.tag_id("Zwei", True)) == "22"
    with pytest.raises(Transient):
        Script(TAGS, lost, TAGS).run(campaign.tag_id("Drei", True))


def test_fields_are_named_by_title_personalisation_tag_or_id(campaign):
    fields = [{"id": "1", "title": "Kurs", "perstag": "COURSE"}, {"id": "2", "title": "Ort", "perstag": "CITY"}]
    script = Script(answer({"fields": fields}))
    assert script.run(campaign.field_values({"Kurs": "a"}), campaign.field_values({"CITY": "b", "1": "c"})) == {
        "2": "b",
        "1": "c",
    }


@pytest.mark.parametrize("shown_with_contact", [True, False])
def test_field_values_are_read_with_the_contact_or_on_their_own(campaign, shown_with_contact):
    values = {"fieldValues": [{"id": "14", "contact": "10", "field": "1", "value": "Kurs A"}]}
    replies = [answer({"contact": {"id": "10"}, **values})]
    if not shown_with_contact:
        replies = [answer({"contact": {"id": "10"}}), answer(values)]
    assert Script(*replies).run(campaign.read_fields("10")) == {"1": "Kurs A"}


@pytest.mark.parametrize("reply", [FORBIDDEN, answer({"message": "No"}, 401), answer(body=b"<html>", status=403)])
def test_403_means_a_wrong_token(campaign, reply):
    for operation in (campaign.verify(), campaign.add_tag("1", "20")):
        with pytest.raises(WrongCredentials) as error:
            Script(reply).run(operation)
        assert "token-1" not in str(error.value)


def test_a_404_that_is_not_the_vendors_removes_no_tag(campaign):
    with pytest.raises(Transient, match="check the connection's host"):
        Script(answer(body=b"<html>no such page</html>", status=404)).run(campaign.remove_tag("7"))


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [(429, {"retry_after": "2"}, 2.0), (429, {}, None), (503, {"retry_after": "1.5"}, 1.5)],
)
def test_throttling_is_a_rate_limit(campaign, status, headers, seconds):
    with pytest.raises(RateLimited) as error:
        Script(answer(body=b"", status=status, **headers)).run(campaign.add_tag("1", "20"))
    assert error.value.retry_after == seconds


UNREADABLE = {
    "empty": answer(body=b""),
    "html": answer(body=b"<html>"),
    "html 409": answer(body=b"<html>", status=409),
    "no id": answer({"contactTag": {}, "contact": {}}),
    "list": answer([1]),
    "500": answer({"message": "oops"}, 500),
    "503": answer({"message": "oops"}, 503),
}


@pytest.mark.parametrize("reply", UNREADABLE.values(), ids=UNREADABLE)
def test_an_unreadable_answer_to_a_change_is_unknown_and_to_a_read_transient(campaign, reply):
    with pytest.raises(UnknownOutcome):
        Script(reply).run(campaign.add_tag("1", "20"))
    with pytest.raises(UnknownOutcome):
        Script(reply).run(campaign.sync_contact(EVA))
    with pytest.raises(Transient):
        Script(reply).run(campaign.find_contact(EVA))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"errors": [{"title": "Not Found", "detail": "Contact not found", "status": 404}]}, "Contact not found"),
        ({"message": f"No Result found for {EVA}"}, "No Result found for …"),
        ({}, "no words given"),
    ],
)
def test_a_refusal_carries_the_vendors_words_without_addresses(campaign, document, words):
    with pytest.raises(Refused) as error:
        Script(answer(document, 404)).run(campaign.add_tag("1", "20"))
    assert words in str(error.value)
    assert EVA not in str(error.value)


def test_bulk_import_hands_over_entries_and_returns_the_batch(campaign):
    entry = {"email": EVA, "tags": ["Webinar"]}
    script = Script(answer({"Success": 1, "queued_contacts": 1, "batchId": "b-1", "message": "queued"}))
    assert script.run(start_import(campaign, [entry])) == "b-1"
    (request,) = script.requests
    assert (request.method, request.path, request.changes) == ("POST", "/import/bulk_import", True)
    assert request.json == {"contacts": [entry]}


def test_a_refused_import_names_whom_the_vendor_complains_of(campaign):
    reasons = [{"contact": 1, "failureReason": f"bad address {EVA}"}, {"contact": "?"}, "whole"]
    with pytest.raises(BulkRefused) as error:
        Script(answer({"success": 0, "message": "no", "failureReasons": reasons}, 400)).run(start_import(campaign, []))
    assert error.value.reasons == {1: "bad address …"}


def test_too_many_imports_a_minute_are_a_rate_limit(campaign):
    with pytest.raises(RateLimited):
        Script(answer({"success": 0, "message": "Rate limit exceeded."}, 400)).run(start_import(campaign, []))


@pytest.mark.parametrize(
    "document", [{"Success": 0, "batchId": "b"}, {"Success": 1}, {"Success": 1, "batchId": ""}, []]
)
def test_an_import_without_a_batch_is_in_doubt(campaign, document):
    with pytest.raises(UnknownOutcome):
        Script(answer(document)).run(start_import(campaign, []))


def test_an_import_is_read_by_its_batch(campaign):
    script = Script(answer({"status": "active"}))
    assert script.run(read_import(campaign, "b-1")) is None
    assert (script.asked, script.requests[0].query) == ([("GET", "/import/info")], {"batchId": "b-1"})
    done = answer({"status": "completed", "success": ["123"], "failure": ["Bad@X"]})
    assert Script(done).run(read_import(campaign, "b-1")) == Imported(frozenset({"bad@x"}))


def test_an_import_that_says_nothing_is_asked_again(campaign):
    with pytest.raises(Transient):
        Script(answer({"status": "completed", "failure": "?"})).run(read_import(campaign, "b-1"))
