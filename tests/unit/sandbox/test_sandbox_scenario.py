from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.people import make_registrants
from sandbox.scenario import ScenarioError, load_scenario
from sandbox.scenario_webinars import GenerateModel


def written(folder: Path, text: str) -> Path:
    path = folder / "world.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_world_is_small_and_has_every_kind_of_registrant() -> None:
    ended, running = load_scenario().webinars
    people = ended.dates[0].registrants
    assert 10 <= len(people) <= 20
    assert {"", "hans.huebner(at)example.org"} <= {one.email for one in people}
    assert any(one.language == "en" for one in people)
    assert any("🎉" in one.firstname for one in people)
    # What the shipped rules wait for comes soon: a pitch, and a minute after an end.
    assert 0 < running.dates[0].start + 45 * 60 < 60
    assert 0 < ended.dates[0].end + 60 < 60


def test_the_shipped_crm_has_what_a_rule_may_stumble_over() -> None:
    account = load_scenario().insightly
    soon = {deal.id: step.state for deal in (*account.opportunities, *account.projects) for step in deal.states
            if 0 < step.at < 60}  # fmt: skip
    assert {"WON", "LOST", "COMPLETED"} == set(soon.values())
    attached = {len(deal.contacts) for deal in account.opportunities if soon.get(deal.id) == "WON"}
    assert attached == {0, 1, 2}
    assert any(not contact.email for contact in account.contacts)


def test_an_empty_file_is_a_world_with_the_default_accounts(tmp_path: Path) -> None:
    scenario = load_scenario(written(tmp_path, ""))
    assert scenario.webinars == ()
    assert "Pitch gesehen" in scenario.klicktipp.tags
    assert "Pitch gesehen" in scenario.activecampaign.tags


DATE = "webinars: [{id: w, title: t, dates: [{id: d, start: 0, end: 60, %s}]}]"


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("klicktip: {}", "klicktip", "Extra inputs"),
        ("webinars: [{id: w, title: t, dates: [{id: d, start: soon, end: 3}]}]", "webinars.0.dates.0.start", "offset"),
        (
            "webinars: [{id: w, title: t, dates: [{id: d, start: 5, end: 3}]}]",
            "webinars.0.dates.0",
            "end must be later",
        ),
        (DATE % "registrants: [{percent: 101}]", "registrants.0.percent", "less than or equal to 100"),
        (DATE % "registrants: [{percent: 5, presence: [[0, 1]]}]", "registrants.0", "not both"),
        (DATE % "registrants: [{presence: [[9, 1]]}]", "registrants.0", "leaves before joining"),
        (DATE % "generate: {count: 5, attended: 0.2, online_at_end: 0.3}", "generate", "part of attended"),
        ("klicktipp: {contacts: [{email: a@example.org, tags: [Nope]}]}", "klicktipp", "no tag 'Nope'"),
        ("activecampaign: {contacts: [{email: a@example.org, lists: {No: 1}}]}", "activecampaign", "'No'"),
        ("webinars: [{id: w, title: a}, {id: w, title: b}]", "(whole)", "'w' is used twice"),
        (
            "insightly: {opportunities: [{name: A, state: Gewonnen}]}",
            "insightly.opportunities.0",
            "no state 'GEWONNEN'",
        ),
        ("insightly: {opportunities: [{name: A, contacts: [7]}]}", "insightly", "no contact with id 7"),
        (
            "insightly: {projects: [{id: 1, name: A}, {id: 1, name: B}]}",
            "insightly",
            "projects: the id 1 is used twice",
        ),
        ("callexa: {surveys: [{id: s, name: A}, {id: s, name: B}]}", "callexa", "'s' is used twice"),
        ("webinars: [", "is no YAML", "line 1"),
    ],
)
def test_an_error_names_file_field_and_cause(tmp_path: Path, text: str, place: str, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    assert str(path) in str(caught.value)
    assert place in str(caught.value)
    assert words in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="nowhere.yaml: cannot be read"):
        load_scenario(tmp_path / "nowhere.yaml")


def test_generated_people_are_the_same_for_the_same_seed_and_keep_the_shares() -> None:
    order = GenerateModel(count=500, attended=0.6, online_at_end=0.4, seed=7)
    people = list(make_registrants(order, 3600))
    assert people == list(make_registrants(order, 3600))
    assert people != list(make_registrants(order.model_copy(update={"seed": 8}), 3600))
    assert len({one.email for one in people}) == 500
    assert all(one.email.isascii() for one in people)
    at_end = [one for one in people if any(leave is not None and leave > 3600 for _, leave in one.presence)]
    watched = [sum(min(leave or 3600, 3600) - join for join, leave in one.presence) for one in people]
    assert len(at_end) == 200
    assert sum(seconds >= 0.69 * 3600 for seconds in watched) == 300
    assert any("ö" in one.firstname + one.lastname for one in people)
