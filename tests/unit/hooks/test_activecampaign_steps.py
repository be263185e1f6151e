from __future__ import annotations

import pytest

from handoff.contact import Contact, normalise_email
from handoff.errors import Refused, Transient, UnknownOutcome
from handoff.rules.steps import (
    ActiveCampaignContact,
    ActiveCampaignList,
    ActiveCampaignTag,
    ActiveCampaignUntag,
    KlickTippTag,
)
from hooks.protocols.activecampaign import ActiveCampaignProtocol
from hooks.protocols.activecampaign_steps import ActiveCampaignSteps
from tests.support.calls import EVA, a_call
from tests.support.conversation import Script, answer

TAG_STEP = ActiveCampaignTag(step="activecampaign.tag", tag="Webinar")
UNTAG_STEP = ActiveCampaignUntag(step="activecampaign.untag", tag="Webinar")
LIST_STEP = ActiveCampaignList(step="activecampaign.list", list="News")
CONTACT_STEP = ActiveCampaignContact(step="activecampaign.contact", fields={"Kurs": "A", "lastName": "Muster"})
TAGS = answer({"tags": [{"id": "20", "tag": "Webinar"}]})
LISTS = answer({"lists": [{"id": "2", "name": "News"}]})
FIELDS = answer({"fields": [{"id": "1", "title": "Kurs"}]})
SYNCED = answer({"contact": {"id": "10"}})
FOUND = answer({"contacts": [{"id": "10", "email": EVA.email, "firstName": "Eva", "lastName": "Muster"}]})
NOBODY = answer({"contacts": []})
TAGGED = answer({"contactTag": {"id": "7"}}, 201)
CARRIES = answer({"contactTags": [{"id": "7", "tag": "20"}]})
BARE = answer({"contactTags": []})
ALL = {"contact_id": "10", "tag_id": "20", "association_id": "7"}


def membership(*states: str):
    return answer({"contactLists": [{"id": "5", "list": "2", "status": state} for state in states]})


@pytest.fixture
def steps() -> ActiveCampaignSteps:
    return ActiveCampaignSteps(ActiveCampaignProtocol("active", "token"))


def test_contact_is_one_sync_with_attributes_and_fields(steps):
    script = Script(FIELDS, SYNCED)
    assert script.run(steps.send(a_call(CONTACT_STEP))) == {"contact_id": "10"}
    assert script.requests[1].json == {
        "contact": {
            "email": EVA.email,
            "firstName": "Eva",
            "lastName": "Muster",
            "fieldValues": [{"field": "1", "value": "A"}],
        }
    }


def test_tag_creates_the_contact_when_it_is_not_known_yet(steps):
    script = Script(TAGS, SYNCED, TAGGED)
    assert script.run(steps.send(a_call(TAG_STEP))) == ALL
    assert script.asked == [("GET", "/tags"), ("POST", "/contact/sync"), ("POST", "/contactTags")]
    assert script.requests[2].json == {"contactTag": {"contact": "10", "tag": "20"}}


def test_a_contact_id_of_an_earlier_step_saves_the_sync(steps):
    script = Script(TAGS, TAGGED)
    assert script.run(steps.send(a_call(TAG_STEP, contact_id="10"))) == ALL
    assert script.asked == [("GET", "/tags"), ("POST", "/contactTags")]


def test_a_lost_sync_before_the_tag_leaves_the_tag_itself_out_of_doubt(steps):
    lost = UnknownOutcome("active", "create or update contact")
    script = Script(TAGS, lost, FOUND, TAGGED)
    assert script.run(steps.send(a_call(TAG_STEP))) == ALL
    assert script.asked.count(("POST", "/contact/sync")) == 1
    with pytest.raises(Transient):
        Script(lost, NOBODY).run(steps.send(a_call(TAG_STEP)))


def test_a_lost_tag_is_in_doubt(steps):
    with pytest.raises(UnknownOutcome):
        Script(TAGS, UnknownOutcome("active", "tag contact")).run(steps.send(a_call(TAG_STEP, contact_id="10")))


def test_untag_deletes_the_association_and_does_nothing_when_there_is_none(steps):
    script = Script(TAGS, FOUND, CARRIES, answer({}))
    assert script.run(steps.send(a_call(UNTAG_STEP))) == {"contact_id": "10", "tag_id": "20"}
    assert script.asked[-1] == ("DELETE", "/contactTags/7")
    for replies in ([FOUND, BARE], [NOBODY]):
        script = Script(*replies)
        script.run(steps.send(a_call(UNTAG_STEP)))
        assert not any(request.changes for request in script.requests)


