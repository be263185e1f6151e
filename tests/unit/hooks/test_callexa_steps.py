"""The step callexa.recipient: nobody is asked twice, and what was done is found again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from handoff.contact import Contact, normalise_email
from handoff.errors import Refused, Transient
from handoff.rules.steps import CallexaRecipient, KlickTippTag
from hooks.callexa_steps import CallexaSteps
from hooks.protocols.callexa_assumed import CallexaProtocol
from tests.support.calls import a_call
from tests.support.conversation import Script, answer

EVA = "eva@example.org"
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SURVEYS = answer({"surveys": [{"id": "s1", "name": "Projekt"}]})
NOBODY = answer({"recipients": []})
CREATED = answer({"id": "r9", "state": "queued", "send_at": "2026-11-23T09:00:00Z"}, 201)
STEP = CallexaRecipient(step="callexa.recipient", survey="Projekt", delay_days=3)
CALL = a_call(STEP)
OURS = CALL.key[:32]
PATH = "/api/v2/surveys/s1/recipients"


def listed(**values):
    entry = {"id": "r1", "email": EVA, "external_id": "other", "state": "sent", "queued_at": NOW.isoformat()} | values
    return answer({"recipients": [{key: value for key, value in entry.items() if value is not ...}]})


def ago(**span):
    return (NOW - timedelta(**span)).isoformat()


@pytest.fixture
def steps() -> CallexaSteps:
    return CallexaSteps(CallexaProtocol("cx", "owner@example.com", "key", now=lambda: NOW))


def test_the_queue_is_read_before_somebody_is_put_into_it(steps):
    script = Script(SURVEYS, NOBODY, CREATED)
    assert script.run(steps.send(CALL)) == {
        "survey_id": "s1", "recipient_id": "r9", "state": "queued", "send_at": "2026-11-23T09:00:00Z",
    }  # fmt: skip
    assert script.asked == [("GET", "/api/v2/surveys"), ("GET", PATH), ("POST", PATH)]
    assert script.requests[1].query == {"email": EVA}
    assert script.requests[2].json == {"email": EVA, "name": "Eva Öztürk", "external_id": OURS, "delay_days": 3}
    assert len(OURS) == 32


def test_who_was_asked_lately_is_known_however_the_domain_is_shown(steps):
    call = a_call(STEP, Contact(normalise_email("eva@xn--mller-kva.de")))
    script = Script(SURVEYS, listed(email="Eva@xn--mller-kva.de", queued_at=ago(weeks=1)))
    assert script.run(steps.send(call))["state"] == "skipped"


def test_what_callexa_leaves_out_itself_is_a_proof_too(steps):
    skipped = answer({"id": "r1", "state": "skipped", "reason": "asked_recently"})
    proof = Script(SURVEYS, NOBODY, skipped).run(steps.send(CALL))
    assert proof == {"survey_id": "s1", "recipient_id": "r1", "state": "skipped", "reason": "asked_recently"}


@pytest.mark.parametrize(
    "recent",
    [
        {"queued_at": ago(weeks=25)},
        {"queued_at": ago(weeks=26, seconds=-1)},
        {"queued_at": ago(days=-2)},
        {"state": "answered"},
        {"state": "queued", "queued_at": ago(weeks=300)},
        {"state": "Queued", "queued_at": ago(weeks=300)},
        {"queued_at": "gestern"},
        {"queued_at": ...},
        {"email": "EVA@Example.org"},
        {"email": ...},
        {"external_id": ...},
    ],
)
def test_who_was_asked_within_the_distance_or_waits_is_left_out_without_an_error(steps, recent):
    script = Script(SURVEYS, listed(**recent))
    proof = script.run(steps.send(CALL))
    assert (proof["state"], proof["reason"], proof["recipient_id"]) == ("skipped", "asked_recently", "r1")
    assert not any(request.changes for request in script.requests)
    assert EVA not in str(proof)


@pytest.mark.parametrize(
    "entry",
    [
        {"queued_at": ago(weeks=26)},
        {"queued_at": ago(weeks=40)},
        {"state": "skipped"},
        {"email": "adam@example.org"},
    ],
)
def test_who_was_asked_long_ago_or_never_is_asked(steps, entry):
    script = Script(SURVEYS, listed(**entry), CREATED)
    assert script.run(steps.send(CALL))["recipient_id"] == "r9"


def test_without_a_distance_only_callexas_own_counts(steps):
    call = a_call(STEP.model_copy(update={"at_least_weeks_apart": 0, "delay_days": 0}), Contact(EVA))
    script = Script(SURVEYS, listed(state="queued"), CREATED)
    assert script.run(steps.send(call))["state"] == "queued"
    assert script.requests[-1].json == {"email": EVA, "name": "", "external_id": OURS}


def test_the_delay_has_a_least_and_a_most(steps):
    asked = CallexaRecipient.model_validate({
        "step": "callexa.recipient",
        "survey": "Projekt",
        "delay_days": 3,
        "at_most_days": 14,
    })
    script = Script(SURVEYS, NOBODY, CREATED)
    script.run(steps.send(a_call(asked)))
    sent = script.requests[2].json
    assert (sent["delay_days"], sent["max_delay_days"]) == (3, 14)


def test_a_step_without_a_most_is_written_as_before():
    assert "at_most_days" not in STEP.model_dump()


@pytest.mark.parametrize("weeks", [0, 26])
def test_what_is_there_already_is_not_sent_again(steps, weeks):
    call = a_call(STEP.model_copy(update={"at_least_weeks_apart": weeks}))
    script = Script(SURVEYS, listed(external_id=OURS, state="queued"))
    assert script.run(steps.send(call)) == {
        "survey_id": "s1", "recipient_id": "r1", "state": "queued", "queued_at": NOW.isoformat(),
    }  # fmt: skip


def test_our_entry_is_seen_by_its_external_id(steps):
    script = Script(SURVEYS, listed(external_id=OURS))
    proof = script.run(steps.seen(CALL))
    assert proof == {"survey_id": "s1", "recipient_id": "r1", "state": "sent", "queued_at": NOW.isoformat()}
    assert not any(request.changes for request in script.requests)


@pytest.mark.parametrize(
    "reply", [NOBODY, listed(), listed(external_id=None), listed(email="x@y.org", external_id=...)]
)
def test_entries_of_others_are_not_ours(steps, reply):
    assert Script(SURVEYS, reply).run(steps.seen(CALL)) is None


def test_entries_without_external_ids_prove_nothing(steps):
    with pytest.raises(Transient, match="see field_external_id"):
        Script(SURVEYS, listed(external_id=...)).run(steps.seen(CALL))


def test_a_survey_that_the_account_does_not_have(steps):
    call = a_call(STEP.model_copy(update={"survey": "Projekte"}))
    with pytest.raises(Refused, match="did you mean 'Projekt'"):
        Script(SURVEYS).run(steps.send(call))
    assert Script().run(steps.seen(call)) is None


def test_steps_of_another_vendor_are_refused(steps):
    foreign = a_call(KlickTippTag(step="klicktipp.tag", tag="x"))
    for operation in (steps.send, steps.seen):
        with pytest.raises(Refused, match="is a Callexa account"):
            Script().run(operation(foreign))


@pytest.mark.parametrize(
    "wrong",
    [
        {"survey": ""},
        {"at_least_weeks_apart": -1},
        {"delay_days": "3"},
        {"delay_days": 400},
        {"at_most_days": 400},
        {"delay_days": 3, "at_most_days": 2},
    ],
)
def test_options_that_cannot_be(wrong):
    with pytest.raises(ValidationError):
        CallexaRecipient.model_validate({"step": "callexa.recipient", "survey": "x", **wrong})
