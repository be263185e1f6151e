from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from hooks.protocols.insightly_times import day_of, moment_of, query_text, webhook_moment

AFTERNOON = datetime(2026, 3, 2, 14, 22, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["2026-03-02 14:22:05", " 2026-03-02 14:22:05 ", "2026-03-02T14:22:05Z", "2026-03-02T15:22:05+01:00"]
)
def test_a_records_time_is_utc(text):
    found = moment_of(text)
    assert found == AFTERNOON
    assert found.utcoffset() == timedelta(0)


@pytest.mark.parametrize("text", [None, "", "  ", "0000-00-00 00:00:00", "0000-00-00"])
def test_a_time_that_was_never_set(text):
    assert moment_of(text) is None
    assert day_of(text) is None


@pytest.mark.parametrize(
    "text",
    ["soon", "02.03.2026 14:22", "2026-13-02 14:22:05", "/Date(1489132800000-0800)/", "0001-01-01T00:00:00+14:00"],
)
def test_a_time_that_cannot_be_read(text):
    with pytest.raises(ValueError, match="."):
        moment_of(text)


@pytest.mark.parametrize(
    "text", ["2026-03-02 00:00:00", "2026-03-02 23:59:59", "2026-03-02", "2026-03-02T23:00:00-08:00"]
)
def test_a_day_stays_that_day_whatever_its_zone(text):
    assert day_of(text) == date(2026, 3, 2)


def test_query_strings_want_t_and_z_and_whole_seconds():
    assert query_text(AFTERNOON + timedelta(milliseconds=999)) == "2026-03-02T14:22:05Z"
    assert query_text(AFTERNOON.astimezone(timezone(timedelta(hours=-8)))) == "2026-03-02T14:22:05Z"


def test_a_query_needs_a_zone():
    with pytest.raises(ValueError, match="zone"):
        query_text(AFTERNOON.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("/Date(1489132800000-0800)/", datetime(2017, 3, 10, 8, tzinfo=UTC)),
        ("/Date(1489132800000)/", datetime(2017, 3, 10, 8, tzinfo=UTC)),
        ("/Date(1489116850787+0100)/", datetime(2017, 3, 10, 3, 34, 10, 787000, tzinfo=UTC)),
        ("/Date(-1000-0800)/", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_webhooks_count_milliseconds_and_the_offset_does_not_count(text, moment):
    assert webhook_moment(text) == moment


@pytest.mark.parametrize("text", ["", "Date(1)", "/Date(x)/", "2026-03-02 14:22:05", "/Date(999999999999999)/"])
def test_a_webhooks_time_that_cannot_be_read(text):
    with pytest.raises(ValueError, match="."):
        webhook_moment(text)
