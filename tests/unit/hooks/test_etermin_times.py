"""eTermin's times: local ones, their twins in UTC, the doubled and the skipped hour, names of zones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.protocols.etermin_times import local_day, local_minute, moment_of, zone_of

BERLIN = "Europe/Berlin"
MOMENTS = st.integers(315_532_800, 3_786_912_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
ZONES = st.sampled_from([BERLIN, "Europe/Zurich", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"])


@pytest.mark.parametrize(
    "words",
    ["2026-05-10T10:00:00", "2026-05-10 10:00", "20260510 100000", "20260510100000", " 202605101000 ",
     "2026-05-10T08:00:00Z", "2026-05-10T04:00:00-04:00", "2026-05-10T10:00:00.000"],
)  # fmt: skip
def test_every_form_is_the_same_moment(words):
    assert moment_of(words, "", BERLIN) == datetime(2026, 5, 10, 8, tzinfo=UTC)


@pytest.mark.parametrize("words", ["", "  ", "0001-01-01T00:00:00", "00010101 000000"])
def test_no_time(words):
    assert moment_of(words, "", BERLIN) is None


@pytest.mark.parametrize(
    "words", ["soon", "2026-13-01T10:00", "20261301 100000", "٢٠٢٦-05-10", "9999-12-31T23:59:59-12:00", "1 2"]
)
def test_what_is_no_time_is_an_error(words):
    with pytest.raises(ValueError, match=r".") as caught:
        moment_of(words, "", BERLIN)
    assert type(caught.value) is ValueError


def test_in_the_doubled_hour_the_twin_decides():
    local = "2026-10-25T02:30:00"
    assert moment_of(local, "2026-10-25T00:30:00", BERLIN) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert moment_of(local, "2026-10-25T01:30:00", BERLIN) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert moment_of(local, "", BERLIN) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_a_skipped_time_is_moved_forward():
    assert moment_of("20270328 023000", "", BERLIN) == datetime(2027, 3, 28, 1, 30, tzinfo=UTC)
    assert local_minute(datetime(2027, 3, 28, 1, 30, tzinfo=UTC), BERLIN) == "2027-03-28 03:30"


@given(MOMENTS, ZONES)
def test_the_twin_always_decides(moment, zone):
    local = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    for words in (local.isoformat(), local.strftime("%Y%m%d %H%M%S"), "no time at all"):
        assert moment_of(words, moment.replace(tzinfo=None).isoformat(), zone) == moment


@given(MOMENTS, ZONES)
def test_without_its_twin_a_local_time_is_read_back_as_it_was_written(moment, zone):
    local = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None, microsecond=0)
    found = moment_of(local.strftime("%Y%m%d %H%M%S"), "", zone)
    assert found.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == local
    assert found <= moment < found + timedelta(hours=1, seconds=1)


@given(st.text(), st.text(), ZONES)
def test_any_text_is_a_time_none_or_a_value_error(local, utc, zone):
    try:
        found = moment_of(local, utc, zone)
    except ValueError:
        return
    assert found is None or found.tzinfo is UTC


@pytest.mark.parametrize(
    ("name", "zone"),
    [("W. Europe Standard Time", BERLIN), (" w. europe  standard time", BERLIN), ("Europe/Zurich", "Europe/Zurich"),
     ("UTC", "Etc/UTC"), ("Romance Standard Time", "Europe/Paris")],
)  # fmt: skip
def test_windows_names_are_zones(name, zone):
    assert zone_of(name) == zone


@pytest.mark.parametrize("name", ["", "Mitteleuropa", "../etc/passwd", "\0"])
def test_what_is_no_zone(name):
    with pytest.raises(ValueError, match="neither an IANA"):
        zone_of(name)


def test_days_are_the_accounts():
    late = datetime(2026, 5, 10, 22, 30, tzinfo=UTC)
    assert local_day(late, BERLIN).isoformat() == "2026-05-11"
    assert local_day(late, "America/New_York", 2).isoformat() == "2026-05-12"
