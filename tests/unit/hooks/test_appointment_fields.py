"""An appointment's start and end in the date fields of KlickTipp and ActiveCampaign, as each wants them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from handoff.contact import Contact
from handoff.delivery.desk import rendered
from handoff.occasion import Occasion
from handoff.rules.steps import ActiveCampaignContact, KlickTippContact, Step
from handoff.target import Call
from handoff.texts.templates import RuleFacts, variables_of
from hooks.protocols.activecampaign import ActiveCampaignProtocol
from hooks.protocols.activecampaign_steps import ActiveCampaignSteps
from hooks.protocols.klicktipp import KlickTippProtocol
from hooks.protocols.klicktipp_session import KeyPair
from hooks.protocols.klicktipp_steps import KlickTippSteps
from tests.support.conversation import Script, answer

START = datetime(2026, 5, 10, 8, tzinfo=UTC)
EVA = Contact("eva@example.org", timezone="America/New_York")


def call_of(step: Step) -> Call:
    anchors = {"start": START, "end": START + timedelta(minutes=30)}
    occasion = Occasion("etermin", "etermin_default", "a1", "Beratung", anchors, timezone="Europe/Zurich")
    return Call("key", rendered(step, variables_of(EVA, occasion, RuleFacts())), EVA, occasion)


def test_klicktipp_takes_unix_seconds() -> None:
    steps = KlickTippSteps(KlickTippProtocol("klick", KeyPair("demo", "0a1b2c", "customer")))
    fields = {"Beginn": "{{ occasion.start | unix }}", "Ende": "{{ occasion.end | unix }}"}
    call = call_of(KlickTippContact(step="klicktipp.contact", fields=fields))
    labels = answer({"field1": "Beginn", "field2": "Ende"})
    kept = {"id": "7", "field1": "1778400000", "field2": "1778401800"}
    script = Script(answer(["Diesen Kontakt gibt es nicht."], 404), labels, answer(kept))
    script.run(steps.send(call))
    assert script.requests[-1].json["fields"] == {"field1": "1778400000", "field2": "1778401800"}
    assert Script(answer([7]), answer(kept)).run(steps.seen(call)) == {"contact_id": 7}
    assert Script(answer([7]), answer(kept | {"field2": "1778401801"})).run(steps.seen(call)) is None


@pytest.mark.parametrize(
    ("kept", "seen"),
    [
        ("2026-05-10T10:00:00+02:00", True),
        ("2026-05-10T03:00:00-05:00", True),
        ("2026-05-10T08:00:00Z", True),
        ("2026-05-10T10:00:00-05:00", False),
        ("2026-05-10T10:00:00", False),
        ("soon", False),
    ],
)
def test_activecampaign_takes_iso_8601_and_may_show_it_in_its_own_zone(kept: str, seen: bool) -> None:
    steps = ActiveCampaignSteps(ActiveCampaignProtocol("active", "token"))
    fields = {"Beginn": "{{ occasion.start | iso }}", "Tag": "{{ occasion.end | datetime('%Y-%m-%d') }}"}
    call = call_of(ActiveCampaignContact(step="activecampaign.contact", fields=fields))
    titles = answer({"fields": [{"id": "1", "title": "Beginn"}, {"id": "2", "title": "Tag"}]})
    script = Script(titles, answer({"contact": {"id": "10"}}))
    script.run(steps.send(call))
    assert script.requests[-1].json["contact"]["fieldValues"] == [
        {"field": "1", "value": "2026-05-10T10:00:00+02:00"},
        {"field": "2", "value": "2026-05-10"},
    ]
    values = [{"id": "14", "field": "1", "value": kept}, {"id": "15", "field": "2", "value": "2026-05-10"}]
    found = answer({"contacts": [{"id": "10", "email": EVA.email}]})
    shown = answer({"contact": {"id": "10"}, "fieldValues": values})
    assert (Script(found, shown).run(steps.seen(call)) is not None) is seen
