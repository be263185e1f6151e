"""What is owed because of the CRM's records, and because of an answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from handoff.rules.file import load_folder
from handoff.rules.rule import Rule
from launch.answers import true_answer
from launch.customer import Answered
from launch.expectation import Wanted, expected
from launch.notices import customers
from launch.records import true_closings
from launch.settings import CHECKOUT
from launch.world import true_occasions
from sandbox.scenario import Scenario, load_scenario
from sandbox.scenario_callexa import ReplyModel

BEGAN = 1_790_000_000.5
ANNA, BERND = "anna@example.org", "bernd@example.org"


def rule(**values: Any) -> Rule:
    given = {
        "id": "survey", "title": "S", "source": "insightly", "when": {"minutes": 0, "after": "closed"},
        "purpose": "survey", "legal_basis": "existing_customer", "steps": [{"step": "survey", "survey": "s"}],
    }  # fmt: skip
    return Rule.model_validate(given | values)


def world(*opportunities: dict[str, Any], projects: tuple[dict[str, Any], ...] = ()) -> Scenario:
    people = [{"id": 1, "email": ANNA}, {"id": 2, "email": BERND}, {"id": 3}]
    records = [{"id": 10 + number, "name": "O", "created": "-40d"} | one for number, one in enumerate(opportunities)]
    more = [{"id": 30 + number, "name": "P", "created": "-40d"} | one for number, one in enumerate(projects)]
    return Scenario.model_validate({"insightly": {"contacts": people, "opportunities": records, "projects": more}})


def owed(scenario: Scenario, *rules: Rule) -> list[Wanted]:
    return expected(rules, true_closings(scenario, BEGAN), customers(scenario))


def won(at: float | str = 5, *contacts: int, **values: Any) -> dict[str, Any]:
    return {"contacts": contacts or (1,), "states": [{"at": at, "state": "Won"}]} | values


def moment(offset: float) -> datetime:
    return datetime.fromtimestamp(int(BEGAN), UTC) + timedelta(seconds=offset)


def test_the_contacts_of_a_won_opportunity_are_owed_a_mail_at_the_second_when_it_was_won() -> None:
    wanted = owed(world(won(5, 1, 2)), rule())
    assert [(one.contact, one.trace[:2], one.due_at) for one in wanted] == [
        (ANNA, ("email", "mail"), moment(5)), (BERND, ("email", "mail"), moment(5)),
    ]  # fmt: skip
    assert {one.occasion.key for one in wanted} == {"opportunity/10/1"}


def test_nobody_or_nobody_with_an_address_is_owed_nothing() -> None:
    assert owed(world(won(5, 3), won(5, contacts=())), rule()) == []


@pytest.mark.parametrize(("at", "heard"), [("-30d", 0), ("-61m", 0), ("-59m", 1)])
def test_what_was_won_long_before_the_world_began_is_history(at: str, heard: int) -> None:
    assert len(owed(world(won(at)), rule())) == heard


@pytest.mark.parametrize(("before", "reopened", "number"), [("-30d", 2, 1), ("-50m", "-40m", 1), ("-50m", 2, 2)])
def test_closings_are_counted_from_the_first_that_was_heard(before: str, reopened: float | str, number: int) -> None:
    states = [{"at": before, "state": "WON"}, {"at": reopened, "state": "OPEN"}, {"at": 9, "state": "WON"}]
    always = rule(steps=[{"step": "survey", "survey": "s", "at_least_weeks_apart": 0}])
    last = owed(world({"contacts": [1], "states": states}), always)[-1]
    assert (last.occasion.key, last.due_at) == (f"opportunity/10/{number}", moment(9))


def test_which_states_and_tags_count_is_the_rules_to_say() -> None:
    lost = {"contacts": [1], "states": [{"at": 5, "state": "LOST"}], "tags": ["Callexa"]}
    completed = {"contacts": [2], "states": [{"at": 5, "state": "Completed"}]}
    scenario = world(lost, projects=(completed,))
    assert [one.contact for one in owed(scenario, rule())] == [BERND]
    assert [one.contact for one in owed(scenario, rule(opportunities=["lost"], projects=[]))] == [ANNA]
    assert [one.contact for one in owed(scenario, rule(opportunities=["lost"], tag="callexa"))] == [ANNA]
    assert [one.contact for one in owed(scenario, rule(opportunities=["lost"], without_tag="callexa"))] == [BERND]


@pytest.mark.parametrize(("reopened", "count"), [(30, 0), (90, 1)])
def test_what_is_opened_again_before_the_moment_is_owed_nothing(reopened: float, count: int) -> None:
    states = [{"at": 5, "state": "WON"}, {"at": reopened, "state": "OPEN"}]
    delayed = rule(when={"minutes": 1, "after": "closed"})
    assert len(owed(world({"contacts": [1], "states": states}), delayed)) == count


def test_won_again_is_another_occasion() -> None:
    states = [{"at": at, "state": state} for at, state in ((5, "WON"), (6, "WON"), (7, "OPEN"), (20, "WON"))]
    scenario = world({"contacts": [1], "states": states})
    always = rule(steps=[{"step": "survey", "survey": "s", "at_least_weeks_apart": 0}])
    assert [(one.occasion.key, one.due_at) for one in owed(scenario, always)] == [
        ("opportunity/10/1", moment(5)), ("opportunity/10/2", moment(20)),
    ]  # fmt: skip


def test_nobody_is_owed_the_same_survey_twice() -> None:
    scenario = world(won(9), won(5))
    assert [(one.occasion.key, one.due_at) for one in owed(scenario, rule())] == [("opportunity/11/1", moment(5))]
    other = rule(id="other", steps=[{"step": "survey", "survey": "other"}])
    assert len(owed(scenario, rule(), other)) == 2


def test_who_was_not_told_or_did_not_agree_is_owed_no_survey() -> None:
    scenario = world(won())
    assert owed(scenario, rule(legal_basis="consent")) == []
    assert expected([rule()], true_closings(scenario, BEGAN)) == []
    note = rule(purpose="service", steps=[{"step": "klicktipp.tag", "tag": "Kunde"}])
    assert len(expected([note], true_closings(scenario, BEGAN))) == 1


def test_an_answer_is_owed_its_note_with_the_link_that_led_to_it() -> None:
    [asked] = owed(world(won()), rule())
    reply = ReplyModel(email=ANNA, rating=9)
    answered = Answered(asked, moment(6), reply, moment(8), stored=True)
    given = {"id": "note", "title": "N", "source": "survey", "when": {"minutes": 0, "after": "answered"}}
    noting = Rule.model_validate(given | {"steps": [{"step": "insightly.note"}]})
    critics = Rule.model_validate(given | {"rating_to": 6, "steps": [{"step": "insightly.note"}]})
    unlinked = Rule.model_validate(given | {"steps": [{"step": "insightly.note", "link": False}]})
    wanted = expected([noting, critics], [true_answer(answered, "4/1")])
    assert [(one.rule.id, one.contact, one.trace[:2], one.due_at) for one in wanted] == [
        ("note", ANNA, ("insightly", "note"), moment(8)), ("note", ANNA, ("insightly", "link_note"), moment(8)),
    ]  # fmt: skip
    assert wanted[1].trace[2] == "opportunity/10"
    assert len(expected([unlinked], [true_answer(answered, "4/1")])) == 1


def test_the_shipped_rules_owe_three_people_of_the_shipped_world_a_survey() -> None:
    files, problems = load_folder(CHECKOUT / "include" / "handoffs")
    scenario = load_scenario()
    wanted = expected([file.rule for file in files], true_occasions(scenario, BEGAN), customers(scenario))
    surveys = {one.contact.partition("@")[0]: one for one in wanted if one.rule.id == "customer_survey"}
    assert problems == []
    assert surveys.keys() == {"marlene.busch", "selin.oeztuerk", "juergen.grosse"}
    assert surveys["juergen.grosse"].occasion.facts["record"] == "project/501"
    assert max(one.due_at for one in surveys.values()) <= moment(60)
    assert {one.rule.id for one in wanted} >= {"webinar_attended", "webinar_missed", "pitch_seen", "pitch_missed"}
