"""How soon something is tried again: later and later, never together, never too late."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from handoff.delivery.policy import FIRST_SECONDS, LONGEST_SECONDS, backoff, reading_backoff


@given(st.integers(0, 10_000))
def test_the_wait_doubles_up_to_a_limit(attempt: int) -> None:
    longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** max(0, min(attempt, 99) - 1))
    assert longest / 2 <= backoff(attempt) <= longest


def test_waits_are_spread() -> None:
    assert len({round(backoff(5), 6) for _ in range(50)}) > 40


@given(st.floats(0, 1e9))
def test_reading_is_tried_as_late_again_as_it_has_taken(seconds: float) -> None:
    assert reading_backoff(seconds) == max(FIRST_SECONDS, min(LONGEST_SECONDS, seconds))
