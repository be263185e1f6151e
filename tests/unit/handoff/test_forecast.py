"""Whether batches will be on time, foreseen."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff.ledger.quotas import SPACING, AccountNow, next_day
from handoff.planning.forecast import LONGEST_EARLY, Need, Outlook, forecast, requests_of
from tests.support.domain import a_rule

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MOMENT = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)


def a_need(contacts: int, moment: datetime = MOMENT, *, early: bool = False, each: int = 1) -> Need:
    return Need(contacts, moment, {"account": contacts * each}, early)


def outlook(need: Need, now: datetime = NOW, **account: object) -> Outlook:
    (found,) = forecast([need], {"account": AccountNow(**account)}, now)  # type: ignore[arg-type]
    return found


def test_the_sentence_of_an_early_start() -> None:
    found = outlook(a_need(812, early=True), rate=5.0)
    # 812 / 5 = 162.4 s, and slots are 3 % further apart than the limit needs.
    assert found.in_words() == "812 contacts at 5/s take 168 s: starting 168 s early"
    assert found.begins_at == MOMENT - timedelta(seconds=812 * SPACING / 5)
    assert found.ends_at == MOMENT


def test_the_sentence_of_a_day_that_is_used_up() -> None:
    now = datetime.now(UTC).replace(hour=9, minute=0, second=0, microsecond=0)
    found = outlook(a_need(4_000, now + timedelta(hours=5)), now, rate=10.0, per_day=1_000, used=211)
    assert found.used_up_at is not None
    assert (
        f"the daily quota ends at {found.used_up_at.astimezone():%H:%M:%S}, 3,211 handoffs move to" in found.in_words()
    )
    assert found.in_words().endswith("tomorrow")
    assert found.ends_at is not None
    assert found.ends_at > now + timedelta(days=3)


def test_without_a_limit_nothing_starts_early() -> None:
    found = outlook(a_need(100_000, early=True))
    assert (found.early, found.late, found.ends_at) == (timedelta(), timedelta(), MOMENT)


def test_an_account_without_any_request_left_is_never_done() -> None:
    found = outlook(a_need(3), per_day=0)
    assert (found.ends_at, found.moved) == (None, 3)


@pytest.mark.parametrize(
    ("steps", "bulk_from", "requests"),
    [
        (["klicktipp.contact", "klicktipp.tag"], None, {"klicktipp_default": 400}),
        (["activecampaign.tag"], None, {"activecampaign_default": 200}),
        (["activecampaign.contact", "activecampaign.tag"], None, {"activecampaign_default": 200}),
        (["activecampaign.contact", "activecampaign.tag"], 50, {"activecampaign_default": 4}),
        (["activecampaign.contact", "activecampaign.tag"], 101, {"activecampaign_default": 200}),
        (["klicktipp.contact", "activecampaign.list"], 50, {"klicktipp_default": 300, "activecampaign_default": 300}),
    ],
)
def test_what_steps_need(steps: list[str], bulk_from: int | None, requests: dict[str, int]) -> None:
    names = {"tag": {"tag": "t"}, "list": {"list": "l"}, "contact": {}}
    rule = a_rule(steps=[{"step": step, **names[step.split(".")[1]]} for step in steps])
    assert requests_of(rule.steps, 100, {"activecampaign_default": AccountNow(bulk_from=bulk_from)}) == requests


needs = st.builds(
    lambda contacts, minutes, each, early: a_need(contacts, NOW + timedelta(minutes=minutes), each=each, early=early),
    st.integers(0, 5_000),
    st.integers(-60, 3 * 24 * 60),
    st.integers(1, 3),
    st.booleans(),
)
rates = st.one_of(st.none(), st.floats(0.5, 100))
quotas = st.one_of(st.none(), st.integers(100, 20_000))


@given(st.lists(needs, max_size=5), rates, quotas, st.integers(0, 100))
def test_nothing_is_promised_that_the_account_does_not_allow(
    wanted: list[Need], rate: float | None, per_day: int | None, used: int
) -> None:
    wanted.sort(key=lambda need: need.moment)
    found = forecast(wanted, {"account": AccountNow(rate, per_day, used)}, NOW)
    assert [one.need for one in found] == wanted
    done = 0
    for one in found:
        asked = one.need.requests["account"]
        done += asked
        assert one.begins_at >= NOW
        assert one.begins_at >= one.need.moment - LONGEST_EARLY
        assert one.need.start_early or one.begins_at == max(NOW, one.need.moment)
        assert (one.moved == 0) == (one.used_up_at is None)
        assert one.moved <= one.need.contacts
        if one.ends_at is None:
            continue
        assert one.ends_at >= one.begins_at
        assert one.ends_at >= one.begins_at + timedelta(seconds=math.floor(one.seconds))
        if rate:
            # All that was asked so far fits into the time since now.
            assert (one.ends_at - NOW).total_seconds() * rate / SPACING >= done - 2
        if per_day is not None:
            days = (one.ends_at.date() - NOW.date()).days + 1
            assert done <= days * per_day - used or done == 0 or used > per_day
        if one.used_up_at:
            assert one.ends_at >= next_day(one.used_up_at)


@given(st.integers(1, 10_000), st.floats(3, 100), st.integers(1, 3))
def test_an_early_start_is_done_by_the_moment(contacts: int, rate: float, each: int) -> None:
    found = outlook(a_need(contacts, early=True, each=each), rate=rate)
    assert found.ends_at is not None
    if found.seconds <= LONGEST_EARLY.total_seconds():
        assert abs(found.late) < timedelta(milliseconds=1)
        assert abs(found.early.total_seconds() - contacts * each * SPACING / rate) < 0.001
    else:
        assert found.early == LONGEST_EARLY
        assert found.late > timedelta()


@given(needs, rates, quotas, st.integers(1, 1_000))
def test_more_contacts_are_never_done_sooner(need: Need, rate: float | None, per_day: int | None, more: int) -> None:
    bigger = a_need(need.contacts + more, need.moment, each=1)
    smaller = a_need(need.contacts, need.moment, each=1)
    account = {"account": AccountNow(rate, per_day)}
    (few,), (many,) = forecast([smaller], account, NOW), forecast([bigger], account, NOW)
    assert many.moved >= few.moved
    assert few.ends_at is not None
    assert many.ends_at is not None
    assert many.ends_at >= few.ends_at


@given(st.lists(st.integers(0, 2_000), min_size=1, max_size=5), st.integers(100, 3_000))
def test_two_batches_share_one_day(sizes: list[int], per_day: int) -> None:
    found = forecast([a_need(size) for size in sizes], {"account": AccountNow(None, per_day)}, NOW)
    moved = sum(one.moved for one in found)
    today = Counter({"asked": sum(sizes), "moved": moved})
    assert today["moved"] == max(0, today["asked"] - per_day)
