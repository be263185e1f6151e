from __future__ import annotations

import pytest

from handoff.contact import Contact
from handoff.errors import Refused, Transient
from handoff.rules.steps import ActiveCampaignTag, KlickTippContact, KlickTippTag, KlickTippUntag
from hooks.protocols.klicktipp import KlickTippProtocol
from hooks.protocols.klicktipp_session import KeyPair
from hooks.protocols.klicktipp_steps import KlickTippSteps
from tests.support.calls import a_call
from tests.support.conversation import Script, answer

EMAIL = "eva@example.org"
NAMES = {"fieldFirstName": "Eva", "fieldLastName": "Öztürk"}
DONE = answer([True])
TAGS = answer({"21": "Webinar"})
ABSENT = answer(["Diesen Kontakt gibt es nicht."], 404)
FOUND = answer([7])
TAG = a_call(KlickTippTag(step="klicktipp.tag", tag="Webinar"))
UNTAG = a_call(KlickTippUntag(step="klicktipp.untag", tag="Webinar"))


def stored(**values):
    return answer({"id": "7", **NAMES, "manual_tags": {"21": "1760530436"}, "tags": ["21"], **values})


@pytest.fixture
def steps() -> KlickTippSteps:
    return KlickTippSteps(KlickTippProtocol("klick", KeyPair("demo", "0a1b2c", "customer")))


def test_contact_is_one_upsert_with_names_opt_in_and_tag(steps):
    step = KlickTippContact(step="klicktipp.contact", opt_in="doi", tag="Webinar", fields={"Kurs": "A"})
    script = Script(ABSENT, TAGS, answer({"field12345": "Kurs"}), answer({"23": "doi"}), stored())
    assert script.run(steps.send(a_call(step))) == {"tag_id": 21, "contact_id": 7}
    assert [request.path for request in script.requests if request.changes] == ["/subscriber"]
    assert script.requests[-1].json == {
        "email": EMAIL,
        "listid": 23,
        "tagid": 21,
        "fields": {**NAMES, "field12345": "A"},
    }


def test_a_steps_own_field_overrides_the_name_and_unknown_names_are_not_sent(steps):
    step = KlickTippContact(step="klicktipp.contact", fields={"fieldFirstName": "Evi"})
    script = Script(ABSENT, stored())
    script.run(steps.send(a_call(step, Contact(EMAIL))))
    assert script.requests[-1].json == {"email": EMAIL, "fields": {"fieldFirstName": "Evi"}}


@pytest.mark.parametrize(
    "shown",
    [
        {"status": "Unsubscribed"}, {"status": "unsubscribed", "unsubscription": ""}, {"status": "Abgemeldet"},
        {"unsubscription": "28.12.2024 22:52:09"}, {"status": "", "unsubscription": "28.12.2024"},
    ],
)  # fmt: skip
def test_who_unsubscribed_is_never_signed_up_again(steps, shown):
    script = Script(FOUND, stored(**shown))
    with pytest.raises(Refused, match="no rule signs it up again") as caught:
        script.run(steps.send(a_call(KlickTippContact(step="klicktipp.contact", opt_in="23"))))
    assert not any(request.changes for request in script.requests)
    assert EMAIL not in str(caught.value)


@pytest.mark.parametrize(
    "shown", [{"status": "Subscribed"}, {"status": "opt-in pending"}, {"status": "Pending"}, {"status": ""}, {}]
)
def test_who_is_subscribed_or_asked_is_updated(steps, shown):
    script = Script(FOUND, stored(**shown), stored())
    assert script.run(steps.send(a_call(KlickTippContact(step="klicktipp.contact")))) == {"contact_id": 7}
    assert script.asked[-1] == ("POST", "/subscriber")


def test_tag_is_one_call_for_a_known_contact(steps):
    script = Script(TAGS, DONE)
    assert script.run(steps.send(TAG)) == {"tag_id": 21}
    assert script.requests[1].json == {"email": EMAIL, "tagids": [21]}


@pytest.mark.parametrize("refusal", [ABSENT, answer({"error": 7}, 406), answer({"error": 4}, 406)])
def test_tag_creates_an_unknown_contact_with_the_tag_in_one_call(steps, refusal):
    script = Script(TAGS, refusal, ABSENT, stored())
    assert script.run(steps.send(TAG)) == {"tag_id": 21, "contact_id": 7}
    assert script.asked[1:] == [("POST", "/subscriber/tag"), ("POST", "/subscriber/search"), ("POST", "/subscriber")]
    assert script.requests[-1].json == {"email": EMAIL, "tagid": 21, "fields": NAMES}


