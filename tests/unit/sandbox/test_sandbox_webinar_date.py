from __future__ import annotations

from sandbox.webinaris.account import Participant, Plan, Stay, Webinar, WebinarDate

START, END = 1000.0, 4600.0


def a_date(*plans: Plan, lag: float = 0.0) -> WebinarDate:
    return WebinarDate("d1", Webinar("w", "T", "secret", lag), list(plans) or [Plan(0.0, START, END)])


def a_participant(*stays: Stay, registered: float = 10.0) -> Participant:
    return Participant("p1", "a@example.org", registered, registered, stays=stays)


def test_a_future_registration_is_not_listed() -> None:
    assert a_date().shown(a_participant(registered=500.0), 499.0) is None
    assert a_date().shown(a_participant(registered=500.0), 500.0) is not None


def test_presence_is_shown_as_far_as_it_has_happened() -> None:
    one, date = a_participant(Stay(0, 60), Stay(100, None)), a_date()
    moments = {now: date.shown(one, now) for now in (999.0, 1030.0, 1060.0, 1100.0)}
    presences = {now: shown["presence"] for now, shown in moments.items() if shown}
    assert presences[999.0] == []
    assert presences[1030.0] == [{"joined": 1000.0, "left": None}]
    assert presences[1060.0] == [{"joined": 1000.0, "left": 1060.0}]
    assert presences[1100.0] == [{"joined": 1000.0, "left": 1060.0}, {"joined": 1100.0, "left": None}]


def test_late_presence_is_updated_when_it_becomes_readable() -> None:
    one, date = a_participant(Stay(0, 60)), a_date(lag=20.0)
    before, joined, left = (date.shown(one, now) for now in (1019.0, 1020.0, 1080.0))
    assert before is not None
    assert (before["presence"], before["updated"]) == ([], 10.0)
    assert joined is not None
    assert (joined["presence"], joined["updated"]) == ([{"joined": 1000.0, "left": None}], 1020.0)
    assert left is not None
    assert (left["presence"], left["updated"]) == ([{"joined": 1000.0, "left": 1060.0}], 1080.0)


def test_a_date_is_moved_and_then_cancelled() -> None:
    moved = Plan(100.0, START + 60, END + 60)
    date = a_date(Plan(0.0, START, END), moved, Plan(200.0, moved.start, moved.end, cancelled=True))
    shown = [date.as_json(now) for now in (99.0, 100.0, 200.0)]
    assert [one["start_unix"] for one in shown] == [START, START + 60, START + 60]
    assert [one["status"] for one in shown] == ["scheduled", "scheduled", "cancelled"]
    assert [one["updated"] for one in shown] == [0.0, 100.0, 200.0]
