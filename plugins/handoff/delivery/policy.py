"""What each failure of a call means, as one table; and how soon something is tried again."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum

from handoff.errors import QuotaUsedUp, RateLimited, Refused, TargetError, Transient, UnknownOutcome, WrongCredentials
from handoff.ledger.circuits import CREDENTIALS_SECONDS

MOST_ATTEMPTS = 8
"""After so many attempts whose outcome was unknown and that had no effect, a person is asked."""
FIRST_SECONDS, LONGEST_SECONDS = 1.0, 300.0
IMPATIENT_ATTEMPTS = 2


def backoff(attempt: int) -> float:
    """Return the seconds to wait after the ``attempt``-th failure: doubling, capped, with full jitter's upper half."""
    longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(max(0, attempt - 1), 30))
    return longest * random.uniform(0.5, 1.0)


def reading_backoff(seconds_since_attempt: float) -> float:
    """Return the seconds until a target that could not be read is asked again: as long as it has taken so far."""
    return min(LONGEST_SECONDS, max(FIRST_SECONDS, seconds_since_attempt))


class Then(Enum):
    """What becomes of the effect."""

    DEAD = "refused, with the vendor's own words; its lane goes on"
    AGAIN = "sent again: the call certainly had no effect"
    SETTLE = "settled by reading, or held for a person where nothing can be read"


class Account(Enum):
    """What it says about the whole target account, for all lanes of all workers."""

    WORKS = "it answers: failures in a row are over"
    LIMITED = "it answers, and rests for as long as the lane does"
    UNASKED = "nothing: it was not asked"
    FAILS = "one more failure in a row: after enough of them its circuit opens"
    STOPS = "its circuit opens at once, and the team is told once"


class Pause(Enum):
    """How long the effect's lane rests."""

    NONE = "not at all"
    ASKED = (
        "as long as the vendor asks, an hour at most or until its day ends, else as for BACKOFF; "
        "less than a second only for the first two attempts"
    )
    BACKOFF = "longer with every attempt, with jitter"
    SETTLING = "until the target can be read; from the third attempt on as for BACKOFF, if that is longer"
    CREDENTIALS = "until the credentials are tried again"


@dataclass(frozen=True, slots=True)
class Treatment:
    """What a kind of failure leads to."""

    then: Then
    pause: Pause
    account: Account


POLICY: dict[type[TargetError], Treatment] = {
    WrongCredentials: Treatment(Then.AGAIN, Pause.CREDENTIALS, Account.STOPS),
    Refused: Treatment(Then.DEAD, Pause.NONE, Account.WORKS),
    RateLimited: Treatment(Then.AGAIN, Pause.ASKED, Account.LIMITED),
    QuotaUsedUp: Treatment(Then.AGAIN, Pause.ASKED, Account.UNASKED),
    Transient: Treatment(Then.AGAIN, Pause.BACKOFF, Account.FAILS),
    UnknownOutcome: Treatment(Then.SETTLE, Pause.SETTLING, Account.FAILS),
}


def treatment(error: TargetError) -> Treatment:
    """Return what an error leads to; a kind that is not in the table is treated as an unknown outcome."""
    for kind in type(error).__mro__:
        if kind in POLICY:
            return POLICY[kind]
    return POLICY[UnknownOutcome]


def pause_after(error: TargetError, attempts: int, settling_seconds: float = 0.0) -> float:
    """Return the seconds for which the lane rests after a failed call.

    :param attempts: how many calls the effect has cost so far.
    :param settling_seconds: how long the target may take to show an effect.
    """
    pause = treatment(error).pause
    if pause is Pause.NONE:
        return 0.0
    if pause is Pause.CREDENTIALS:
        return CREDENTIALS_SECONDS
    if pause is Pause.SETTLING:
        later = attempts - IMPATIENT_ATTEMPTS
        return max(settling_seconds, backoff(later) if later > 0 else 0.0)
    asked = error.retry_after if isinstance(error, RateLimited) else None
    # A vendor that asks for no time at all, again and again, must not keep a worker busy for ever.
    if pause is Pause.ASKED and asked is not None and (asked >= FIRST_SECONDS or attempts <= IMPATIENT_ATTEMPTS):
        return asked
    return backoff(attempts)
