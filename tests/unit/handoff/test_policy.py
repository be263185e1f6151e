"""How soon something is tried again: later and later, never together, never too late."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff.delivery.policy import (
    FIRST_SECONDS,
    LONGEST_SECONDS,
    POLICY,
    Account,
    Then,
    backoff,
    pause_after,
    reading_backoff,
    treatment,
)
from handoff.errors import QuotaUsedUp, RateLimited, Refused, TargetError, Transient, UnknownOutcome, WrongCredentials


@given(st.integers(0, 10_000))
def test_the_wait_doubles_up_to_a_limit(attempt: int) -> None:
    longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** max(0, min(attempt, 99) - 1))
    assert longest / 2 <= backoff(attempt) <= longest


def test_waits_are_spread() -> None:
    assert len({round(backoff(5), 6) for _ in range(50)}) > 40


@given(st.floats(0, 1e9))
def test_reading_is_tried_as_late_again_as_it_has_taken(seconds: float) -> None:
    assert reading_backoff(seconds) == max(FIRST_SECONDS, min(LONGEST_SECONDS, seconds))


class Odd(TargetError):
    """A kind of failure that nobody has thought of."""


def test_every_kind_of_failure_has_its_place_in_the_table() -> None:
    assert {kind for kind in TargetError.__subclasses__() if kind is not Odd} <= POLICY.keys()


@pytest.mark.parametrize(
    ("error", "then", "account"),
    [
        (WrongCredentials("a", "tag"), Then.AGAIN, Account.STOPS),
        (Refused("a", "tag"), Then.DEAD, Account.WORKS),
        (RateLimited("a", "tag"), Then.AGAIN, Account.LIMITED),
        (Transient("a", "tag"), Then.AGAIN, Account.FAILS),
        (UnknownOutcome("a", "tag"), Then.SETTLE, Account.FAILS),
        (Odd("a", "tag"), Then.SETTLE, Account.FAILS),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_failure_leads_to(error: TargetError, then: Then, account: Account) -> None:
    assert (treatment(error).then, treatment(error).account) == (then, account)


def test_a_rest_that_the_vendor_asks_for_is_kept_to_the_second() -> None:
    assert pause_after(RateLimited("a", "tag", retry_after=17.5), 1) == 17.5
    assert pause_after(RateLimited("a", "tag", retry_after=0.0), 2) == 0.0
    # A vendor that asks for no time, again and again, keeps no run from ending.
    assert pause_after(RateLimited("a", "tag", retry_after=0.0), 9) >= LONGEST_SECONDS / 3
    assert LONGEST_SECONDS / 2 <= pause_after(RateLimited("a", "tag"), 20) <= LONGEST_SECONDS


@pytest.mark.parametrize("seconds", [3601.0, 1_795_000_000.0, 1e15, math.inf])
def test_no_vendor_puts_an_account_to_rest_for_long(seconds: float) -> None:
    assert pause_after(RateLimited("a", "tag", retry_after=seconds), 1) == 3600.0
    assert 86_401.0 < pause_after(QuotaUsedUp("a", "tag", retry_after=seconds * 1000), 1) <= 90_000.0


def test_a_day_that_is_used_up_rests_until_it_ends() -> None:
    assert pause_after(QuotaUsedUp("a", "tag", retry_after=86_401.0), 1) == 86_401.0


def test_a_doubtful_effect_is_never_read_before_its_target_has_settled() -> None:
    for attempts in range(1, 30):
        assert pause_after(UnknownOutcome("a", "tag"), attempts, settling_seconds=400.0) == 400.0
    assert pause_after(UnknownOutcome("a", "tag"), 2, settling_seconds=0.0) == 0.0
    assert pause_after(UnknownOutcome("a", "tag"), 9, settling_seconds=1.0) > 30


def test_credentials_are_tried_again_every_minute() -> None:
    assert {pause_after(WrongCredentials("a", "log in"), attempt) for attempt in range(9)} == {60.0}
