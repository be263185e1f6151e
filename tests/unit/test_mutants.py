"""The list of mutants fits the code, and the kit's own pure parts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chaos.airflow import VICTIMS, AirflowStory
from chaos.author import write
from chaos.directed import STORIES
from chaos.evidence import Evidence, Rows
from chaos.judge import judge
from chaos.mutants import MUTANTS, Mutant
from chaos.mutate import NotPlanted, engine_with, plant
from chaos.oracle import audience, bases, people
from chaos.pace import SHORTENED
from chaos.shrink import shrink
from chaos.story import Blow, Date, Entry, Plan, RuleLine, Story, tell

CANCELLED = Date("d0", "A", (Plan(0.0, -118.0, 2.0), Plan(1.0, -118.0, 2.0, cancelled=True)), ())


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_original_text_occurs_exactly_once(mutant: Mutant, project: Path) -> None:
    for edit in mutant.edits:
        text = (project / "plugins" / edit.file).read_text(encoding="utf-8")
        assert text.count(edit.original) == 1, f"{edit.file}: {edit.original!r}"
        assert edit.original != edit.replacement
    assert mutant.stories
    assert set(mutant.stories) <= set(STORIES)


def test_there_are_at_least_twenty_mutants_with_names_of_their_own() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 20


def test_mutants_are_python_and_leave_the_work_tree_alone(project: Path) -> None:
    for mutant in MUTANTS:
        with engine_with(mutant) as plugins:
            assert not plugins.is_relative_to(project)
            for edit in mutant.edits:
                planted = (plugins / edit.file).read_text(encoding="utf-8")
                compile(planted, edit.file, "exec")
                assert planted != (project / "plugins" / edit.file).read_text(encoding="utf-8")


def test_a_mutation_that_no_longer_fits_is_said(tmp_path: Path) -> None:
    edit = MUTANTS[1].edits[0]
    path = tmp_path / edit.file
    path.parent.mkdir(parents=True)
    path.write_text("nothing of it", encoding="utf-8")
    with pytest.raises(NotPlanted, match="0 times"):
        plant(edit, tmp_path)


def test_the_engine_still_has_what_is_shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    for path, shorter in SHORTENED.items():
        module, _, name = path.rpartition(".")
        assert getattr(__import__(module, fromlist=[name]), name) > shorter, path


def test_the_same_seed_tells_the_same_story() -> None:
    assert write(7) == write(7)
    assert tell(write(7)) == tell(write(7))
    assert len({tell(write(seed)) for seed in range(50)}) == 50


def test_stories_hold_every_kind_of_thing() -> None:
    stories = [write(seed) for seed in range(200)]
    kinds = {blow.kind for story in stories for blow in story.blows}
    assert kinds == {"kill", "suspend", "postgres", "jump", "freeze", "erase", "rejudge"}
    rules = [rule for story in stories for rule in story.rules]
    assert {rule.then for rule in rules} == {"hold", "send", "skip"}
    assert {rule.again for rule in rules} == {"", "never", "in 30 days"}
    assert {rule.barred for rule in rules} == {"", "closed", "no consent"}
    assert {fault.system for story in stories for fault in story.faults} == {
        "klicktipp", "activecampaign", "email", "webinaris",
    }  # fmt: skip
    plans = [date.plans for story in stories for date in story.dates]
    assert any(len(some) == 3 for some in plans)
    assert any(some[-1].cancelled for some in plans)
    assert any(report.plan == 0 and report.at > 2 for story in stories for report in story.reports)
    doubled = [len(story.reports) - len({(one.date, one.plan) for one in story.reports}) for story in stories]
    assert any(doubled)


def test_every_part_of_airflow_is_killed_in_200_stories() -> None:
    for seeds in (range(50, 201, 50), range(55, 58)):
        assert {kill.part for seed in seeds for kill in AirflowStory(seed).kills} == set(VICTIMS)


def test_a_cancellation_before_the_moment_leaves_no_plan_to_be_judged_by() -> None:
    rule = RuleLine("r0", "A", "registered", "end", 0, ("kt",))
    assert [basis.plan.cancelled for basis in bases(rule, CANCELLED)] == [True]


def test_a_clock_that_is_ahead_may_judge_a_plan_before_it_is_changed() -> None:
    rule = RuleLine("r0", "A", "registered", "end", 0, ("kt",))
    assert [basis.plan.cancelled for basis in bases(rule, CANCELLED, early=2.0)] == [False, True]


def test_the_oracle_splits_people_at_the_very_moment() -> None:
    date = STORIES["edges"].dates[0]
    online, not_online = STORIES["edges"].rules
    (basis,) = bases(online, date)
    there, away = ({person.email for person in audience(rule, date, basis)} for rule in (online, not_online))
    by_then = {person.email for person in people(date) if person.registered <= basis.due}
    assert there | away == by_then
    assert not there & away
    # Gone at the moment, gone just before, gone just after, coming at the moment.
    assert [f"e{n}@example.org" in there for n in range(4)] == [False, False, True, True]
    assert "late1@example.org" in by_then
    assert "late2@example.org" not in by_then


def test_a_story_that_left_nothing_breaks_a_promise() -> None:
    ledger: dict[str, Rows] = {
        name: [] for name in ("occasions", "batches", "verdicts", "effects", "certificates", "inbox")
    }
    nothing = Evidence(0.0, 1.0, [], ledger, [], {}, [])
    assert [broken.promise for broken in judge(STORIES["steps"], nothing)] == [6]
    twice = {"seq": 1, "at": 3.0, "system": "email", "action": "mail", "contact": "p0@example.org",
             "detail": {"message_id": "<m>"}}  # fmt: skip
    found = judge(STORIES["steps"], replace(nothing, effects=[twice, twice | {"seq": 2}]))
    assert {broken.promise for broken in found} == {2, 3, 6}


def test_shrinking_keeps_what_makes_a_story_fail() -> None:
    long = replace(write(3), blows=(Blow(1.0, "kill"), Blow(2.0, "postgres"), Blow(3.0, "kill")))

    def fails(story: Story) -> bool:
        return any(blow.kind == "postgres" for blow in story.blows)

    short = shrink(long, fails, seconds=5.0)
    assert [blow.kind for blow in short.blows] == ["postgres"]
    assert not short.faults
    assert len(short.dates) == 1
    assert len(short.dates[0].entries) <= 1
    assert len(short.rules) == 1


def test_people_are_never_there_before_they_are_registered() -> None:
    for story in map(write, range(60)):
        for date in story.dates:
            start = min(plan.start for plan in date.plans)
            for entry in date.entries:
                assert all(start + joined >= entry.registered for joined, _ in entry.stays)


def test_an_entry_without_a_usable_address_is_nobody() -> None:
    date = Date("d0", "A", (Plan(0.0, -118.0, 2.0),), (Entry("", "keine@"), Entry("p", " P@Example.org ")))
    assert [person.email for person in people(date)] == ["p@example.org"]
