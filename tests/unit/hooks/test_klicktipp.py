from __future__ import annotations

import pytest

from handoff.errors import RateLimited, Refused, Transient, UnknownOutcome
from hooks.protocols.answers import Denied
from hooks.protocols.klicktipp import KlickTippProtocol
from hooks.protocols.klicktipp_session import KeyPair
from tests.support.conversation import Script, answer

EVA = "eva@example.org"
DONE = answer([True])
TAGS = answer({"21": "Webinar", "22": "Käufer"})
ABSENT = answer(["Diesen Kontakt gibt es nicht."], 404)


@pytest.fixture
def klicktipp() -> KlickTippProtocol:
    return KlickTippProtocol("klick", KeyPair("demo", "0a1b2c", "customer"))


def test_fields_are_named_by_label_or_id(klicktipp):
    script = Script(answer({"fieldFirstName": "Vorname", "field12345": "Kurs", "field7": "Ort"}))
    fields = script.run(klicktipp.field_values({"Kurs": "A", "Vorname": "Eva", "field7": "B"}))
    assert fields == {"field12345": "A", "fieldFirstName": "Eva", "field7": "B"}
    assert script.asked == [("GET", "/field")]


def test_upsert_sends_all_in_one_call(klicktipp):
    script = Script(answer({"3": "", "23": "doi"}), answer({"id": "7", "email": EVA}))
    fields = {"field12345": "A"}
    assert script.run(klicktipp.upsert_contact(EVA, opt_in="doi", tag_id=21, fields=fields))["id"] == "7"
    assert script.asked == [("GET", "/list"), ("POST", "/subscriber")]
    assert script.requests[1].json == {"email": EVA, "listid": 23, "tagid": 21, "fields": fields}
    assert [request.changes for request in script.requests] == [False, True]


def test_upsert_without_anything_else_sends_the_address_alone(klicktipp):
    script = Script(answer({"id": "7"}))
    script.run(klicktipp.upsert_contact(EVA))
    assert script.requests[0].json == {"email": EVA}


def test_standard_fields_need_no_look_up(klicktipp):
    script = Script()
    assert script.run(klicktipp.field_values({"fieldLeadValue": "1999"})) == {"fieldLeadValue": "1999"}
    assert script.requests == []


def test_tag_takes_an_array_and_untag_a_single_id(klicktipp):
    script = Script(DONE, DONE)
    script.run(klicktipp.tag(EVA, [21]), klicktipp.untag(EVA, 21))
    assert [(request.path, request.json) for request in script.requests] == [
        ("/subscriber/tag", {"email": EVA, "tagids": [21]}),
        ("/subscriber/untag", {"email": EVA, "tagid": 21}),
    ]


def test_names_are_read_once_and_once_more_for_a_missing_one(klicktipp):
    script = Script(TAGS, answer({"21": "Webinar", "30": "Neu"}))
    assert script.run(klicktipp.tag_id("Webinar"), klicktipp.tag_id("Webinar"), klicktipp.tag_id("Neu")) == 30
    assert script.asked == [("GET", "/tag"), ("GET", "/tag")]


def test_tags_and_opt_in_processes_may_be_named_by_id_and_a_name_wins(klicktipp):
    script = Script(answer({"21": "Webinar", "22": "21"}))
    assert [script.run(klicktipp.tag_id(given)) for given in ("21", "22", "Webinar")] == [22, 22, 21]
    script = Script(answer({"3": "", "23": "3", "24": "doi"}))
    assert [script.run(klicktipp.opt_ins.resolve(given)) for given in ("3", "24", "doi")] == ["23", "24", "24"]


def test_the_process_without_a_name_is_named_by_its_id(klicktipp):
    assert Script(answer({"3": "", "23": "doi"})).run(klicktipp.opt_ins.resolve("3")) == "3"


def test_a_tag_that_may_be_created_is_meant_by_its_name(klicktipp):
    script = Script(TAGS, answer([49]))
    assert script.run(klicktipp.tag_id("21", True)) == 49
    assert script.requests[-1].json == {"name": "21"}
    assert script.run(klicktipp.tag_id("21")) == 49


def test_a_name_known_to_be_missing_is_not_asked_for_again(klicktipp):
    for script in (Script(TAGS), Script()):
        with pytest.raises(Refused, match="'Fehlt'"):
            script.run(klicktipp.tag_id("Fehlt"))


def test_an_unknown_tag_names_itself_the_connection_and_what_to_do(klicktipp):
    with pytest.raises(Refused, match=r"klick: find tag: .*no tag called 'Webinr'; did you mean 'Webinar'\? create it"):
        Script(TAGS).run(klicktipp.tag_id("Webinr"))


def test_two_tags_of_one_name_are_not_guessed(klicktipp):
    with pytest.raises(Refused, match="2 tags of this account are called 'A'"):
        Script(answer({"1": "A", "2": "A"})).run(klicktipp.tag_id("A"))


def test_a_missing_tag_is_created_once(klicktipp):
    script = Script(answer([]), answer([49]))
    assert script.run(klicktipp.tag_id("Neu", True), klicktipp.tag_id("Neu", True)) == 49
    assert script.asked == [("GET", "/tag"), ("POST", "/tag")]
    assert script.requests[1].json == {"name": "Neu"}


