"""The comparison catches a lost, a doubled and a foreign effect, and excuses what only prepares one."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from handoff.occasion import Occasion
from handoff.rules.rule import Rule
from handoff.rules.steps import InsightlyNote
from launch.comparison import compare
from launch.expectation import Wanted
from launch.traces import is_sure, trace_of, traces

DUE = datetime(2026, 5, 4, 19, 0, tzinfo=UTC)
ANNA = "anna@example.org"
KEY = "0123456789abcdef0123456789abcdef"


def owed(*steps: dict[str, Any], contact: str = ANNA, sure: bool = True, rule_id: str = "r") -> list[Wanted]:
    rule = Rule.model_validate({
        "id": rule_id, "title": "R", "when": {"minutes": 1, "after": "end"}, "who": "attended", "steps": steps,
    })  # fmt: skip
    occasion = Occasion("webinaris", "webinaris_default", "d", "W", {"end": DUE})
    owing = [(step, trace) for step in rule.steps for trace in traces(step, KEY, occasion)]
    return [
        Wanted(rule, occasion, contact, step, trace, DUE, sure and is_sure(step, trace, occasion))
        for step, trace in owing
    ]


def journal(*effects: tuple[str, str, dict[str, Any]], contact: str = ANNA, seconds: float = 1) -> list[dict[str, Any]]:
    at = (DUE + timedelta(seconds=seconds)).timestamp()
    return [
        {"seq": seq, "at": at, "system": system, "action": action, "contact": contact, "detail": detail}
        for seq, (system, action, detail) in enumerate(effects, start=1)
    ]


TAG = {"step": "klicktipp.tag", "tag": "t", "create": True}
TAGGED = ("klicktipp", "tag", {"tag": "t"})
CREATED = ("klicktipp", "contact", {"created": True})
UPDATED = ("klicktipp", "contact", {"created": False})


def test_everything_once_is_exact_and_tells_when() -> None:
    comparison = compare(owed(TAG), journal(TAGGED))
    assert comparison.exact
    assert [at for _, at in comparison.rows] == [DUE + timedelta(seconds=1)]


def test_what_nobody_needed_was_not_expected() -> None:
    wanted = owed(TAG) + owed(TAG, contact="bert@example.org", sure=False)
    comparison = compare(wanted, journal(TAGGED))
    assert (comparison.expected, comparison.delivered, comparison.missing) == (1, 1, [])
    lost = compare(wanted, [])
    assert (lost.expected, lost.delivered, len(lost.missing)) == (1, 0, 1)


def test_a_lost_effect_is_missing() -> None:
    comparison = compare(owed(TAG), [])
    assert [one.trace for one in comparison.missing] == [("klicktipp", "tag", "t")]
    assert not comparison.exact


def test_a_doubled_effect_is_twice() -> None:
    comparison = compare(owed(TAG), journal(TAGGED, TAGGED))
    assert [effect.seq for effect in comparison.twice] == [2]
    assert not comparison.exact


def test_a_foreign_effect_is_unexpected() -> None:
    for foreign in (
        journal(TAGGED, contact="eve@example.org"),
        journal(("klicktipp", "tag", {"tag": "other"})),
        journal(("klicktipp", "untag", {"tag": "t"})),
        journal(("email", "mail", {"message_id": "<handoff.ffff@example.org>"})),
    ):
        comparison = compare([], foreign)
        assert len(comparison.unexpected) == 1
        assert not comparison.exact


def test_an_effect_before_its_moment_is_not_the_one_that_is_owed() -> None:
    comparison = compare(owed(TAG), journal(TAGGED, seconds=-0.1))
    assert len(comparison.missing) == 1
    assert len(comparison.twice) == 1


def test_mails_are_told_apart_by_the_effect_they_carry() -> None:
    step = {"step": "email", "template": "webinar_attended"}
    mail = ("email", "mail", {"message_id": f"<handoff.{KEY}@example.org>", "subject": "Danke"})
    assert compare(owed(step), journal(mail)).exact
    assert len(compare(owed(step), journal(mail, mail)).twice) == 1


def test_a_contact_that_klicktipp_makes_together_with_its_tag_is_a_preparation() -> None:
    assert compare(owed(TAG), journal(CREATED, TAGGED)).exact
    assert not compare(owed(TAG), journal(UPDATED, TAGGED)).exact
    assert not compare(owed(TAG), journal(CREATED, UPDATED, TAGGED)).exact


def test_where_the_rule_itself_makes_the_contact_nothing_is_a_preparation() -> None:
    wanted = owed({"step": "klicktipp.contact"}, TAG)
    assert compare(wanted, journal(CREATED, TAGGED)).exact
    assert compare(wanted, journal(CREATED, TAGGED, UPDATED)).twice
    assert compare(wanted, journal(CREATED, UPDATED, TAGGED)).twice


def test_another_rules_preparation_is_neither_doubled_nor_the_contact_step() -> None:
    other = {"step": "klicktipp.tag", "tag": "o"}
    wanted = owed({"step": "klicktipp.contact"}, TAG) + owed(other, rule_id="other")
    tagged = ("klicktipp", "tag", {"tag": "o"})
    early = journal(CREATED, tagged, seconds=0)
    for entry in early:
        entry["at"] -= 10
    late = [entry | {"seq": entry["seq"] + 2} for entry in journal(UPDATED, TAGGED, tagged)]
    assert compare(wanted, early[:1] + late).missing == []
    assert [one.step.step for one in compare(wanted, early + late[1:]).missing] == ["klicktipp.contact"]


def test_a_contact_step_with_a_tag_of_its_own_is_no_preparation() -> None:
    step = {"step": "klicktipp.contact", "tag": "t"}
    assert compare(owed(step), journal(CREATED, TAGGED)).exact
    assert compare(owed(step), journal(CREATED, TAGGED, UPDATED, TAGGED)).twice


def test_activecampaign_contacts_are_preparations_only_where_a_tag_or_list_is_owed() -> None:
    synced = ("activecampaign", "contact", {"created": True})
    tagged = ("activecampaign", "tag", {"tag": "t"})
    step = {"step": "activecampaign.tag", "tag": "t"}
    assert compare(owed(step), journal(synced, synced, tagged)).exact
    assert compare([], journal(synced)).unexpected
    assert compare(owed({"step": "activecampaign.contact"}), journal(synced, synced)).twice


QUENTN = {"step": "quentn.contact", "fields": {"Termin Beginn": "x", "company": "y"}, "opt_in": "single"}
POSTED = ("quentn", "contact", {"created": True, "fields": {"mail": ANNA, "company": "y"}})
FIELD = ("quentn", "field", {"field": "field_termin_beginn", "label": "Termin Beginn", "value": "x"})
CONFIRMED = ("quentn", "contact", {"created": False, "fields": {}})
NOTED_THERE = ("quentn", "contact", {"created": False, "fields": {"comment": "n"}})
TERM = ("quentn", "tag", {"tag": "Termin gebucht", "tag_id": 12})


def test_a_contact_in_quentn_is_written_once_with_its_fields_and_completed_at_most_once() -> None:
    wanted = owed(QUENTN)
    assert compare(wanted, journal(POSTED, FIELD, CONFIRMED)).exact
    assert compare(wanted, journal(POSTED, FIELD)).exact
    assert len(compare(wanted, journal(POSTED)).missing) == 1
    assert len(compare(wanted, journal(POSTED, FIELD, CONFIRMED, CONFIRMED)).twice) == 1
    assert len(compare(wanted, journal(POSTED, FIELD, POSTED, FIELD)).twice) == 2
    assert len(compare(wanted, journal(POSTED, FIELD, NOTED_THERE)).unexpected) == 1


def test_notes_in_quentn_are_owed_and_the_status_is_set_with_them() -> None:
    wanted = owed(QUENTN | {"notes": "n"})
    assert compare(wanted, journal(POSTED, FIELD, NOTED_THERE)).exact
    assert [one.trace[2] for one in compare(wanted, journal(POSTED, FIELD, CONFIRMED)).missing] == ["notes"]


def test_a_field_in_quentn_may_be_named_by_its_name_in_the_api() -> None:
    for name in ("Termin Beginn", "field_termin_beginn", "termin_beginn"):
        assert compare(owed({"step": "quentn.contact", "fields": {name: "x"}}), journal(POSTED, FIELD)).exact
    other = compare(owed({"step": "quentn.contact", "fields": {"Termin Ende": "x"}}), journal(POSTED, FIELD))
    assert (len(other.missing), len(other.unexpected)) == (1, 1)


def test_terms_and_campaigns_of_quentn_take_place_once() -> None:
    steps = ({"step": "quentn.term", "term": "Termin gebucht"}, {"step": "quentn.campaign", "campaign": 1})
    started = ("quentn", "campaign", {"campaign_id": 1, "campaign": "C", "repeated": False})
    assert compare(owed(*steps), journal(POSTED, TERM, started)).exact
    assert compare(owed(*steps), journal(TERM, started, TERM)).twice
    assert len(compare(owed(*steps), []).missing) == 2
    assert compare([], journal(started)).unexpected
    assert compare(owed({"step": "quentn.unterm", "term": "Termin gebucht"}), []).exact


def test_etermins_pushes_are_its_own_and_nothing_may_be_written_there() -> None:
    assert compare([], journal(("etermin", "push", {"uid": "a", "accepted": True}))).exact
    assert compare([], journal(("etermin", "update_appointment", {"uid": "a"}))).unexpected


NOTED = "Befragung zufriedenheit: 9 von 10"


def note(effect: str, action: str = "note") -> tuple[str, str, dict[str, Any]]:
    body = f"[handoff 0123456789abcdef {effect}]\n\nBewertung: 9"
    return "insightly", action, {"object": "Note", "id": 801, "title": NOTED, "body": body}


def test_a_note_is_known_by_the_effect_that_it_carries_and_is_written_once() -> None:
    wanted = owed({"step": "insightly.note", "link": False})
    carried = hashlib.sha256(KEY.encode()).hexdigest()[:8]
    assert compare(wanted, journal(note(carried))).exact
    assert compare(wanted, journal(note(carried, "update_note"))).exact
    assert len(compare(wanted, journal(note(carried), note(carried))).twice) == 1
    assert len(compare(wanted, journal(note(carried), note(carried, "update_note"))).twice) == 1
    other = compare(wanted, journal(note("ffffffff")))
    assert (len(other.missing), len(other.unexpected)) == (1, 1)


def test_a_notes_link_is_owed_too_and_only_to_its_record() -> None:
    occasion = Occasion("survey", "survey", "1/1", "s", {}, facts={"record": "opportunity/31"})
    step = InsightlyNote(step="insightly.note")
    assert [trace[1:] for trace in traces(step, KEY, occasion)][1] == ("link_note", "opportunity/31")
    linked = journal(("insightly", "link_note", {"to": "Opportunity", "to_id": 31}))
    assert trace_of(linked[0]) == ("insightly", "link_note", "opportunity/31")
    assert compare([], linked).unexpected


def test_nothing_else_may_happen_in_the_crm_but_its_own_webhooks() -> None:
    for action in ("tag", "state", "create", "delete_note"):
        assert compare([], journal(("insightly", action, {"object": "Contact", "id": 101}))).unexpected
    assert compare([], journal(("insightly", "webhook", {"tries": 1, "status": 200}))).exact


def test_what_concerns_no_contact_is_no_effect() -> None:
    entries = journal(("klicktipp", "create_tag", {"tag": "t"}), ("activecampaign", "bulk_import", {}), contact="")
    assert compare([], entries).exact


def test_a_list_may_be_named_by_its_id_and_need_not_be_entered() -> None:
    wanted = owed({"step": "activecampaign.list", "list": "2"}, sure=False)
    assert compare(wanted, []).exact
    entered = ("activecampaign", "list", {"list": "Newsletter", "list_id": 2})
    assert compare(wanted, journal(entered)).delivered == 1
    assert compare(wanted, journal(entered, entered)).twice
