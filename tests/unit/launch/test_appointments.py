"""What is owed because of appointments: once, at the moment as it is then, and nothing for what was cancelled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from handoff.rules.file import load_folder
from handoff.rules.rule import Rule
from launch.appointments import true_appointments
from launch.calendar_days import on_the_clock
from launch.closed import closed
from launch.expectation import Wanted, expected
from launch.reminders import reminders
from launch.settings import CHECKOUT
from launch.world import true_occasions
from sandbox.scenario import Scenario, load_scenario

BEGAN = 1_790_000_000.5
EVA = "eva@example.org"


def rule(when: dict[str, Any] | None = None, **values: Any) -> Rule:
    given = {
        "id": "reminder", "title": "R", "source": "etermin", "when": when or {"hours": 1, "before": "start"},
        "steps": [{"step": "email", "template": "appointment_reminder"}],
    }  # fmt: skip
    return Rule.model_validate(given | values)


def world(**appointment: Any) -> Scenario:
    given = {"uid": "a", "start": 3640, "booked": "-1d", "email": EVA}
    return Scenario.model_validate({"etermin": {"appointments": [given | appointment]}})


def owed(scenario: Scenario, *rules: Rule) -> list[Wanted]:
    return expected(rules, true_appointments(scenario, BEGAN), closed=closed(scenario))


def due(scenario: Scenario, *rules: Rule) -> list[datetime]:
    return [one.due_at for one in owed(scenario, *rules)]


def moment(offset: float) -> datetime:
    return datetime.fromtimestamp(int(BEGAN), UTC) + timedelta(seconds=offset)


def test_a_reminder_is_due_so_long_before_the_start_once() -> None:
    [wanted] = owed(world(booked=5), rule())
    assert (wanted.contact, wanted.trace[:2], wanted.due_at) == (EVA, ("email", "mail"), moment(40))


def test_a_reminder_moves_with_its_appointment_however_often() -> None:
    once = [{"at": 10, "start": 3700}]
    assert due(world(moves=once), rule()) == [moment(100)]
    assert due(world(moves=[*once, {"at": 20, "start": 3630}]), rule()) == [moment(30)]


def test_a_move_after_the_reminder_does_not_repeat_it() -> None:
    assert due(world(moves=[{"at": 41, "start": 3700}]), rule()) == [moment(40)]


@pytest.mark.parametrize(("cancelled", "reminded"), [(39, 0), (41, 1), (-1, 0)])
def test_who_cancels_in_time_is_not_reminded(cancelled: float, reminded: int) -> None:
    assert len(owed(world(cancelled=cancelled), rule())) == reminded


def test_an_appointment_booked_too_late_for_its_reminder_has_none_until_it_moves_ahead() -> None:
    scenario = world(booked=5, start=3600)
    day_before = rule({"days": 1, "before": "start"})
    assert due(scenario, day_before) == []
    assert due(world(booked=5, start=3600, moves=[{"at": 9, "start": 86430}]), day_before) == [moment(30)]


def test_what_moves_so_near_that_its_reminder_is_too_late_is_not_reminded() -> None:
    skipping = rule({"days": 1, "before": "start"}, late_after={"hours": 12, "then": "skip"})
    assert due(world(start=2 * 86400, moves=[{"at": 9, "start": 3600}]), skipping) == []


def test_a_booking_is_owed_when_it_happens_not_when_it_is_history() -> None:
    booked = rule({"minutes": 0, "after": "booked"})
    assert due(world(booked=5), booked) == [moment(5)]
    assert due(world(booked=5, cancelled=20), booked) == [moment(5)]
    assert due(world(booked="-1d"), booked) == []


def test_each_change_and_the_deletion_are_owed_what_reacts_to_them() -> None:
    scenario = world(booked=5, moves=[{"at": 10, "start": 3700}, {"at": 20, "start": 3800}], cancelled=30)
    changed, gone = rule({"minutes": 0, "after": "modified"}), rule({"minutes": 0, "after": "deleted"}, id="gone")
    assert [(one.occasion.key, one.due_at) for one in owed(scenario, changed, gone)] == [
        ("a/modified/1", moment(10)), ("a/modified/2", moment(20)), ("a/deleted/3", moment(30)),
    ]  # fmt: skip
    later = rule({"minutes": 1, "after": "modified"})
    assert owed(scenario, later) == []
    history = world(moves=[{"at": -20, "start": 3700}], cancelled=-10)
    assert owed(history, changed, gone) == []


def test_calendars_and_the_newsletter_box_are_the_rules_to_ask_for() -> None:
    coaching = rule(calendars=["Coaching"])
    assert owed(world(), coaching) == []
    assert len(owed(world(calendar="Coaching"), coaching)) == 1
    assert len(owed(world(calendar="Coaching"), rule(calendars=["90710"]))) == 1
    assert owed(world(), rule(newsletter_only=True)) == []
    assert len(owed(world(newsletter=True), rule(newsletter_only=True))) == 1


def test_who_gave_no_address_is_owed_nothing() -> None:
    assert owed(world(email=""), rule()) == []


def into_quentn(**step: Any) -> Rule:
    contact = {"step": "quentn.contact", "fields": {"Termin Beginn": "{{ occasion.start | iso }}"}, "opt_in": "single"}
    steps = [contact | {"notes": "{{ entry.notes | default('') }}"} | step, {"step": "quentn.term", "term": "T"}]
    return rule({"minutes": 0, "after": "booked"}, steps=steps)


def test_notes_are_owed_only_where_the_customer_wrote_some() -> None:
    silent, told = owed(world(booked=5), into_quentn()), owed(world(booked=5, notes="gern"), into_quentn())
    assert [(one.trace[1:], one.sure) for one in silent] == [
        (("contact", ""), True), (("field", "Termin Beginn"), True), (("contact", "e-mail status"), False),
        (("tag", "T"), True),
    ]  # fmt: skip
    assert [(one.trace[1:], one.sure) for one in told if one.trace not in {two.trace for two in silent}] == [
        (("contact", "notes"), True),
    ]
    assert [one.sure for one in owed(world(booked=5), into_quentn(merge="add"))] == [True, False, False, True]
    assert [one.sure for one in owed(world(booked=5), into_quentn(create=False))] == [False, False, False, True]


def test_what_happens_to_an_appointment_is_sure_to_be_heard_of_where_its_booking_was_pushed() -> None:
    changed, gone = rule({"minutes": 0, "after": "modified"}), rule({"minutes": 0, "after": "deleted"}, id="gone")
    for booked, sure in ((5, True), (-1, False)):
        wanted = owed(world(booked=booked, moves=[{"at": 10, "start": 3700}], cancelled=30), changed, gone)
        assert [one.sure for one in wanted] == [sure, sure]
    assert owed(world(moves=[{"at": 10, "start": 3700}]), rule())[0].sure, "a reminder is there however it is read"


def test_a_change_may_leave_the_notes_as_they_are() -> None:
    changed = rule({"minutes": 0, "after": "modified"}, steps=into_quentn().steps)
    moved = owed(world(booked=5, notes="gern", moves=[{"at": 10, "start": 3700}]), changed)
    assert [(one.trace[2], one.sure) for one in moved] == [
        ("", True), ("Termin Beginn", True), ("notes", False), ("T", True),
    ]  # fmt: skip


def test_who_unsubscribed_in_quentn_is_owed_nothing_there_but_may_be_made_once() -> None:
    contacts = [{"mail": "Eva@example.org", "status": "unsubscribed", "deleted": True}]
    scenario = Scenario.model_validate(world(booked=5, notes="n").model_dump() | {"quentn": {"contacts": contacts}})
    mailing = rule({"minutes": 0, "after": "booked"}, id="mail")
    assert [(one.trace[:2], one.sure) for one in owed(scenario, into_quentn(), mailing)] == [
        (("quentn", "contact"), False), (("quentn", "field"), False), (("email", "mail"), True),
    ]  # fmt: skip
    leaving = rule({"minutes": 0, "after": "booked"}, steps=[{"step": "quentn.unterm", "term": "T"}])
    assert [(one.trace[1:], one.sure) for one in owed(scenario, leaving)] == [(("untag", "T"), False)]


@pytest.mark.parametrize("day", ["2026-03-28", "2026-10-24", "2026-07-01"])
def test_a_day_ahead_is_the_same_time_of_day_on_every_day(day: str) -> None:
    began = datetime.fromisoformat(f"{day}T15:00:00").replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    scenario = on_the_clock(world(start=86440, moves=[{"at": 5, "start": 86450}, {"at": 6, "start": 60}]), began)
    moves = [scenario.etermin.appointments[0].moves[number].start for number in (0, 1)]
    assert moves[1] == 60
    wanted = expected([rule({"days": 1, "before": "start"})], true_appointments(world_until(scenario, 1), began))
    assert [one.due_at.timestamp() for one in wanted] == [began + 50]


def test_hours_ahead_are_hours_also_when_the_clocks_change_in_between() -> None:
    began = datetime(2026, 3, 29, 1, 30, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    assert on_the_clock(world(start=7200), began).etermin.appointments[0].start == 7200


def world_until(scenario: Scenario, moves: int) -> Scenario:
    """Return the world with the first moves only."""
    account = scenario.etermin
    one = account.appointments[0].model_copy(update={"moves": account.appointments[0].moves[:moves]})
    return scenario.model_copy(update={"etermin": account.model_copy(update={"appointments": (one,)})})


def test_the_shipped_world_shows_a_booking_a_move_and_a_cancellation_of_which_nobody_is_reminded() -> None:
    files, _ = load_folder(CHECKOUT / "include" / "handoffs")
    rules, scenario = [file.rule for file in files], on_the_clock(load_scenario(), BEGAN)
    occasions = list(true_occasions(scenario, BEGAN))
    wanted = [one for one in expected(rules, occasions) if one.rule.source == "etermin"]
    reminded = [(one.contact, one.due_at) for one in wanted if one.rule.id == "appointment_reminder"]
    assert reminded == [("eva.moeller@example.org", moment(35)), ("frank.schroeder@example.org", moment(45))]
    handed_over = [one for one in wanted if one.rule.id == "appointment_booked" and one.sure]
    assert {one.trace[1:] for one in handed_over} == {
        ("contact", ""), ("field", "Termin Beginn"), ("field", "Termin Ende"), ("contact", "notes"),
        ("tag", "Termin gebucht"),
    }  # fmt: skip
    assert {(one.contact, one.due_at) for one in handed_over} == {
        ("eva.moeller@example.org", moment(5)), ("frank.schroeder@example.org", moment(5)),
    }  # fmt: skip
    changed = [one for one in wanted if one.rule.id == "appointment_changed" and one.sure]
    assert {(one.contact, one.due_at) for one in changed} == {("frank.schroeder@example.org", moment(10))}
    assert {one.trace[1:] for one in changed} == {("contact", ""), ("field", "Termin Beginn"), ("field", "Termin Ende")}
    cancelled = [one for one in wanted if one.rule.id == "appointment_cancelled"]
    assert {(one.contact, one.due_at, one.sure) for one in cancelled} == {
        ("ida.lorenz@example.org", moment(15), False),
    }  # fmt: skip
    assert ("untag", "Termin gebucht") in {one.trace[1:] for one in cancelled}
    shown = {
        one.contact.partition(".")[0]: one
        for one in reminders([rule for rule in rules if rule.id == "appointment_reminder"], occasions)
    }
    assert {name: [what for what, _ in one.news] for name, one in shown.items()} == {
        "eva": ["booked"], "frank": ["booked", "moved"], "ida": ["cancelled"],
    }  # fmt: skip
    assert (shown["frank"].first_due_at, shown["frank"].due_at) == (moment(20), moment(45))
    assert (shown["ida"].first_due_at, shown["ida"].due_at) == (moment(40), None)
