from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from sandbox.etermin.appointment import Appointment
from sandbox.etermin.outbox import OVERTAKEN_AFTER, Outbox, Push
from sandbox.etermin.post import accepts
from sandbox.etermin.times import compact_text, iso_text, parse_day, parse_minute, zone_named
from sandbox.etermin.vendor import signed
from sandbox.scenario_etermin import AppointmentModel, EterminModel, PushModel, moment_at

ZURICH = ZoneInfo("Europe/Zurich")


def a_push(number: int) -> Push:
    return Push("CREATED", Appointment(number, f"u{number}", 1, 0, 1, 0), "", number)


def sent(outbox: Outbox, *moments: float) -> list[list[int]]:
    return [[push.number for push in outbox.due(moment)] for moment in moments]


def test_the_contracts_signature() -> None:
    headers = {"publickey": "pk", "salt": "1234567890", "signature": "85QAuFZ9tHS6HuPBpK98CO7JUjHwiK2lNe8nw6KBPtY="}
    assert signed(headers, "pk", "sk-test-secret")
    assert not signed({**headers, "salt": "1234567891"}, "pk", "sk-test-secret")
    assert not signed(headers, "pk", "sk-other")
    assert not signed(headers, "other", "sk-test-secret")


def test_times_are_written_without_an_offset() -> None:
    assert iso_text(1778400000, ZURICH) == "2026-05-10T10:00:00"
    assert iso_text(1778400000.9) == "2026-05-10T08:00:00"
    assert compact_text(1778400000, ZURICH) == "20260510 100000"
    assert parse_minute("2026-05-10 10:00", ZURICH) == 1778400000
    assert parse_day("2026-05-10", ZURICH) == 1778400000 - 10 * 3600


@pytest.mark.parametrize("text", ["", "2026-05-10T10:00", "2026-05-10", "2026-13-10 10:00", "2026-05-10 24:30"])
def test_what_is_no_minute(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_minute(text, ZURICH)


def test_windows_names_of_zones() -> None:
    assert zone_named("W. Europe Standard Time").key == "Europe/Berlin"
    assert zone_named("Europe/Zurich") == ZURICH
    for name in ("Nowhere Standard Time", "../x", ""):
        with pytest.raises(ValueError, match="no time zone"):
            zone_named(name)


@pytest.mark.parametrize(
    ("status", "answer", "taken"),
    [(200, "", True), (200, "no", True), (201, " OK\n", True), (204, "", False), (500, "fail", False), (0, "", False)],
)
def test_a_receiver_says_200_or_ok(status: int, answer: str, taken: bool) -> None:
    assert accepts(status, answer) is taken


def test_pushes_leave_in_order_after_the_delay() -> None:
    outbox = Outbox(PushModel(delay=5))
    assert [outbox.put(a_push(number), number) for number in (1, 2)] == [True, True]
    assert sent(outbox, 5.9, 6, 7, 8) == [[], [1], [2], []]


def test_a_push_waits_until_the_next_one_overtook_it() -> None:
    outbox = Outbox(PushModel(reorder=1))
    for number in (1, 2, 3):
        outbox.put(a_push(number), 100)
    assert sent(outbox, 100, 100 + OVERTAKEN_AFTER) == [[2, 1], [3]]


def test_doubles_and_drops() -> None:
    outbox = Outbox(PushModel(duplicate=1))
    outbox.put(a_push(1), 0)
    assert [(push.number, push.copy) for push in outbox.due(0)] == [(1, False), (1, True)]
    outbox.set(PushModel(drop=1, duplicate=1))
    assert outbox.put(a_push(2), 0) is False
    assert outbox.due(100) == []


def test_the_same_seed_brings_the_same_faults() -> None:
    def fates(seed: int) -> list[bool]:
        outbox = Outbox(PushModel(drop=0.5, reorder=0.3, seed=seed))
        return [outbox.put(a_push(number), 0) for number in range(100)]

    assert fates(1) == fates(1) != fates(2)
    assert 30 < sum(fates(1)) < 70


def test_a_push_is_repeated_later() -> None:
    outbox = Outbox(PushModel(retry_seconds=3))
    outbox.again(a_push(1), 10)
    assert sent(outbox, 12.9, 13) == [[], [1]]


def test_a_moment_is_an_offset_or_has_a_zone() -> None:
    def start(value: object) -> int:
        return moment_at(AppointmentModel.model_validate({"start": value}).start, 1000)

    assert (start("+1h"), start(60), start("1970-01-01T02:00:00+01:00")) == (4600, 1060, 3600)
    with pytest.raises(ValidationError, match="zone"):
        start("1970-01-01T02:00:00")


@pytest.mark.parametrize(
    ("account", "words"),
    [({"timezone": "Middle Earth"}, "no time zone"), ({"calendars": [{"name": "A"}, {"name": "A"}]}, "used twice"),
     ({"calendars": [{"name": "A", "services": ["B"]}]}, "no service 'B'"),
     ({"appointments": [{"start": 0, "calendar": "X"}]}, "no calendar 'X'"),
     ({"appointments": [{"start": 0, "uid": "a"}, {"start": 1, "uid": "a"}]}, "'a' is used twice"),
     ({"appointments": [{"start": 0, "booked": 5, "cancelled": 3}]}, "follow one another")],
)  # fmt: skip
def test_an_impossible_account_is_refused(account: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        EterminModel.model_validate(account)
