"""Quentn's steps: once for each contact, whatever is lost on the way, and never for somebody who unsubscribed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from handoff.contact import Contact, normalise_email
from handoff.errors import Refused, Transient, UnknownOutcome
from handoff.rules.steps import KlickTippTag, QuentnCampaign, QuentnContact, QuentnTerm, QuentnUnterm, Step
from hooks.protocols.quentn_notes import LONGEST, NoteBlock
from tests.support.calls import EVA, a_call
from tests.support.conversation import Script, answer
from tests.support.quentn_account import DOUBLE, SINGLE, TEMPORARY, UNKNOWN, QuentnAccount, call_of

GONE = 6
TERM = QuentnTerm(step="quentn.term", term="Grün", create=True)
UNTERM = QuentnUnterm(step="quentn.unterm", term="Grün")
CAMPAIGN = QuentnCampaign(step="quentn.campaign", campaign=42)
NOTE = "Bitte Süßes 🍬\nkein Kaffee"


def a_contact_step(**changes: Any) -> QuentnContact:
    return QuentnContact.model_validate({"step": "quentn.contact", **changes})


FULL = a_contact_step(
    fields={"Terminbeginn": "{{ occasion.start | iso }}", "company": "Örtel"}, notes=NOTE, opt_in="single"
)


@pytest.fixture
def account() -> QuentnAccount:
    return QuentnAccount()


@pytest.mark.parametrize("hidden", [set(), {"mail_status", "terms", "comment"}])
def test_a_new_contact_gets_fields_notes_and_the_single_opt_in(account: QuentnAccount, hidden: set[str]) -> None:
    account.hidden = hidden
    assert account.seen(FULL) is None
    assert account.send(FULL) == {"contact_id": 7}
    (stored,) = account.contacts.values()
    assert stored["mail_status"] == SINGLE
    assert (stored["first_name"], stored["family_name"], stored["company"]) == ("Eva", "Öztürk", "Örtel")
    assert stored["field_start"] == "2026-11-20 19:00:00"
    assert NOTE in stored["comment"]
    assert account.changes() == [("POST", "/contact"), ("PUT", "/contact/7")]
    assert account.seen(FULL) == {"contact_id": 7}
    account.send(FULL)
    assert account.changes()[2:] == [("POST", "/contact")]


def test_without_the_option_the_status_is_left_to_quentn(account: QuentnAccount) -> None:
    account.send(a_contact_step())
    assert account.contacts[7]["mail_status"] == UNKNOWN
    assert account.changes() == [("POST", "/contact")]
    assert len(account.asked) == QuentnContact.requests


@pytest.mark.parametrize("status", [SINGLE, DOUBLE, TEMPORARY])
def test_a_known_status_is_never_changed(account: QuentnAccount, status: int) -> None:
    account.add(status)
    account.send(FULL)
    assert account.contacts[7]["mail_status"] == status
    assert account.seen(FULL) == {"contact_id": 7}


@pytest.mark.parametrize("step", [FULL, TERM, CAMPAIGN], ids=lambda step: step.step)
@pytest.mark.parametrize("status", [GONE, 4, 99, str(GONE)])
def test_nothing_is_done_with_somebody_who_unsubscribed(account: QuentnAccount, step: Step, status: Any) -> None:
    account.add(DOUBLE)
    account.add(status)
    account.terms[20] = "Grün"
    with pytest.raises(Refused, match=rf"unsubscribed.*abgemeldet.*mail_status {status}.*double opt-in"):
        account.send(step)
    assert account.changes() == []


@pytest.mark.parametrize("step", [FULL, TERM, CAMPAIGN], ids=lambda step: step.step)
def test_somebody_whose_contact_was_deleted_after_unsubscribing_stays_unsubscribed(
    account: QuentnAccount, step: Step
) -> None:
    account.remembers[EVA.email] = GONE
    for _ in range(2):
        with pytest.raises(Refused, match="unsubscribed"):
            account.send(step)
    assert [one["mail_status"] for one in account.contacts.values()] == [GONE]
    assert account.contacts[7]["terms"] == []
    assert account.started == []
    assert account.seen(FULL) is None


@pytest.mark.parametrize("status", [None, "", "abgemeldet"])
def test_a_status_that_is_no_number_is_not_guessed(account: QuentnAccount, status: Any) -> None:
    account.add(status)
    with pytest.raises(Refused, match="without a number as its mail_status"):
        account.send(TERM)
    assert [path for _, path in account.changes() if "contact" in path] == []


@pytest.mark.parametrize("lost", [("POST", "/contact"), ("PUT", "/contact/7")])
def test_a_lost_answer_is_settled_by_reading(account: QuentnAccount, lost: tuple[str, str]) -> None:
    account.lose = [lost]
    with pytest.raises(UnknownOutcome):
        account.send(FULL)
    if lost[0] == "POST":
        # The contact is there, its status and notes are not yet: that is not the whole effect.
        assert account.seen(FULL) is None
        assert account.send(FULL) == {"contact_id": 7}
    assert account.seen(FULL) == {"contact_id": 7}
    assert account.contacts[7]["comment"].count(NOTE) == 1


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({}, True),
        ({"field_start": "20.11.2026 19:00"}, True),
        ({"field_start": "2026-11-20 20:00:00"}, False),
        ({"company": None}, False),
        ({"comment": ""}, False),
        ({"mail_status": UNKNOWN}, False),
        ({"mail_status": GONE}, False),
    ],
)
def test_a_contact_is_seen_when_everything_is_kept(account: QuentnAccount, changes: dict[str, Any], seen: bool) -> None:
    account.send(FULL)
    account.contacts[7].update(changes)
    assert (account.seen(FULL) is not None) is seen


def test_merge_add_leaves_what_was_there_and_is_seen_all_the_same(account: QuentnAccount) -> None:
    account.add(DOUBLE, company="Alt", first_name="Evi")
    step = a_contact_step(merge="add", fields={"company": "Neu", "job_title": "Chefin"})
    account.send(step)
    assert account.asked[-1].json["duplicate_merge_method"] == "add"
    assert (account.contacts[7]["company"], account.contacts[7]["job_title"]) == ("Alt", "Chefin")
    assert account.seen(step) == {"contact_id": 7}
    account.contacts[7]["job_title"] = ""
    assert account.seen(step) is None


def test_notes_of_people_stay_and_ours_are_replaced(account: QuentnAccount) -> None:
    account.add(DOUBLE, comment="Ruft gern an.\r\n")
    account.send(FULL)
    later = a_contact_step(notes="Doch Kaffee")
    account.contacts[7]["comment"] += "\nGezeichnet: Büro"
    account.send(later)
    mark = NoteBlock.of(call_of(later), "x").mark
    assert account.contacts[7]["comment"] == (
        f"Ruft gern an.\n\n[handoff {mark}]\nDoch Kaffee\n[/handoff {mark}]\nGezeichnet: Büro"
    )
    before = account.contacts[7]["comment"]
    account.send(a_contact_step(notes="  \n"))
    assert account.contacts[7]["comment"] == before


def test_an_appointment_has_one_block_however_often_it_changes() -> None:
    about = {"appointment": "a1"}
    booked, moved, other = (
        NoteBlock.of(replace(call, occasion=replace(call.occasion, key=key, facts=facts)), "x").mark
        for call in [call_of(FULL)]
        for key, facts in (("a1", about), ("a1/modified/1", about), ("a2", {"appointment": "a2"}))
    )
    assert booked == moved != other


def test_a_contact_that_is_not_there_is_made_only_if_asked(account: QuentnAccount) -> None:
    step = a_contact_step(create=False, fields={"company": "", "Terminbeginn": ""})
    assert account.seen(step) == account.send(step) == {}
    assert (account.contacts, account.changes()) == ({}, [])
    account.add(DOUBLE, company="Örtel", field_start="2026-11-20 19:00:00")
    assert account.seen(step) is None
    account.send(step)
    assert (account.contacts[7]["company"], account.contacts[7]["field_start"]) == ("", "")
    assert account.seen(step) == {"contact_id": 7}
    account.contacts[7].update(company=None, field_start=None)
    assert account.seen(step) == {"contact_id": 7}


def test_a_note_cannot_break_out_of_its_block_and_is_cut() -> None:
    call = call_of(FULL)
    mark = NoteBlock.of(call, "x").mark
    sly = NoteBlock.of(call, f"a [/handoff {mark}] b \x00")
    assert sly.text == f"a (/handoff {mark}] b"
    assert NoteBlock.of(call, "neu").put_into(sly.put_into("")) == str(NoteBlock.of(call, "neu"))
    assert len(NoteBlock.of(call, "ä" * (LONGEST + 5)).text) == LONGEST
    assert str(NoteBlock.of(call, "x")) in NoteBlock.of(call, "x").put_into(f"[handoff {mark}] cut off by hand")


def test_a_term_is_created_and_given_to_a_new_contact(account: QuentnAccount) -> None:
    assert account.send(TERM) == {"contact_id": 7, "term_id": 20}
    assert account.changes() == [("POST", "/terms"), ("POST", "/contact"), ("PUT", "/contact/7/terms")]
    assert account.contacts[7] | {"terms": [20], "first_name": "Eva"} == account.contacts[7]
    assert account.seen(TERM) == {"contact_id": 7, "term_id": 20}


def test_a_term_goes_however_the_domain_of_the_address_is_shown() -> None:
    call = a_call(UNTERM, Contact(normalise_email("eva@xn--mller-kva.de")))
    shown = {"id": 7, "mail": "Eva@xn--mller-kva.de", "terms": [12]}
    script = Script(answer([{"id": 12, "name": "Grün"}]), answer([]), answer([shown]), answer({"success": True}))
    steps = QuentnAccount.another()
    assert script.run(steps.send(call)) == {"term_id": 12}
    assert (script.asked[-1], script.requests[-1].json) == (("DELETE", "/contact/7/terms"), [12])
    assert Script(answer([shown])).run(steps.seen(call)) is None


def test_two_workers_make_one_term(account: QuentnAccount) -> None:
    account.add(terms=[3])
    account.send(TERM)
    account.steps = account.another()
    account.send(QuentnTerm(step="quentn.term", term="GRÜN", create=True))
    assert list(account.terms.values()) == ["Grün"]
    assert account.contacts[7]["terms"] == [3, 20]
    assert account.changes().count(("PUT", "/contact/7/terms")) == 1


def test_a_term_for_a_known_contact_is_one_look_and_one_change(account: QuentnAccount) -> None:
    account.terms[20] = "grün"
    account.add()
    account.run(account.steps.prepare(TERM))
    account.asked.clear()
    account.send(TERM)
    assert len(account.asked) == QuentnTerm.requests


def test_the_contact_of_an_earlier_step_is_meant_else_the_oldest(account: QuentnAccount) -> None:
    for _ in range(2):
        account.add()
    assert account.send(TERM, contact_id=8)["contact_id"] == 8
    assert account.send(TERM, contact_id=99)["contact_id"] == 7
    account.send(UNTERM)
    assert [one["terms"] for one in account.contacts.values()] == [[], []]


def test_lost_terms_are_settled_by_reading(account: QuentnAccount) -> None:
    account.lose = [("PUT", "/terms")]
    with pytest.raises(UnknownOutcome):
        account.send(TERM)
    assert account.seen(TERM) == {"contact_id": 7, "term_id": 20}
    assert account.seen(UNTERM) is None
    account.lose = [("DELETE", "/terms")]
    with pytest.raises(UnknownOutcome):
        account.send(UNTERM)
    assert account.seen(UNTERM) == {"term_id": 20}
    assert account.seen(TERM) is None


@pytest.mark.parametrize("step", [TERM, CAMPAIGN], ids=lambda step: step.step)
def test_a_contact_whose_creation_was_lost_leaves_the_step_itself_untried(account: QuentnAccount, step: Step) -> None:
    account.lose = [("POST", "/contact")]
    with pytest.raises(Transient):
        account.send(step)
    account.send(step)
    assert len(account.contacts) == 1
    assert len(account.started) == (step is CAMPAIGN)


def test_a_term_is_removed_also_from_somebody_who_unsubscribed(account: QuentnAccount) -> None:
    account.terms[20] = "Grün"
    assert account.send(UNTERM) == {"term_id": 20}
    account.add(GONE, terms=[3, 20])
    assert account.send(UNTERM) == {"term_id": 20}
    assert account.contacts[7]["terms"] == [3]
    with pytest.raises(Refused, match="no term called 'Rot'"):
        account.send(QuentnUnterm(step="quentn.unterm", term="Rot"))
    assert account.seen(QuentnTerm(step="quentn.term", term="Rot")) is None


def test_terms_that_are_not_shown_prove_nothing(account: QuentnAccount) -> None:
    account.terms[20] = "Grün"
    account.add(terms=None)
    for operation in (account.seen, account.send):
        with pytest.raises(Transient, match="without the ids of its terms"):
            operation(UNTERM)


def test_a_campaign_is_started_once_and_cannot_be_read(account: QuentnAccount) -> None:
    assert account.send(CAMPAIGN) == {"contact_id": 7, "campaign_id": 42}
    assert account.started == [{"mail": EVA.email, "first_name": "Eva", "family_name": "Öztürk"}]
    account.lose = [("POST", "/cb/42")]
    with pytest.raises(UnknownOutcome):
        account.send(CAMPAIGN)
    with pytest.raises(UnknownOutcome, match="does not tell whether a campaign was started"):
        account.seen(CAMPAIGN)
    assert not CAMPAIGN.readable
    assert TERM.readable


def test_names_that_the_source_does_not_know_are_not_overwritten(account: QuentnAccount) -> None:
    account.add(first_name="Eva")
    account.run(account.steps.send(a_call(a_contact_step(), Contact(EVA.email))))
    assert account.contacts[7]["first_name"] == "Eva"
    assert account.asked[-1].json["contact"] == {"mail": EVA.email}


def test_steps_of_another_vendor_are_refused(account: QuentnAccount) -> None:
    for operation in (account.send, account.seen):
        with pytest.raises(Refused, match="is a Quentn account"):
            operation(KlickTippTag(step="klicktipp.tag", tag="x"))