def test_tag_never_signs_up_a_contact_that_exists_but_is_not_subscribed(steps):
    script = Script(TAGS, answer({"error": 9}, 406), FOUND)
    with pytest.raises(Refused, match="error 9: not subscribed"):
        script.run(steps.send(TAG))
    assert ("POST", "/subscriber") not in script.asked


def test_tag_creates_the_tag_only_when_the_step_says_so(steps):
    with pytest.raises(Refused, match="no tag called 'Neu'"):
        Script(TAGS).run(steps.send(a_call(KlickTippTag(step="klicktipp.tag", tag="Neu"))))
    script = Script(answer([49]), DONE)
    script.run(steps.send(a_call(KlickTippTag(step="klicktipp.tag", tag="Neu", create=True))))
    assert script.requests[1].json == {"email": EMAIL, "tagids": [49]}


def test_untag_of_an_unknown_contact_has_nothing_to_do(steps):
    script = Script(TAGS, ABSENT, ABSENT)
    assert script.run(steps.send(UNTAG)) == {"tag_id": 21}
    assert script.requests[1].json == {"email": EMAIL, "tagid": 21}


def test_untag_of_a_known_contact_that_is_refused_stays_refused(steps):
    with pytest.raises(Refused, match="error 9"):
        Script(TAGS, answer({"error": 9}, 406), FOUND).run(steps.send(UNTAG))


@pytest.mark.parametrize(
    ("replies", "tagged"),
    [
        ([FOUND, stored()], True),
        ([FOUND, stored(manual_tags={"22": "1"})], False),
        ([FOUND, stored(manual_tags=[])], False),
        ([FOUND, answer({"id": "7", "tags": ["20", "21"]})], True),
        ([ABSENT], False),
    ],
)
def test_seen_of_tag_and_untag_are_opposites(steps, replies, tagged):
    assert (Script(TAGS, *replies).run(steps.seen(TAG)) is not None) is tagged
    assert (Script(*replies).run(steps.seen(UNTAG)) is not None) is not tagged


def test_a_tag_that_the_account_does_not_have_is_not_seen(steps):
    assert Script(TAGS).run(steps.seen(a_call(KlickTippTag(step="klicktipp.tag", tag="Neu", create=True)))) is None


def test_a_contact_shown_without_tags_proves_nothing(steps):
    with pytest.raises(Transient, match="without its tags"):
        Script(TAGS, FOUND, answer({"id": "7"})).run(steps.seen(UNTAG))


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({"field1": "19.99", "field2": "0049170123", "field3": "a\r\nb"}, True),
        ({"field1": "19.99", "field2": "0049170123", "field3": "other"}, False),
        ({"field1": "19.98", "field2": "0049170123", "field3": "a\nb"}, False),
        ({"field1": "19.99", "field2": "0049170123", "field3": "a\nb", "fieldFirstName": "Evi"}, False),
        ({"field1": "19.99", "field2": None, "field3": "a\nb"}, False),
    ],
)
def test_a_contact_is_seen_when_names_and_fields_are_kept(steps, changes, seen):
    fields = {"field1": "1999", "field2": "+49170123", "field3": "a\nb"}
    call = a_call(KlickTippContact(step="klicktipp.contact", fields=fields))
    labels = answer({"field1": "Preis", "field2": "Telefon", "field3": "Text"})
    script = Script(FOUND, stored(**changes), labels)
    assert (script.run(steps.seen(call)) == {"contact_id": 7}) is seen
    assert not any(request.changes for request in script.requests)


def test_a_contact_with_a_tag_is_seen_only_with_the_tag(steps):
    call = a_call(KlickTippContact(step="klicktipp.contact", tag="Webinar"))
    assert Script(FOUND, stored(manual_tags={}), TAGS).run(steps.seen(call)) is None
    assert Script(FOUND, stored()).run(steps.seen(call)) == {"tag_id": 21, "contact_id": 7}


def test_steps_of_another_vendor_are_refused(steps):
    foreign = a_call(ActiveCampaignTag(step="activecampaign.tag", tag="x"))
    with pytest.raises(Refused, match="is a KlickTipp account"):
        Script().run(steps.send(foreign))
    with pytest.raises(Refused, match="is a KlickTipp account"):
        Script().run(steps.seen(foreign))
