"""May it go out now: windows postpone, lateness counts from the postponed moment, people may allow what is late."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff.rules.rule import Rule
from handoff.times.late import HELD
from handoff.times.permission import End, Go, Permit, Wait, permit, postponed
from handoff.times.public_holidays import public_holidays
from handoff.times.timing import recipient_zone
from tests.support.domain import a_rule

BERLIN = "Europe/Berlin"
TAG = {"step": "klicktipp.tag", "tag": "da"}
MAIL = {"step": "email", "template": "hello"}
DAYTIME = {"not_before": "08:00", "not_after": "20:00"}
LATE, HOLD = End("skipped", "late"), End("held", HELD)

# Loaded here, so that no example counts how long that takes.
public_holidays("BY", 2026)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-06-{text}").replace(tzinfo=ZoneInfo(BERLIN))


def mailing(then: str = "hold", window: dict[str, Any] | None = DAYTIME, **more: Any) -> Rule:
    return a_rule(**({"steps": [MAIL], "late_after": {"hours": 2, "then": then}, "window": window} | more))


def asked(rule: Rule, due: str, now: str, step_no: int = 0, zone: str = BERLIN, **more: Any) -> Permit:
    return permit(rule, step_no, zone, at(due), at(now), **more)


@pytest.mark.parametrize(
    ("then", "minutes", "allowed", "permit"),
    [
        ("hold", 120, False, Go()),
        ("hold", 121, False, HOLD),
        ("hold", 121, True, Go()),
        ("skip", 120, False, Go()),
        ("skip", 121, False, LATE),
        ("skip", 121, True, Go()),
        ("send", 121, False, Go()),
        ("send", 99_999, False, Go()),
    ],
)
def test_what_becomes_of_what_is_late(then: str, minutes: int, allowed: bool, permit: Permit) -> None:
    now = (at("01 12:00") + timedelta(minutes=minutes)).strftime("%d %H:%M") if minutes < 5000 else "30 12:00"
    assert asked(mailing(then, None), "01 12:00", now, late_allowed=allowed) == permit


@pytest.mark.parametrize(
    ("due", "now", "permit"),
    [
        ("01 12:00", "01 12:00", Go()),
        ("01 22:00", "01 22:00", Wait(at("02 08:00"))),
        # Ten hours after its moment, but on time: lateness counts from when the window opens.
        ("01 22:00", "02 08:00", Go()),
        ("01 22:00", "02 10:00", Go()),
        ("01 22:00", "02 10:01", HOLD),
        # It was due in the window and missed it; what comes after the next opening would be too late.
        ("01 19:30", "01 19:59", Go()),
        ("01 19:30", "01 20:00", HOLD),
        ("01 19:30", "02 08:00", HOLD),
    ],
)
def test_a_window_postpones_and_lateness_counts_from_there(due: str, now: str, permit: Permit) -> None:
    assert asked(mailing(), due, now) == permit


def test_a_long_enough_grace_reaches_over_the_night() -> None:
    rule = mailing(late_after={"hours": 13})
    assert asked(rule, "01 19:30", "01 20:00") == Wait(at("02 08:00"))
    assert asked(rule, "01 19:30", "02 08:00") == Go()


@pytest.mark.parametrize(("then", "allowed"), [("send", False), ("hold", True), ("skip", True)])
def test_what_may_be_late_still_waits_for_its_window(then: str, allowed: bool) -> None:
    assert asked(mailing(then), "01 12:00", "03 23:00", late_allowed=allowed) == Wait(at("04 08:00"))
    assert asked(mailing(then), "01 12:00", "04 08:00", late_allowed=allowed) == Go()


def test_the_rules_window_holds_back_what_goes_to_a_person_and_a_steps_own_any_step() -> None:
    noon = {"not_before": "12:00", "not_after": "13:00"}
    always = {"not_before": "00:00"}
    rule = mailing(steps=[TAG, MAIL, {**TAG, "window": noon}, {**MAIL, "window": always}], late_after={"days": 2})
    found = [asked(rule, "01 22:00", "01 22:00", step_no) for step_no in range(4)]
    assert found == [Go(), Wait(at("02 08:00")), Wait(at("02 12:00")), Go()]


def test_a_step_is_postponed_with_those_before_it() -> None:
    evening, morning = {"not_before": "18:00"}, {"not_after": "10:00"}
    rule = mailing(window=None, steps=[{**MAIL, "window": evening}, TAG, {**MAIL, "window": morning}])
    moments = [postponed(rule, number, BERLIN, at("01 09:00")) for number in range(3)]
    assert moments == [at("01 18:00"), at("01 18:00"), at("02 00:00")]
    assert asked(rule, "01 09:00", "02 00:30", 2) == Go()
    assert asked(rule, "01 09:00", "02 02:01", 2) == HOLD


def test_the_window_is_the_recipients() -> None:
    assert asked(mailing(), "01 09:00", "01 09:00", zone="America/New_York") == Wait(at("01 14:00"))
    assert [recipient_zone(own, BERLIN) for own in ("America/New_York", "", "Berlin", "../x", BERLIN)] == [
        "America/New_York", BERLIN, BERLIN, BERLIN, BERLIN,
    ]  # fmt: skip


times = st.integers(0, 60 * 24 * 40).map(lambda minutes: at("01 00:00") + timedelta(minutes=minutes))


@given(times, times, st.sampled_from(["hold", "send", "skip"]), st.booleans(), st.integers(1, 4000))
def test_who_waits_goes_when_the_wait_is_over(
    due: datetime, now: datetime, then: str, allowed: bool, grace: int
) -> None:
    """Waiting leads to going out, in the window, within the grace; only what is too late ends."""
    window = {**DAYTIME, "weekdays": ["mon", "thu"], "holidays": "BY"}
    rule = mailing(then, window, late_after={"minutes": grace, "then": then})
    found = permit(rule, 0, BERLIN, due, now, late_allowed=allowed)
    if isinstance(found, Wait):
        assert found.until > now
        assert permit(rule, 0, BERLIN, due, found.until, late_allowed=allowed) == Go()
    if isinstance(found, End):
        assert then != "send"
        assert not allowed
        assert rule.window is not None
        assert rule.window.earliest(now, BERLIN) > postponed(rule, 0, BERLIN, due) + timedelta(minutes=grace)
    elif not allowed and then != "send":
        out = found.until if isinstance(found, Wait) else now
        assert out <= postponed(rule, 0, BERLIN, due) + timedelta(minutes=grace)