@pytest.mark.parametrize(
    "reply", [answer(["Tag konnte nicht erstellt werden."], 406), answer(body=b""), answer(["x"], 500), answer([True])]
)
def test_a_tag_that_somebody_else_created_meanwhile_is_used(klicktipp, reply):
    script = Script(TAGS, reply, answer({"50": "Neu"}))
    assert script.run(klicktipp.tag_id("Neu", True)) == 50
    assert script.asked == [("GET", "/tag"), ("POST", "/tag"), ("GET", "/tag")]


def test_a_doubtful_creation_leaves_no_contact_in_doubt(klicktipp):
    with pytest.raises(Transient):
        Script(TAGS, UnknownOutcome("klick", "create tag"), TAGS).run(klicktipp.tag_id("Neu", True))


def test_a_refused_creation_is_refused(klicktipp):
    with pytest.raises(Refused, match="Tag konnte nicht"):
        Script(TAGS, answer(["Tag konnte nicht erstellt werden."], 406), TAGS).run(klicktipp.tag_id("Neu", True))


def test_look_up_goes_by_search_and_id(klicktipp):
    script = Script(answer([3]), answer({"id": "3", "status": "Opt-In Pending"}))
    assert script.run(klicktipp.look_up(EVA))["status"] == "Opt-In Pending"
    assert script.asked == [("POST", "/subscriber/search"), ("GET", "/subscriber/3")]
    assert script.requests[0].json == {"email": EVA}
    assert not any(request.changes for request in script.requests)


@pytest.mark.parametrize(
    "replies",
    [[ABSENT], [answer({"error": 7}, 406)], [answer({"error": 4}, 406)], [answer([3]), answer(body=b"", status=404)]],
)
def test_an_unknown_contact_is_none(klicktipp, replies):
    assert Script(*replies).run(klicktipp.look_up(EVA)) is None


@pytest.mark.parametrize("body", [b"<html>not found</html>", b""])
def test_a_404_of_something_else_is_no_unknown_contact(klicktipp, body):
    with pytest.raises(Transient):
        Script(answer(status=404, body=body)).run(klicktipp.find_contact(EVA))


UNREADABLE = {
    "empty": answer(body=b""),
    "html": answer(body=b"<html>ok</html>"),
    "cut": answer(body=b"[tr", content_type="application/json"),
    "deep": answer(body=b"[" * 200_000),
    "false": answer([False]),
    "other": answer({}),
    "500": answer(["oops"], 500),
    "503": answer(["oops"], 503, retry_after="3"),
    "redirect": answer(body=b"", status=302),
    "html 406": answer(body=b"<html>", status=406),
    "1xx": answer([True], 101),
}


@pytest.mark.parametrize("reply", UNREADABLE.values(), ids=UNREADABLE)
def test_an_unreadable_answer_to_a_change_is_an_unknown_outcome(klicktipp, reply):
    with pytest.raises(UnknownOutcome):
        Script(reply).run(klicktipp.tag(EVA, [21]))
    with pytest.raises(UnknownOutcome):
        Script(reply).run(klicktipp.upsert_contact(EVA))


@pytest.mark.parametrize("reply", UNREADABLE.values(), ids=UNREADABLE)
def test_an_unreadable_answer_to_a_read_is_transient(klicktipp, reply):
    with pytest.raises(Transient):
        Script(reply).run(klicktipp.find_contact(EVA))


@pytest.mark.parametrize(
    ("headers", "seconds"), [({"retry_after": "12"}, 12.0), ({}, None), ({"retry_after": "soon"}, None)]
)
def test_429_is_a_rate_limit_whatever_its_body(klicktipp, headers, seconds):
    with pytest.raises(RateLimited) as error:
        Script(answer(body=b"<html>", status=429, **headers)).run(klicktipp.tag(EVA, [21]))
    assert error.value.retry_after == seconds


def test_retry_after_as_a_date_in_the_past_means_now(klicktipp):
    with pytest.raises(RateLimited) as error:
        Script(answer([], 429, retry_after="Wed, 21 Oct 2015 07:28:00 GMT")).run(klicktipp.tag(EVA, [21]))
    assert error.value.retry_after == 0.0


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (["Kein Tag mit dieser ID."], "Kein Tag mit dieser ID."),
        ({"error": 8, "field": "field12345", "name": "Kurs", "field_value": "geheim"}, "error 8: field validation"),
        ({"error": 10, "code": 10, "reason": "x"}, "error 10: update failed; code 10: the SMS number is unsubscribed"),
        ({"message": "?"}, "an error in an unknown form"),
    ],
)
def test_a_refusal_carries_the_vendors_words(klicktipp, document, words):
    with pytest.raises(Denied) as error:
        Script(answer(document, 406)).run(klicktipp.tag(EVA, [21]))
    assert words in str(error.value)
    assert "geheim" not in str(error.value)


def test_a_refusal_never_carries_the_contacts_data(klicktipp):
    words = f"{EVA} Eva-Maria Öztürk +49 170 1234567 other@example.net: phone 00491701234567 invalid"
    fields = {"fieldFirstName": "Eva-Maria", "fieldLastName": "Öztürk"}
    with pytest.raises(Refused) as error:
        Script(answer([words], 400)).run(klicktipp.upsert_contact(EVA, fields=fields))
    for part in ("eva", "Eva", "Öztürk", "1234567", "other", "@"):
        assert part not in str(error.value)
    assert "invalid" in str(error.value)
