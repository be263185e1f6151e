"""Due moments: elapsed minutes and hours, calendar days, and the nights when the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from handoff.times.timing import Span, UnknownZone, When

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kolkata", "UTC")


def berlin(text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("when", "anchor", "due"),
    [
        ({"minutes": 1, "after": "end"}, berlin("2026-06-01 20:30"), utc("2026-06-01 18:31")),
        ({"minutes": 10, "before": "start"}, berlin("2026-06-01 19:00"), utc("2026-06-01 16:50")),
        ({"minutes": 0, "after": "end"}, berlin("2026-06-01 19:00"), utc("2026-06-01 17:00")),
        ({"days": 2, "hours": 3, "before": "start"}, berlin("2026-06-03 19:00"), utc("2026-06-01 14:00")),
        # Elapsed time runs through the change of the clocks ...
        ({"hours": 24, "after": "end"}, berlin("2027-03-27 19:00"), utc("2027-03-28 18:00")),
        ({"hours": 24, "after": "end"}, berlin("2026-10-24 19:00"), utc("2026-10-25 17:00")),
        ({"minutes": 60, "after": "start"}, berlin("2026-10-25 02:30"), utc("2026-10-25 01:30")),
        # ... and calendar days keep the time of day.
        ({"days": 1, "after": "end"}, berlin("2027-03-27 19:00"), berlin("2027-03-28 19:00")),
        ({"days": 2, "after": "end"}, berlin("2026-10-24 19:00"), berlin("2026-10-26 19:00")),
        ({"days": 1, "before": "start"}, berlin("2027-10-31 19:00"), berlin("2027-10-30 19:00")),
        ({"days": 1, "hours": 1, "after": "end"}, berlin("2027-10-30 19:00"), berlin("2027-10-31 20:00")),
        # The skipped hour moves forward by the gap, from either side and from the second of a doubled hour.
        ({"days": 1, "after": "end"}, berlin("2027-03-27 02:30"), utc("2027-03-28 01:30")),
        ({"days": 1, "before": "end"}, berlin("2027-03-29 02:00"), utc("2027-03-28 01:00")),
        ({"days": 154, "after": "end"}, berlin("2026-10-25 02:30", fold=1), utc("2027-03-28 01:30")),
        # The doubled hour: the first, or the second when the anchor was the second of its own.
        ({"days": 1, "after": "end"}, berlin("2026-10-24 02:30"), utc("2026-10-25 00:30")),
        ({"days": 1, "after": "end"}, berlin("2027-10-30 02:30"), utc("2027-10-31 00:30")),
        ({"days": 371, "after": "end"}, berlin("2026-10-25 02:30", fold=1), utc("2027-10-31 01:30")),
        ({"days": 0, "after": "end"}, berlin("2026-10-25 02:30", fold=1), utc("2026-10-25 01:30")),
    ],
)
def test_due(when: dict[str, object], anchor: datetime, due: datetime) -> None:
    found = When.model_validate(when).due(anchor.astimezone(UTC), "Europe/Berlin")
    assert found == due.astimezone(UTC)
    assert found.tzinfo is UTC


def test_days_are_those_of_the_occasions_zone() -> None:
    anchor, when = utc("2027-03-14 03:00"), When(days=1, after="end")
    assert when.due(anchor, "America/New_York") == utc("2027-03-15 02:00")
    assert when.due(anchor, "Europe/Berlin") == utc("2027-03-15 03:00")


moments = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
directions = st.sampled_from(["before", "after"])


@given(moments, moments, st.integers(0, 5000), st.integers(0, 500), directions, st.sampled_from(ZONES))
def test_elapsed_offsets_keep_order_and_distance(
    one: datetime, other: datetime, minutes: int, hours: int, direction: str, zone: str
) -> None:
    when = When.model_validate({"minutes": minutes, "hours": hours, direction: "end"})
    assert when.due(one, zone) - when.due(other, zone) == one - other
    assert abs(when.due(one, zone) - one) == when.elapsed


@given(moments, st.integers(0, 3650), directions, st.sampled_from(ZONES))
def test_days_keep_the_wall_clock_or_move_forward_out_of_a_gap(
    anchor: datetime, days: int, direction: str, zone: str
) -> None:
    local = anchor.astimezone(ZoneInfo(zone))
    due = When.model_validate({"days": days, direction: "start"}).due(anchor, zone)
    wanted = local.replace(tzinfo=None) + timedelta(days=days if direction == "after" else -days)
    wall = due.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    exists = any(
        wanted.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        == wanted
        for fold in (0, 1)
    )
    assert wall == wanted if exists else timedelta() < wall - wanted <= timedelta(hours=1)


@pytest.mark.parametrize("zone", ["Europe/Berlyn", "", "../etc/passwd", "Europe"])
def test_an_unknown_zone_is_named(zone: str) -> None:
    with pytest.raises(UnknownZone, match="Europe/Berlin"):
        When(minutes=1, after="end").due(utc("2026-01-01 00:00"), zone)


def test_a_naive_anchor_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        When(minutes=1, after="end").due(datetime(2026, 1, 1), "UTC")  # noqa: DTZ001


@pytest.mark.parametrize(
    ("when", "kind"),
    [
        ({"minutes": 1, "before": "start", "after": "end"}, "both_anchors"),
        ({"minutes": 1}, "no_anchor"),
        ({"after": "end"}, "no_amount"),
        ({"minutes": -1, "after": "end"}, "greater_than_equal"),
        ({"minutes": True, "after": "end"}, "int_type"),
        ({"days": 100_000, "after": "end"}, "less_than_equal"),
        ({"minutes": 1, "after": "middle"}, "literal_error"),
    ],
)
def test_what_is_no_moment(when: dict[str, object], kind: str) -> None:
    with pytest.raises(ValidationError) as caught:
        When.model_validate(when)
    assert [error["type"] for error in caught.value.errors()] == [kind]


@pytest.mark.parametrize(
    ("when", "german", "english"),
    [
        ({"minutes": 1, "after": "end"}, "1 Minute nach Ende", "1 minute after the end"),
        (
            {"days": 2, "hours": 1, "before": "start"},
            "2 Tage und 1 Stunde vor Start",
            "2 days and 1 hour before the start",
        ),
        (
            {"days": 1, "hours": 2, "minutes": 3, "after": "end"},
            "1 Tag, 2 Stunden und 3 Minuten nach Ende",
            "1 day, 2 hours and 3 minutes after the end",
        ),
        ({"minutes": 0, "before": "start"}, "zum Start", "at the start"),
    ],
)
def test_in_words(when: dict[str, object], german: str, english: str) -> None:
    assert When.model_validate(when).describe("de") == german
    assert When.model_validate(when).describe("en") == english


def test_a_span_is_elapsed_time() -> None:
    assert Span(days=1, hours=2, minutes=3).elapsed == timedelta(hours=26, minutes=3)
