from __future__ import annotations

import pytest

from sandbox.calls import Day


def test_a_day_ends_at_midnight_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 86400.0 * 20_000 + 86399.0
    monkeypatch.setattr("sandbox.calls.time.time", lambda: now)
    day = Day(3, used=2)
    assert day.left == 1
    day.add()
    assert (day.used, day.left) == (3, 0)
    now += 1.0
    assert (day.used, day.left) == (0, 3)
    day.add()
    assert (day.used, day.left) == (1, 2)
