from __future__ import annotations

import pytest

from sandbox.clock import german_minute, parse_offset


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("-10m", -600), ("+25s", 25), ("1h", 3600), ("1h30m", 5400), ("-2d", -172800), ("0.5s", 0.5), ("+40", 40), (7, 7)],
)
def test_an_offset_is_seconds(text: str | float, seconds: float) -> None:
    assert parse_offset(text) == seconds


@pytest.mark.parametrize("text", ["", "ten", "5 weeks", "10m later", "--5s", True])
def test_what_is_no_offset_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="offset|expected seconds"):
        parse_offset(text)


def test_german_times_follow_summer_time() -> None:
    assert german_minute(1774375200) == "24.03.2026 19:00"
    assert german_minute(1774980000) == "31.03.2026 20:00"