@pytest.mark.parametrize("shown", ["eva@xn--mller-kva.de", "Eva@Müller.de"])
def test_a_contact_is_found_however_its_domain_is_shown(steps, shown):
    call = a_call(UNTAG_STEP, Contact(normalise_email("eva@xn--mller-kva.de")))
    found = answer({"contacts": [{"id": "10", "email": shown}]})
    script = Script(TAGS, found, CARRIES, answer({}))
    script.run(steps.send(call))
    assert script.asked[-1] == ("DELETE", "/contactTags/7")
    assert Script(found, CARRIES).run(steps.seen(call)) is None


def test_list_subscribes_somebody_who_was_never_on_it(steps):
    script = Script(LISTS, SYNCED, membership(), answer({"contacts": [], "contactList": {"id": "5"}}))
    assert script.run(steps.send(a_call(LIST_STEP))) == {"contact_id": "10", "list_id": "2"}
    assert script.requests[-1].path == "/contactLists"
    assert script.requests[-1].json == {"contactList": {"list": "2", "contact": "10", "status": 1}}


@pytest.mark.parametrize(("state", "words"), [("2", "unsubscribed"), ("3", "bounced"), ("0", "unconfirmed")])
def test_list_never_subscribes_again(steps, state, words):
    script = Script(LISTS, membership("1", state) if state != "0" else membership(state))
    with pytest.raises(Refused, match=words):
        script.run(steps.send(a_call(LIST_STEP, contact_id="10")))
    assert not any(request.changes for request in script.requests)


def test_list_leaves_an_active_membership_alone(steps):
    script = Script(LISTS, membership("1"))
    assert script.run(steps.send(a_call(LIST_STEP, contact_id="10")))["list_id"] == "2"
    assert not any(request.changes for request in script.requests)


def test_a_list_may_be_named_by_its_id(steps):
    step = ActiveCampaignList(step="activecampaign.list", list="2")
    assert Script(LISTS, membership("1")).run(steps.send(a_call(step, contact_id="10")))["list_id"] == "2"


@pytest.mark.parametrize(("replies", "tagged"), [([FOUND, CARRIES], True), ([FOUND, BARE], False), ([NOBODY], False)])
def test_seen_of_tag_and_untag_are_opposites(steps, replies, tagged):
    assert (Script(TAGS, *replies).run(steps.seen(a_call(TAG_STEP))) is not None) is tagged
    assert (Script(*replies).run(steps.seen(a_call(UNTAG_STEP))) is not None) is not tagged


@pytest.mark.parametrize(("state", "seen"), [("1", True), ("2", False), ("0", False)])
def test_a_list_is_seen_when_the_membership_is_active(steps, state, seen):
    script = Script(LISTS, FOUND, membership(state))
    assert (script.run(steps.seen(a_call(LIST_STEP))) is not None) is seen


@pytest.mark.parametrize(("value", "first_name", "seen"), [("A", "Eva", True), ("B", "Eva", False), ("A", "E", False)])
def test_a_contact_is_seen_when_attributes_and_fields_are_kept(steps, value, first_name, seen):
    kept = answer({"contact": {"id": "10"}, "fieldValues": [{"id": "14", "field": "1", "value": value}]})
    call = a_call(CONTACT_STEP, Contact(EVA.email, first_name))
    assert (Script(FOUND, FIELDS, kept).run(steps.seen(call)) is not None) is seen


def test_bulk_entries_name_tags_and_use_snake_case(steps):
    assert Script(TAGS).run(steps.bulk_entry(a_call(TAG_STEP))) == {
        "email": EVA.email,
        "first_name": "Eva",
        "last_name": "Öztürk",
        "tags": ["Webinar"],
    }
    assert Script(FIELDS).run(steps.bulk_entry(a_call(CONTACT_STEP)))["fields"] == [{"id": 1, "value": "A"}]


def test_a_bulk_import_takes_the_name_of_a_tag_given_by_its_id(steps):
    step = ActiveCampaignTag(step="activecampaign.tag", tag="20")
    assert Script(TAGS).run(steps.bulk_entry(a_call(step)))["tags"] == ["Webinar"]


@pytest.mark.parametrize(
    "step", [LIST_STEP, UNTAG_STEP, ActiveCampaignTag(step="activecampaign.tag", tag="Webinar", bulk="never")]
)
def test_lists_removals_and_steps_that_say_never_are_not_sent_in_bulk(steps, step):
    assert Script().run(steps.bulk_entry(a_call(step))) is None


def test_an_unknown_tag_is_refused_before_any_import(steps):
    step = ActiveCampaignTag(step="activecampaign.tag", tag="Fehlt")
    with pytest.raises(Refused, match="no tag called 'Fehlt'"):
        Script(TAGS).run(steps.bulk_entry(a_call(step)))


def test_steps_of_another_vendor_are_refused(steps):
    foreign = a_call(KlickTippTag(step="klicktipp.tag", tag="x"))
    for start in (steps.send, steps.seen):
        with pytest.raises(Refused, match="is an ActiveCampaign account"):
            Script().run(start(foreign))
