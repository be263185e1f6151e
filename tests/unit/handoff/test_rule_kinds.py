"""Each source has its kind of rule, with its own options, anchors and audience."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from handoff.occasion import Occasion
from handoff.registration import Registration
from handoff.rules.answer import AnswerRule
from handoff.rules.file import RuleFileError, load
from handoff.rules.insightly import InsightlyRule
from handoff.rules.rule import Rule
from handoff.rules.webinar import WebinarRule

CLOSED = datetime(2026, 3, 2, 14, 22, 5, tzinfo=UTC)
TAG = {"step": "klicktipp.tag", "tag": "Kunde"}
WON: dict[str, Any] = {
    "id": "won", "title": "Won", "source": "insightly", "when": {"days": 3, "after": "closed"}, "steps": [TAG],
}  # fmt: skip
ANSWERED: dict[str, Any] = {
    "id": "answer", "title": "Answer", "source": "survey", "when": {"minutes": 10, "after": "answered"}, "steps": [TAG],
}  # fmt: skip


def closed(record: str = "opportunity/31", state: str = "won", *tags: str, **changes: Any) -> Occasion:
    facts: dict[str, object] = {"record": record, "state": state, "tags": list(tags)}
    values: dict[str, Any] = {
        "source": "insightly", "account": "insightly_default", "key": f"{record}/1", "title": record,
        "anchors": {"closed": CLOSED}, "facts": facts,
    }  # fmt: skip
    return Occasion(**(values | changes))


def answer(rating: object = 9, survey: str = "nps", **changes: Any) -> Occasion:
    values: dict[str, Any] = {
        "source": "survey", "account": "survey", "key": "1/1", "title": survey, "series": survey,
        "anchors": {"answered": CLOSED}, "facts": {"rating": rating},
    }  # fmt: skip
    return Occasion(**(values | changes))


def test_the_source_decides_the_kind() -> None:
    webinar = {"id": "w", "title": "W", "who": "online", "when": {"minutes": 1, "after": "start"}, "steps": [TAG]}
    assert type(Rule.model_validate(webinar)) is WebinarRule
    assert type(Rule.model_validate(webinar | {"source": "webinaris"})) is WebinarRule
    assert type(Rule.model_validate(WON)) is InsightlyRule
    assert type(Rule.model_validate(ANSWERED)) is AnswerRule


@pytest.mark.parametrize("spec", [WON, ANSWERED])
def test_what_is_dumped_is_the_same_rule_again(spec: dict[str, Any]) -> None:
    rule = Rule.model_validate(spec)
    again = Rule.model_validate_json(rule.model_dump_json())
    assert (again, again.spec_hash) == (rule, rule.spec_hash)


@pytest.mark.parametrize(
    ("options", "record", "state", "expected"),
    [
        ({}, "opportunity/31", "won", True),
        ({}, "opportunity/31", "lost", False),
        ({}, "project/7", "completed", True),
        ({}, "project/7", "cancelled", False),
        ({"opportunities": []}, "opportunity/31", "won", False),
        ({"projects": []}, "project/7", "completed", False),
        ({"opportunities": ["won", "lost"]}, "opportunity/31", "lost", True),
        ({"projects": ["completed", "cancelled"]}, "project/7", "cancelled", True),
    ],
)
def test_which_records_are_waited_for(options: dict[str, Any], record: str, state: str, expected: bool) -> None:
    assert Rule.model_validate(WON | options).matches(closed(record, state)) is expected


TAGS = st.sampled_from(["callexa", "Callexa", "kein Umfrage", "Größe", "GRÖSSE"])


@given(st.lists(TAGS, max_size=3), TAGS, TAGS)
def test_a_tag_must_be_there_or_must_not(tags: list[str], present: str, absent: str) -> None:
    has = {tag.casefold() for tag in tags}
    occasion = closed("opportunity/31", "won", *tags)
    assert Rule.model_validate(WON | {"tag": present}).matches(occasion) is (present.casefold() in has)
    assert Rule.model_validate(WON | {"without_tag": absent}).matches(occasion) is (absent.casefold() not in has)


def test_another_account_or_source_is_not_meant() -> None:
    rule = Rule.model_validate(WON)
    assert not rule.matches(closed(account="insightly_other"))
    assert not rule.matches(closed(source="manual"))


@pytest.mark.parametrize("rating", range(11))
def test_ratings_from_and_to(rating: int) -> None:
    detractors = Rule.model_validate(ANSWERED | {"rating_to": 6})
    promoters = Rule.model_validate(ANSWERED | {"rating_from": 9})
    assert detractors.matches(answer(rating)) is (rating <= 6)
    assert promoters.matches(answer(rating)) is (rating >= 9)
    assert not Rule.model_validate(ANSWERED | {"surveys": ["other"]}).matches(answer(rating))


APPOINTMENT: dict[str, Any] = {
    "id": "appointment", "title": "Appointment", "source": "etermin", "when": {"days": 1, "before": "start"},
    "steps": [TAG],
}  # fmt: skip


def appointment(event: str = "created", **facts: object) -> Occasion:
    own = {"created": "booked"}.get(event, event)
    return Occasion(
        "etermin", "etermin_default", "uid", "Appointment (Termin)", {own: CLOSED, "start": CLOSED, "end": CLOSED},
        facts={"event": event, "calendar": "7", "calendar_name": "Beratung Süd"} | facts,
    )  # fmt: skip


@pytest.mark.parametrize("anchor", ["booked", "start", "end", "modified", "deleted"])
@pytest.mark.parametrize("event", ["created", "modified", "deleted"])
def test_what_happened_to_an_appointment_is_said_by_the_anchor(anchor: str, event: str) -> None:
    rule = Rule.model_validate(APPOINTMENT | {"when": {"minutes": 0, "after": anchor}})
    meant = {"modified": "modified", "deleted": "deleted"}.get(anchor, "created")
    assert rule.matches(appointment(event)) is (event == meant)


@pytest.mark.parametrize(
    ("calendars", "expected"), [([], True), (["beratung süd"], True), (["7"], True), (["8", "Beratung"], False)]
)
def test_a_calendar_is_named_by_name_or_id(calendars: list[str], expected: bool) -> None:
    assert Rule.model_validate(APPOINTMENT | {"calendars": calendars}).matches(appointment()) is expected


@pytest.mark.parametrize(("ticked", "expected"), [(True, True), (False, False), (None, False)])
def test_only_those_who_ticked_the_box(ticked: bool | None, expected: bool) -> None:
    person = Registration("uid", "eva@example.org", CLOSED)
    occasion = appointment(newsletter=ticked) if ticked is not None else appointment()
    everybody = Rule.model_validate(APPOINTMENT).judge(person, CLOSED, occasion)
    assert (everybody.included, everybody.reason) == (True, "customer")
    found = Rule.model_validate(APPOINTMENT | {"newsletter_only": True}).judge(person, CLOSED, occasion)
    assert (found.included, found.reason) == (expected, "customer" if expected else "no_newsletter")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"confirmed": True}, True), ({}, True), ({"confirmed": False}, False), ({"announced": True}, False),
        ({"announced": True, "confirmed": True}, True), ({"announced": True, "confirmed": False}, False),
    ],
)  # fmt: skip
def test_only_what_the_provider_has_confirmed(facts: dict[str, object], expected: bool) -> None:
    waiting = Rule.model_validate(APPOINTMENT | {"confirmed_only": True})
    assert waiting.matches(appointment(**facts)) is expected
    assert Rule.model_validate(APPOINTMENT).matches(appointment(**facts))
    assert "once it is confirmed" in waiting.audience()


def test_the_option_to_wait_for_a_confirmation_makes_no_new_version_of_other_rules() -> None:
    plain, given = (Rule.model_validate(APPOINTMENT | more) for more in ({}, {"confirmed_only": False}))
    assert "confirmed_only" not in plain.model_dump()
    assert plain.spec_hash == given.spec_hash != Rule.model_validate(APPOINTMENT | {"confirmed_only": True}).spec_hash


def test_everybody_listed_is_judged_in() -> None:
    person = Registration("55", "eva@example.org", CLOSED)
    for spec, occasion, reason in ((WON, closed(), "attached"), (ANSWERED, answer(), "answered")):
        found = Rule.model_validate(spec).judge(person, CLOSED, occasion)
        assert (found.included, found.reason) == (True, reason)
        assert found.facts["moment"] == CLOSED.isoformat()


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"source": "insigtly"}, "source", "did you mean: insightly"),
        ({"when": {"days": 3, "after": "end"}}, "when", "end is no moment of the source insightly"),
        ({"webinars": ["7"]}, "webinars", 'unknown field "webinars"'),
        ({"opportunities": ["gewonnen"]}, "opportunities[0]", 'unknown value "gewonnen"'),
        ({"opportunities": [], "projects": []}, "opportunities", "neither opportunities nor projects"),
        ({"tag": "callexa", "without_tag": "Callexa"}, "without_tag", "the same tag must be there and must not"),
        ({"purpose": "survey"}, "purpose", "names no legal basis"),
        ({"when": {"days": 3, "after": "closed", "holidays": "BY"}}, "when", "no working days are counted"),
    ],
)
def test_a_wrong_option_is_named(tmp_path: Path, changes: dict[str, Any], field: str, words: str) -> None:
    path = tmp_path / "won.yaml"
    path.write_text(json.dumps(WON | changes), encoding="utf-8")
    with pytest.raises(RuleFileError) as caught:
        load(path)
    [problem] = caught.value.problems
    assert problem.field == field
    assert words in str(problem)


def test_a_survey_is_never_service() -> None:
    survey = {"step": "survey", "survey": "nps"}
    with pytest.raises(ValidationError, match="cannot be sent as service"):
        Rule.model_validate(WON | {"steps": [survey]})
    rule = Rule.model_validate(WON | {"steps": [survey], "purpose": "survey", "legal_basis": "existing_customer"})
    assert rule.purpose == "survey"
