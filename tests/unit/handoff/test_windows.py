"""Sending windows: open, never early, as soon as possible, on the recipient's clock, through every change of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from handoff.times.public_holidays import STATES, public_holidays
from handoff.times.timing import UnknownZone
from handoff.times.windows import WEEKDAYS, Window

BERLIN = "Europe/Berlin"
ZONES = (BERLIN, "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "America/Havana", "Asia/Kolkata")
DAYTIME = {"not_before": "08:00", "not_after": "20:00"}

# Loaded here, so that no example counts how long that takes.
public_holidays("BY", 2026)


def local(text: str, zone: str = BERLIN, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


def earliest(moment: datetime, zone: str = BERLIN, **window: Any) -> datetime:
    return Window.model_validate(window).earliest(moment, zone)


def is_open(window: Window, moment: datetime, zone: str) -> bool:
    """What a window is, said in another way than it is worked out."""
    clock = moment.astimezone(ZoneInfo(zone))
    shown = f"{clock:%H:%M}"
    on_that_day = WEEKDAYS[clock.weekday()] in window.weekdays and (
        window.holidays is None or clock.date() not in public_holidays(window.holidays, clock.year)
    )
    return on_that_day and window.not_before <= shown < window.not_after


@pytest.mark.parametrize(
    ("window", "moment", "opens"),
    [
        (DAYTIME, local("2026-06-01 07:59:59"), local("2026-06-01 08:00")),
        (DAYTIME, local("2026-06-01 08:00"), local("2026-06-01 08:00")),
        (DAYTIME, local("2026-06-01 19:59:59"), local("2026-06-01 19:59:59")),
        (DAYTIME, local("2026-06-01 20:00"), local("2026-06-02 08:00")),
        (DAYTIME, local("2026-12-31 23:00"), local("2027-01-01 08:00")),
        ({"not_before": "18:00"}, local("2026-06-01 23:59"), local("2026-06-01 23:59")),
        ({"not_after": "06:00"}, local("2026-06-01 06:00"), local("2026-06-02 00:00")),
        # 5 June 2026 is a Friday, 4 June is Corpus Christi, a public holiday in Bavaria but not in Berlin.
        ({**DAYTIME, "weekdays": ["mon", "tue"]}, local("2026-06-05 12:00"), local("2026-06-08 08:00")),
        ({"weekdays": ["sun"]}, local("2026-06-07 12:00"), local("2026-06-07 12:00")),
        ({**DAYTIME, "holidays": "BY"}, local("2026-06-04 12:00"), local("2026-06-05 08:00")),
        ({**DAYTIME, "holidays": "BE"}, local("2026-06-04 12:00"), local("2026-06-04 12:00")),
        # Christmas Eve is a working day; 25 and 26 December are none, 27 is a Sunday.
        (
            {**DAYTIME, "holidays": "BY", "weekdays": ["mon", "tue", "wed", "thu", "fri", "sat"]},
            local("2026-12-24 20:00"),
            local("2026-12-28 08:00"),
        ),
        # The hour that is skipped: what would open at 02:30 opens when the clock jumps to 03:00.
        ({"not_before": "02:30", "not_after": "06:00"}, local("2027-03-28 01:59"), local("2027-03-28 03:00")),
        ({"not_before": "02:10", "not_after": "02:50"}, local("2027-03-28 01:59"), local("2027-03-29 02:10")),
        # The hour that comes twice: open whenever the clock shows so.
        ({"not_before": "02:30", "not_after": "06:00"}, local("2026-10-25 02:10"), local("2026-10-25 02:30")),
        (
            {"not_before": "02:30", "not_after": "06:00"},
            local("2026-10-25 02:10", fold=1),
            local("2026-10-25 02:30", fold=1),
        ),
        ({"not_before": "01:00", "not_after": "02:30"}, local("2026-10-25 02:40"), local("2026-10-25 02:00", fold=1)),
        ({"not_before": "02:10", "not_after": "02:20"}, local("2031-10-26 02:30"), local("2031-10-26 02:10", fold=1)),
        # Both sides of the night are one window's length of elapsed time apart, not of wall time.
        (DAYTIME, local("2026-10-24 20:00"), local("2026-10-25 08:00")),
        (DAYTIME, local("2027-10-30 22:00"), local("2027-10-31 08:00")),
    ],
)
def test_when_it_opens(window: dict[str, Any], moment: datetime, opens: datetime) -> None:
    found = earliest(moment, **window)
    assert found == opens.astimezone(UTC)
    assert found.tzinfo is UTC


def test_the_clock_is_the_recipients() -> None:
    moment = local("2026-06-01 12:00")
    assert earliest(moment, "America/New_York", **DAYTIME) == local("2026-06-01 08:00", "America/New_York")
    assert earliest(moment, "Asia/Tokyo", **DAYTIME) == moment
    assert earliest(moment, "Pacific/Auckland", **DAYTIME) == local("2026-06-02 08:00", "Pacific/Auckland")


def test_a_midnight_that_is_skipped_and_a_day_that_does_not_exist() -> None:
    # Havana's clocks jump from 00:00 to 01:00; Apia left out 30 December 2011.
    assert earliest(local("2026-03-07 21:00", "America/Havana"), "America/Havana", not_after="20:00") == local(
        "2026-03-08 01:00", "America/Havana"
    )
    assert earliest(local("2011-12-29 21:00", "Pacific/Apia"), "Pacific/Apia", **DAYTIME) == local(
        "2011-12-31 08:00", "Pacific/Apia"
    )


minutes = st.integers(0, 24 * 60).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")
days = st.lists(st.sampled_from(WEEKDAYS), min_size=1, unique=True)
states = st.none() | st.sampled_from(sorted(STATES))


@st.composite
def windows(draw: st.DrawFn) -> Window:
    first, last = draw(st.lists(minutes, min_size=2, max_size=2, unique=True).map(sorted))
    return Window(not_before=first, not_after=last, weekdays=draw(days), holidays=draw(states))


# Around the nights when clocks change somewhere, and anywhere else.
changes = [
    datetime.fromisoformat(f"{text}:00+00:00")
    for text in ("2026-10-25T01", "2027-03-28T01", "2027-10-31T01", "2026-03-08T05", "2026-04-04T15", "2027-02-07T02")
]
moments = st.builds(
    lambda change, away: change + timedelta(seconds=away), st.sampled_from(changes), st.integers(-90_000, 90_000)
) | st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(windows(), moments, st.sampled_from(ZONES))
def test_it_is_open_then_and_that_is_not_early(window: Window, moment: datetime, zone: str) -> None:
    found = window.earliest(moment, zone)
    assert found >= moment
    assert is_open(window, found, zone)
    assert window.earliest(found, zone) == found
    if is_open(window, moment, zone):
        assert found == moment


@settings(max_examples=60)
@given(windows(), moments, st.sampled_from(ZONES), st.data())
def test_it_is_not_open_before(window: Window, moment: datetime, zone: str, data: st.DataObject) -> None:
    found = window.earliest(moment, zone)
    if found == moment:
        return
    assert not is_open(window, found - timedelta(microseconds=1), zone)
    between = data.draw(st.lists(st.datetimes(moment.replace(tzinfo=None), found.replace(tzinfo=None)), max_size=50))
    minute = moment
    while minute < min(found, moment + timedelta(days=2)):
        assert not is_open(window, minute, zone), minute
        minute += timedelta(minutes=1)
    for one in between:
        assert one.replace(tzinfo=UTC) == found or not is_open(window, one.replace(tzinfo=UTC), zone)


@given(windows(), moments, moments, st.sampled_from(ZONES))
def test_order_is_kept(window: Window, one: datetime, other: datetime, zone: str) -> None:
    assert (one <= other) <= (window.earliest(one, zone) <= window.earliest(other, zone))


def test_the_calendar_of_each_state() -> None:
    assert {state for state in STATES if date(2026, 1, 6) in public_holidays(state, 2026)} == {"BW", "BY", "ST"}
    assert {state for state in STATES if date(2026, 3, 8) in public_holidays(state, 2026)} == {"BE", "MV"}
    assert all(date(2026, 10, 3) in public_holidays(state, 2026) for state in STATES)
    # What is a holiday in a part of a state only counts as a working day.
    assert not any(date(2026, 8, 8) in public_holidays(state, 2026) for state in STATES)


@pytest.mark.parametrize(
    ("window", "kind"),
    [
        ({}, "no_window"),
        ({"not_before": "8:00"}, "no_time_of_day"),
        ({"not_before": "08:60"}, "no_time_of_day"),
        ({"not_after": "24:01"}, "no_time_of_day"),
        ({"not_after": 20}, "no_time_of_day"),
        ({"not_after": "08:00 "}, "no_time_of_day"),
        ({"not_after": "08:00\n"}, "no_time_of_day"),
        ({"not_before": "22:00", "not_after": "06:00"}, "never_open"),
        ({"not_before": "08:00", "not_after": "08:00"}, "never_open"),
        ({"not_before": "24:00"}, "never_open"),
        ({"weekdays": []}, "too_short"),
        ({"weekdays": ["mo"]}, "literal_error"),
        ({"holidays": "XX"}, "literal_error"),
        ({"from": "08:00"}, "extra_forbidden"),
    ],
)
def test_what_is_no_window(window: dict[str, Any], kind: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Window.model_validate(window)
    assert caught.value.errors()[0]["type"] == kind


def test_an_unknown_zone_is_named() -> None:
    with pytest.raises(UnknownZone, match="Europe/Berlin"):
        earliest(local("2026-06-01 12:00"), "Europe/Berlyn", **DAYTIME)


def test_the_order_of_weekdays_says_nothing() -> None:
    assert Window(weekdays=("fri", "mon", "fri")) == Window(weekdays=("mon", "fri"))


def test_in_words() -> None:
    window = Window.model_validate({**DAYTIME, "weekdays": ["mon", "sun"], "holidays": "BY"})
    assert window.describe() == "08:00-20:00, Mon Sun, not on public holidays (BY)"
    assert window.describe("de") == "08:00-20:00, Mo So, nicht an Feiertagen (BY)"
    assert Window(not_before="09:00").describe() == "09:00-24:00"
