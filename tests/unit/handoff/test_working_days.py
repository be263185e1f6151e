"""Working days are counted, and nothing else."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handoff.times.public_holidays import STATES
from handoff.times.timing import When
from handoff.times.working_days import is_working_day, working_days_from

DAYS = st.dates(date(2024, 1, 1), date(2032, 12, 31))


@settings(deadline=None)  # loading the calendars takes a moment
@given(DAYS, st.integers(-40, 40).filter(bool), st.sampled_from([None, *STATES]))
def test_so_many_working_days_lie_between(day: date, count: int, state: str | None) -> None:
    moved = working_days_from(day, count, state)  # type: ignore[arg-type]
    step = 1 if count > 0 else -1
    passed = [day + timedelta(days=step * number) for number in range(1, abs(moved) + 1)]
    assert sum(is_working_day(one, state) for one in passed) == abs(count)  # type: ignore[arg-type]
    assert is_working_day(passed[-1], state)  # type: ignore[arg-type]


def test_a_holiday_of_one_state_is_a_working_day_in_another() -> None:
    epiphany = date(2027, 1, 6)
    assert not is_working_day(epiphany, "BY")
    assert is_working_day(epiphany, "NW")
    assert is_working_day(date(2026, 12, 25))
    assert not is_working_day(date(2026, 12, 26))  # a Saturday


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({"working_days": 3, "after": "closed"}, "2026-12-28T13:00:00+00:00"),
        ({"working_days": 3, "after": "closed", "holidays": "BY"}, "2026-12-29T13:00:00+00:00"),
        ({"days": 1, "working_days": 1, "after": "closed"}, "2026-12-25T13:00:00+00:00"),
        ({"working_days": 3, "before": "closed"}, "2026-12-18T13:00:00+00:00"),
        ({"working_days": 3, "hours": 2, "after": "closed"}, "2026-12-28T15:00:00+00:00"),
    ],
)
def test_the_moment_keeps_its_time_of_day(when: dict[str, object], expected: str) -> None:
    wednesday = datetime(2026, 12, 23, 13, 0, tzinfo=UTC)
    assert When.model_validate(when).due(wednesday, "Europe/Berlin").isoformat() == expected


def test_the_clock_change_between_does_not_move_the_hour() -> None:
    friday = datetime(2026, 10, 23, 12, 0, tzinfo=UTC)  # 14:00 in Berlin; the clocks change on Sunday
    when = When.model_validate({"working_days": 1, "after": "closed"})
    assert when.due(friday, "Europe/Berlin") == datetime(2026, 10, 26, 13, 0, tzinfo=UTC)
    assert when.describe("de") == "1 Arbeitstag nach Abschluss"
