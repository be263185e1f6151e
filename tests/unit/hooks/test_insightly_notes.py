"""The note on the Insightly contact: one for each survey and contact, whatever is lost on the way."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from handoff.contact import Contact
from handoff.errors import Refused, TargetError, Transient, UnknownOutcome, WrongCredentials
from handoff.occasion import Occasion
from handoff.rules.steps import InsightlyNote, KlickTippTag
from handoff.target import Call
from handoff.texts.templates import RuleFacts
from hooks.protocols.insightly import InsightlyProtocol
from hooks.protocols.insightly_notes import InsightlyNotes
from hooks.protocols.insightly_steps import LONGEST_BODY, InsightlySteps, Mark, body_of, title_of
from tests.support.calls import EVA
from tests.support.conversation import Script, answer
from tests.support.crm_notes import GONE, CrmNotes

PROTOCOL = InsightlyProtocol("insightly_default", "secret-key")
STEPS, NOTES = InsightlySteps(PROTOCOL), InsightlyNotes(PROTOCOL)
FACTS = {"source": "insightly", "account": "insightly_default", "record": "opportunity/31", "contact_ref": "55"}


def a_call(body: str = "Bewertung (rating) 9/10: gut", key: str = "answer-1", **changes: Any) -> Call:
    facts = {**FACTS, **changes.pop("facts", {})}
    occasion = Occasion("survey", "survey", "7/1", "Kundenzufriedenheit", {}, series="zufriedenheit", facts=facts)
    step = InsightlyNote(step="insightly.note", title="Kundenzufriedenheit", body=body, **changes)
    return Call(key, step, EVA, occasion, RuleFacts("nach_antwort", "Nach der Antwort"))


LINK = {"LINK_OBJECT_NAME": "Opportunity", "LINK_OBJECT_ID": 31}


def test_a_first_answer_becomes_one_note_linked_to_the_record():
    crm = CrmNotes()
    proof = crm.run(STEPS.send(a_call()))
    assert proof == {"contact_id": 55, "note_id": 900, "linked": True}
    (note,) = crm.notes.values()
    assert (note["of"], note["TITLE"], note["LINKS"]) == (55, "Kundenzufriedenheit", [LINK])
    assert re.fullmatch(r"\[handoff [0-9a-f]{16} [0-9a-f]{8}\]\n\nBewertung \(rating\) 9/10: gut", note["BODY"])
    assert crm.asked == [
        ("GET", "/Contacts/55"), ("GET", "/Contacts/55/Notes"),
        ("POST", "/Contacts/55/Notes"), ("POST", "/Notes/900/Links"),
    ]  # fmt: skip
    assert len(crm.asked) == InsightlyNote.requests + InsightlyNote.needs_id
    assert crm.run(STEPS.seen(a_call())) == proof


def test_nothing_is_seen_before_it_is_sent():
    assert CrmNotes().run(STEPS.seen(a_call())) is None


def test_a_changed_answer_changes_the_note_and_is_told_from_the_first():
    crm = CrmNotes()
    crm.run(STEPS.send(a_call()))
    changed = a_call("Bewertung (rating) 3/10: doch nicht", key="answer-2")
    assert crm.run(STEPS.seen(changed)) is None
    proof = crm.run(STEPS.send(changed))
    assert proof["note_id"] == 900
    (body,) = crm.bodies()
    assert body.endswith("]\n\nBewertung (rating) 3/10: doch nicht")
    assert crm.changes() == [("POST", "/Contacts/55/Notes"), ("POST", "/Notes/900/Links"), ("PUT", "/Notes")]
    assert crm.run(STEPS.seen(changed)) == proof
    assert crm.run(STEPS.seen(a_call())) is None


def test_a_note_that_insightly_cuts_is_found_again():
    crm = CrmNotes()
    crm.longest = 255
    long = "sehr zufrieden " * 500
    proof = crm.run(STEPS.send(a_call(long)))
    assert crm.run(STEPS.seen(a_call(long))) == proof
    changed = a_call(f"doch nicht {long}", key="answer-2")
    assert crm.run(STEPS.send(changed)) == proof
    assert crm.run(STEPS.seen(changed)) == proof
    (body,) = crm.bodies()
    assert len(body) == 255
    assert "doch nicht" in body


def test_other_surveys_and_other_people_have_notes_of_their_own():
    crm = CrmNotes()
    crm.run(STEPS.send(a_call()))
    call = a_call(key="other")
    crm.run(STEPS.send(replace(call, occasion=replace(call.occasion, series="support"))))
    crm.run(STEPS.send(replace(call, contact=Contact("max@example.org"))))
    assert len(crm.notes) == 3
    assert len({Mark.in_body(body).note for body in crm.bodies()}) == 3


def test_notes_of_people_are_never_touched():
    crm = CrmNotes()
    written = {"of": 55, "v": 1, "TITLE": "Anruf", "BODY": "[handoff] war nett [handoff 12]", "LINKS": []}
    crm.notes[1] = {"NOTE_ID": 1, **written}
    crm.run(STEPS.send(a_call()))
    assert crm.notes[1] == {"NOTE_ID": 1, **written}
    assert len(crm.notes) == 2


@pytest.mark.parametrize("lost", [("POST", "/Notes"), ("POST", "/Links")])
@pytest.mark.parametrize("show_links", [True, False])
def test_a_lost_answer_leads_to_one_note_with_one_link(lost, show_links):
    """What the engine does: an unknown outcome is read back; sent again only when it is not there."""
    crm = CrmNotes()
    crm.lose, crm.show_links = {lost}, show_links
    with pytest.raises(UnknownOutcome):
        crm.run(STEPS.send(a_call()))
    proof = crm.run(STEPS.seen(a_call()))
    if proof is None:
        proof = crm.run(STEPS.send(a_call()))
    assert proof == {"contact_id": 55, "note_id": 900, "linked": True}
    assert crm.run(STEPS.seen(a_call())) == proof
    (note,) = crm.notes.values()
    assert note["LINKS"] == [LINK]


def test_a_change_whose_answer_was_lost_is_not_made_again():
    crm = CrmNotes()
    crm.run(STEPS.send(a_call()))
    crm.lose = {("PUT", "/Notes")}
    changed = a_call("neu", key="answer-2")
    with pytest.raises(UnknownOutcome):
        crm.run(STEPS.send(changed))
    assert crm.run(STEPS.seen(changed)) == {"contact_id": 55, "note_id": 900, "linked": True}
    assert crm.run(STEPS.send(changed))["note_id"] == 900
    assert crm.notes[900]["v"] == 2


def test_a_link_that_exists_already_is_not_an_error():
    crm = CrmNotes()
    crm.run(STEPS.send(a_call()))
    crm.show_links = False
    assert crm.run(STEPS.send(a_call()))["linked"] is True
    assert crm.notes[900]["LINKS"] == [LINK]


def test_a_link_that_is_refused_is_refused():
    crm = CrmNotes()
    crm.show_links = False
    call = a_call()
    operation = STEPS.send(call)
    script = Script(
        answer({"CONTACT_ID": 55}), answer([]), answer({"NOTE_ID": 9}), answer({"Message": "no"}, 403), answer([])
    )
    with pytest.raises(Refused, match="link note to opportunity"):
        script.run(operation)


def test_a_record_that_is_gone_keeps_no_note_from_being_written():
    crm = CrmNotes()
    crm.records.clear()
    assert crm.run(STEPS.send(a_call())) == {"contact_id": 55, "note_id": 900, "linked": False}


@pytest.mark.parametrize("changes", [{"link": False}, {"facts": {"record": ""}}, {"facts": {"record": None}}])
def test_a_note_without_a_link(changes):
    crm = CrmNotes()
    proof = crm.run(STEPS.send(a_call(**changes)))
    assert proof["linked"] is False
    assert crm.changes() == [("POST", "/Contacts/55/Notes")]
    assert crm.run(STEPS.seen(a_call(**changes))) == proof


def test_a_project_is_linked_as_one():
    crm = CrmNotes()
    crm.records.add("project/7")
    crm.run(STEPS.send(a_call(facts={"record": "project/7"})))
    assert crm.notes[900]["LINKS"] == [{"LINK_OBJECT_NAME": "Project", "LINK_OBJECT_ID": 7}]


@pytest.mark.parametrize("record", ["31", "opportunity/", "lead/3", "opportunity/31/x", "opportunity/0"])
def test_a_record_that_cannot_be_read_is_refused_before_anything_is_written(record):
    crm = CrmNotes()
    with pytest.raises(Refused, match="like opportunity/31"):
        crm.run(STEPS.send(a_call(facts={"record": record})))
    assert crm.asked == []


@pytest.mark.parametrize("ref", ["", "56", None, "Eva", "9" * 5000])
def test_without_its_id_the_contact_is_found_by_address_the_oldest_of_several(ref):
    crm = CrmNotes()
    crm.contacts = {80: "eva@example.org", 70: "eva@example.org"}
    assert crm.run(STEPS.send(a_call(facts={"contact_ref": ref})))["contact_id"] == 70


@pytest.mark.parametrize("elsewhere", [{"source": "etermin"}, {"account": "insightly_second"}, {"source": ""}])
def test_the_numbers_of_another_account_lead_to_nobody_here(elsewhere):
    """An answer to a survey after an appointment names the appointment, whose number a contact here may have."""
    crm = CrmNotes()
    crm.contacts = {55: "max@example.org", 70: "eva@example.org"}
    assert crm.run(STEPS.send(a_call(facts=elsewhere))) == {"contact_id": 70, "note_id": 900, "linked": False}


def test_a_contact_known_from_an_earlier_step_is_not_asked_for():
    crm = CrmNotes()
    crm.run(STEPS.send(replace(a_call(), known={"contact_id": 55})))
    assert ("GET", "/Contacts/55") not in crm.asked


def test_nobody_to_write_a_note_about_is_refused_without_an_address():
    crm = CrmNotes()
    crm.contacts.clear()
    with pytest.raises(Refused, match="no contact with this id or address") as caught:
        crm.run(STEPS.send(a_call()))
    assert "eva" not in str(caught.value).lower()
    assert crm.run(STEPS.seen(a_call())) is None


def test_an_edit_in_between_is_read_again_once():
    crm = CrmNotes()
    crm.run(STEPS.send(a_call()))
    crm.edits = ["von Hand"]
    crm.run(STEPS.send(a_call("neu", key="answer-2")))
    assert crm.bodies()[0].endswith("\n\nneu")
    assert crm.notes[900]["v"] == 3


@pytest.mark.parametrize("status", [400, 412])
def test_a_note_that_keeps_changing_is_left_for_later(status):
    stale = answer({"Message": "If-Match header value 'x' is not valid."}, status)
    script = Script(answer({"NOTE_ID": 9}, etag="a"), stale, answer({"NOTE_ID": 9}, etag="b"), stale)
    with pytest.raises(Transient, match="keeps changing"):
        script.run(NOTES.change(9, "t", "b"))
    assert [request.headers.get("If-Match") for request in script.requests] == [None, "a", None, "b"]


def test_a_note_without_an_etag_is_changed_without_a_condition():
    script = Script(answer({"NOTE_ID": 9}), answer({"NOTE_ID": 9}))
    script.run(NOTES.change(9, "t", "b"))
    assert script.asked == [("GET", "/Notes/9"), ("PUT", "/Notes")]
    assert script.requests[1].json == {"NOTE_ID": 9, "TITLE": "t", "BODY": "b"}
    assert "If-Match" not in script.requests[1].headers


def test_a_change_that_is_refused_for_another_reason_is_refused():
    with pytest.raises(Refused, match="TITLE is required"):
        Script(answer({}), answer({"Message": "TITLE is required"}, 400)).run(NOTES.change(9, "", "b"))


def test_a_note_that_is_deleted_meanwhile_is_written_anew_later():
    with pytest.raises(Transient, match="deleted meanwhile"):
        Script(GONE).run(NOTES.change(9, "t", "b"))


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (answer({"Message": "no"}, 403), Refused),
        (answer({"Message": "BODY too long: gut"}, 400), Refused),
        (answer({"Message": "denied"}, 401), WrongCredentials),
        (answer(None, 500), UnknownOutcome),
        (answer(None, 200, body=b""), UnknownOutcome),
        (answer({"TITLE": "x"}, 201), UnknownOutcome),
    ],
)
def test_a_note_that_is_not_written(reply, error):
    script = Script(answer({"CONTACT_ID": 55}), answer([]), reply)
    with pytest.raises(TargetError) as caught:
        script.run(STEPS.send(a_call("gut und teuer")))
    assert type(caught.value).__mro__[0] is error or isinstance(caught.value, error)
    assert "teuer" not in str(caught.value)


def test_a_comment_is_never_repeated_in_an_error():
    echo = answer({"Message": "cannot store: Der Chef heißt <Max>"}, 400)
    with pytest.raises(Refused) as caught:
        Script(answer({"CONTACT_ID": 55}), answer([]), echo).run(STEPS.send(a_call("Der Chef heißt <Max>")))
    assert "Chef" not in str(caught.value)


def test_notes_are_read_over_several_pages():
    crm = CrmNotes()
    for number in range(1, 1101):
        crm.notes[number] = {"NOTE_ID": number, "of": 55, "v": 1, "TITLE": "x", "BODY": "y", "LINKS": []}
    body = body_of("alt", Mark.of(a_call()))
    crm.notes[1100]["BODY"] = body
    assert [note.id for note in crm.run(NOTES.of_contact(55))] == list(range(1, 1101))
    assert crm.run(STEPS.send(a_call()))["note_id"] == 1100


def test_notes_that_cannot_be_read_are_left_out():
    rows = [None, {"TITLE": "x"}, {"NOTE_ID": 3, "LINKS": "x"}, {"NOTE_ID": 4, "BODY": None}]
    assert [note.id for note in Script(answer(rows)).run(NOTES.of_contact(55))] == [4]


def test_html_emoji_and_a_very_long_comment():
    mark = Mark("0" * 16, "1" * 8)
    comment = "<script>alert(1)</script> 😀 & „gut“\r\nzweite\x00 Zeile"
    assert body_of(comment, mark) == (
        "[handoff 0000000000000000 11111111]\n\n&lt;script&gt;alert(1)&lt;/script&gt; 😀 &amp; „gut“\nzweite Zeile"
    )
    assert body_of("😀" * 10_000, mark) == f"{mark}\n\n" + "😀" * 10_000
    cut = body_of("<" * 50_000, mark)
    assert cut.count("&lt;") == LONGEST_BODY - 1
    assert cut.endswith("&lt;…")
    assert Mark.in_body(cut) == mark
    assert json.loads(json.dumps(cut)) == cut


def test_the_mark_is_found_in_what_an_editor_makes_of_a_body():
    mark = Mark.of(a_call())
    for body in (
        f"<p>{mark}</p><p>x</p>",
        f"x<br>{str(mark).replace(' ', chr(160))} ",
        f"{mark} [handoff {'a' * 16} {'b' * 8}]",
    ):
        assert Mark.in_body(body) == mark
    assert Mark.in_body("[handoff abc] handoff") is None


def test_a_comment_that_looks_like_a_mark_is_only_a_comment():
    crm = CrmNotes()
    crm.run(STEPS.send(a_call(f"[handoff {'a' * 16} {'b' * 8}]")))
    assert crm.run(STEPS.seen(a_call())) is not None


def test_titles_are_one_line_and_never_empty():
    assert title_of("  Zufriedenheit\n\t2026 ") == "Zufriedenheit 2026"
    assert len(title_of("x" * 1000)) == 250
    crm = CrmNotes()
    call = a_call()
    crm.run(STEPS.send(replace(call, step=call.step.model_copy(update={"title": " "}))))
    assert crm.notes[900]["TITLE"] == "Nach der Antwort"


def test_steps_of_another_vendor_are_refused():
    foreign = replace(a_call(), step=KlickTippTag(step="klicktipp.tag", tag="x"))
    for operation in (STEPS.send, STEPS.seen):
        with pytest.raises(Refused, match="is an Insightly account"):
            Script().run(operation(foreign))
