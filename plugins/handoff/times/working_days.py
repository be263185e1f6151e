"""Working days (Arbeitstage): Monday to Friday, without the public holidays of a German state."""

from __future__ import annotations

from datetime import date, timedelta

from handoff.times.public_holidays import State, public_holidays

_SATURDAY = 5


def is_working_day(day: date, state: State | None = None) -> bool:
    """Tell whether people work on a day. :param state: whose public holidays are none; ``None``: all are."""
    return day.weekday() < _SATURDAY and (state is None or day not in public_holidays(state, day.year))


def working_days_from(day: date, count: int, state: State | None = None) -> int:
    """Return after how many calendar days the ``count``-th working day after ``day`` is.

    :param count: negative for working days before; then the result is too. 0: no day at all.
    """
    step, left, moved = (1 if count > 0 else -1), abs(count), 0
    while left:
        moved += step
        left -= is_working_day(day + timedelta(days=moved), state)
    return moved
