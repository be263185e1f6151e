"""Audiences are judged for a moment, whatever the history and whenever the judging happens."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff.audience import Audience, Judgement, judge
from handoff.registration import Presence, Registration

START = datetime(2026, 3, 24, 18, tzinfo=UTC)
END = START + timedelta(minutes=100)
AFTER = END + timedelta(minutes=1)


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def somebody(*stays: tuple[float, float | None], registered: float = -60) -> Registration:
    presence = tuple(Presence(at(joined), None if left is None else at(left)) for joined, left in stays)
    return Registration("r1", "eva@example.org", at(registered), presence=presence)


def verdict(person: Registration, moment: datetime, who: Audience, percent: int = 50) -> Judgement:
    return judge(person, moment, START, END, who, percent)


@pytest.mark.parametrize(
    ("stays", "percent"),
    [
        ([], 0),
        ([(0, 100)], 100),
        ([(-30, 130)], 100),
        ([(-30, -10), (110, 120)], 0),
        ([(60, 90), (0, 10)], 40),
        ([(0, 40), (20, 60), (30, 35)], 60),
        ([(10, 10), (50, 20)], 0),
        ([(90, None)], 10),
        ([(0, 1 / 3)], 0.33),
        ([(0, 49.9999)], 49.99),
    ],
)
def test_the_watched_share_is_that_of_the_union(stays: list[tuple[float, float | None]], percent: float) -> None:
    assert verdict(somebody(*stays), AFTER, Audience.ATTENDED).facts["watched_percent"] == percent


@pytest.mark.parametrize(
    ("watched", "percent", "attended"), [(50, 50, True), (49.9999, 50, False), (1, 1, True), (99, 100, False)]
)
def test_somebody_attended_from_the_percentage_on(watched: float, percent: int, attended: bool) -> None:
    person = somebody((0, watched))
    assert verdict(person, AFTER, Audience.ATTENDED, percent).included is attended
    assert verdict(person, AFTER, Audience.NOT_ATTENDED, percent).included is not attended


def test_until_the_share_is_reached_everybody_is_not_attended() -> None:
    person = somebody((0, None))
    assert verdict(person, at(49), Audience.NOT_ATTENDED).included
    assert verdict(person, at(50), Audience.ATTENDED).included


def test_a_stay_is_half_open() -> None:
    person = somebody((10, 20))
    online = [minute for minute in (9.99, 10, 19.99, 20) if verdict(person, at(minute), Audience.ONLINE).included]
    assert online == [10, 19.99]


def test_who_registers_later_is_in_no_audience() -> None:
    person = somebody((0, None), registered=30)
    for who in Audience:
        assert not verdict(person, at(29), who).included
        assert verdict(person, at(29), who).reason == "registered_later"
    assert verdict(person, at(30), Audience.REGISTERED).included


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        (Audience.REGISTERED, "registered"),
        (Audience.ATTENDED, "not_attended"),
        (Audience.NOT_ATTENDED, "not_attended"),
        (Audience.ONLINE, "online"),
        (Audience.NOT_ONLINE, "online"),
    ],
)
def test_the_reason_is_what_the_person_was(who: Audience, reason: str) -> None:
    found = verdict(somebody((40, 60)), at(45), who)
    assert (found.included, found.reason) == (who == reason, reason)


def test_facts_are_plain_json_without_contact_data() -> None:
    facts = verdict(somebody((40, 60)), at(45), Audience.ONLINE).facts
    assert json.loads(json.dumps(facts)) == {
        "moment": "2026-03-24T18:45:00+00:00",
        "start": "2026-03-24T18:00:00+00:00",
        "end": "2026-03-24T19:40:00+00:00",
        "registered_at": "2026-03-24T17:00:00+00:00",
        "online": True,
        "watched_percent": 5.0,
        "attended_from_percent": 50,
    }


def test_a_webinar_without_length_was_attended_by_nobody() -> None:
    person = somebody((-10, 10))
    for end in (START, START - timedelta(minutes=5)):
        assert judge(person, AFTER, START, end, Audience.NOT_ATTENDED, 1).included


def test_a_webinar_through_the_doubled_hour_is_measured_in_elapsed_time() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    start = datetime(2026, 10, 25, 2, 30, tzinfo=berlin)
    end = datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=1)
    half = Presence(start, datetime(2026, 10, 25, 2, 0, tzinfo=berlin, fold=1))
    person = Registration("r1", "", start - timedelta(hours=4), presence=(half,))
    assert judge(person, end, start, end, Audience.ATTENDED, 50).facts["watched_percent"] == 50.0


def test_labels() -> None:
    assert [who.label("de") for who in Audience] == [
        "Angemeldet",
        "Teilgenommen",
        "Nicht teilgenommen",
        "Gerade online",
        "Gerade nicht online",
    ]
    assert Audience.NOT_ONLINE.label("en") == "not online"


minutes = st.integers(-30, 130)
stays = st.lists(st.tuples(minutes, st.one_of(st.none(), minutes)), max_size=6)


@given(stays, minutes, minutes, st.integers(1, 100))
def test_pairs_partition_the_registered(
    history: list[tuple[int, int | None]], registered: int, minute: int, percent: int
) -> None:
    person = somebody(*history, registered=registered)
    included = {who: verdict(person, at(minute), who, percent).included for who in Audience}
    assert included[Audience.REGISTERED] == (registered <= minute)
    for one, other in ((Audience.ONLINE, Audience.NOT_ONLINE), (Audience.ATTENDED, Audience.NOT_ATTENDED)):
        assert included[one] + included[other] == included[Audience.REGISTERED]


@given(stays, stays, minutes, st.integers(1, 100), st.randoms(use_true_random=False))
def test_what_arrives_later_or_in_another_order_changes_nothing(
    history: list[tuple[int, int | None]],
    later: list[tuple[int, int | None]],
    minute: int,
    percent: int,
    random: object,
) -> None:
    known_then = [(joined, None if left is None or left > minute else left) for joined, left in history]
    known_then = [stay for stay in known_then if stay[0] <= minute]
    known_later = history + [(joined, left) for joined, left in later if joined > minute]
    random.shuffle(known_later)  # type: ignore[attr-defined]
    for who in Audience:
        then, now = (verdict(somebody(*known), at(minute), who, percent) for known in (known_then, known_later))
        assert then == now


@given(stays, minutes)
def test_the_share_agrees_with_counting_minutes(history: list[tuple[int, int | None]], minute: int) -> None:
    seen = {
        tick
        for joined, left in history
        for tick in range(max(joined, 0), min(100, minute, 200 if left is None else left))
    }
    assert verdict(somebody(*history), at(minute), Audience.ATTENDED).facts["watched_percent"] == len(seen)
