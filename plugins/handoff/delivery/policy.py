"""How often and how soon an effect that had no outcome is tried again."""

from __future__ import annotations

import random

MOST_ATTEMPTS = 8
"""After so many attempts whose outcome was unknown and that had no effect, a person is asked."""
FIRST_SECONDS, LONGEST_SECONDS = 1.0, 300.0
CREDENTIALS_SECONDS = 60.0
"""How long an account's lanes rest after its credentials were not accepted."""


def backoff(attempt: int) -> float:
    """Return the seconds to wait after the ``attempt``-th failure: doubling, capped, with full jitter's upper half."""
    longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(max(0, attempt - 1), 30))
    return longest * random.uniform(0.5, 1.0)


def reading_backoff(seconds_since_attempt: float) -> float:
    """Return the seconds until a target that could not be read is asked again: as long as it has taken so far."""
    return min(LONGEST_SECONDS, max(FIRST_SECONDS, seconds_since_attempt))
