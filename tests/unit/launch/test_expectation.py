"""What is owed: from rules and a world, judged for the due moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from handoff.rules.rule import Rule
from launch.expectation import Wanted, expected
from launch.settings import LaunchError
from launch.webinars import true_dates
from launch.world import write_fresh_copy
from sandbox.scenario import DEFAULT_SCENARIO, Scenario, load_scenario

BEGAN = 1_790_000_000.0


def rule(**values: Any) -> Rule:
    given = {
        "id": "attended",
        "title": "Attended",
        "when": {"minutes": 1, "after": "end"},
        "who": "attended",
        "steps": [{"step": "klicktipp.tag", "tag": "besucht"}],
    }
    return Rule.model_validate(given | values)


def world(*registrants: dict[str, Any], **date: Any) -> Scenario:
    given = {"id": "d", "start": -3600, "end": -30, "registrants": registrants}
    return Scenario.model_validate({"webinars": [{"id": "w", "title": "W", "dates": [given | date]}]})


def owed(scenario: Scenario, *rules: Rule) -> list[Wanted]:
    return expected(rules, true_dates(scenario, BEGAN))


def person(email: str, **values: Any) -> dict[str, Any]:
    return {"email": email, "presence": [[0, 3570]], **values}


def moment(offset: float) -> datetime:
    return datetime.fromtimestamp(BEGAN, UTC) + timedelta(seconds=offset)


def test_who_belongs_to_the_audience_is_owed_each_step_at_the_due_moment() -> None:
    scenario = world(person("a@example.org"), person("b@example.org", presence=[[0, 60]]))
    steps = [{"step": "klicktipp.contact", "tag": "neu"}, {"step": "activecampaign.tag", "tag": "besucht"}]
    wanted = owed(scenario, rule(steps=steps))
    assert {one.contact for one in wanted} == {"a@example.org"}
    assert [one.trace for one in wanted] == [
        ("klicktipp", "contact", ""),
        ("klicktipp", "tag", "neu"),
        ("activecampaign", "tag", "besucht"),
    ]
    assert {one.due_at for one in wanted} == {moment(30)}


def test_doubled_entries_are_one_person_and_unusable_ones_are_owed_nothing() -> None:
    scenario = world(
        person("A@example.org", presence=[[0, 1000]]),
        person(" a@EXAMPLE.org", presence=[[1000, 2000]]),
        person(""),
        person("no address"),
    )
    assert [one.contact for one in owed(scenario, rule())] == ["a@example.org"]


def test_who_registers_after_the_moment_is_owed_nothing() -> None:
    scenario = world(person("a@example.org", registered=31))
    assert owed(scenario, rule(who="registered")) == []
    assert owed(world(person("a@example.org", registered=30)), rule(who="registered")) != []


def test_a_moment_long_past_when_the_date_is_first_seen_is_not_handed_over() -> None:
    assert owed(world(person("a@example.org"), start=-7300, end=-3700), rule()) == []
    assert owed(world(person("a@example.org"), start=-7200, end=-3600), rule(who="registered")) != []


def test_a_move_before_the_moment_moves_it_and_one_after_it_does_nothing() -> None:
    moved = {"at": 10, "start": -3000, "end": 60}
    everybody = rule(who="registered")
    assert [one.due_at for one in owed(world(person("a@example.org"), moved=moved), everybody)] == [moment(120)]
    late = moved | {"at": 40}
    assert [one.due_at for one in owed(world(person("a@example.org"), moved=late), everybody)] == [moment(30)]


def test_what_was_long_past_is_owed_once_it_moves_ahead() -> None:
    moved = {"at": 10, "start": -3000, "end": 60}
    scenario = world(person("a@example.org"), start=-7300, end=-3700, moved=moved)
    assert [one.due_at for one in owed(scenario, rule(who="registered"))] == [moment(120)]


def test_what_moves_to_a_moment_later_than_the_rule_allows_is_owed_only_if_late_ones_are_sent() -> None:
    scenario = world(person("a@example.org"), moved={"at": 10, "start": -7300, "end": -3700})
    strict = {"hours": 1, "then": "skip"}
    assert owed(scenario, rule(who="registered", late_after=strict)) == []
    assert len(owed(scenario, rule(who="registered", late_after=strict | {"then": "send"}))) == 1


@pytest.mark.parametrize(("cancelled_at", "handed_over"), [(10, 0), (40, 1)])
def test_a_cancelled_date_is_owed_nothing_unless_it_was_due_before(cancelled_at: float, handed_over: int) -> None:
    assert len(owed(world(person("a@example.org"), cancelled_at=cancelled_at), rule())) == handed_over


def test_a_removed_tag_is_not_sure_and_other_accounts_are_not_looked_at() -> None:
    steps = [{"step": "klicktipp.untag", "tag": "x"}, {"step": "klicktipp.tag", "tag": "y", "conn_id": "mine"}]
    wanted = owed(world(person("a@example.org")), rule(steps=steps))
    assert [(one.trace[1], one.sure) for one in wanted] == [("untag", False)]


def test_each_run_has_date_ids_of_its_own_and_the_rest_of_the_world_stays(tmp_path: Path) -> None:
    original = load_scenario()
    copy = write_fresh_copy(DEFAULT_SCENARIO, tmp_path / "copy.yaml")
    assert load_scenario(tmp_path / "copy.yaml") == copy
    ids = [[date.id for webinar in one.webinars for date in webinar.dates] for one in (original, copy)]
    assert set(ids[0]).isdisjoint(ids[1])
    assert len(set(ids[1])) == len(ids[0])
    people = [[date.registrants for webinar in one.webinars for date in webinar.dates] for one in (original, copy)]
    assert people[0] == people[1]


def test_a_scenario_that_cannot_be_used_is_said_before_anything_starts(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("webinars: [{id: w}]")
    with pytest.raises(LaunchError, match=r"wrong\.yaml: webinars\.0\.title"):
        write_fresh_copy(wrong, tmp_path / "copy.yaml")
