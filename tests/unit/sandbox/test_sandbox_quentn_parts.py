from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from sandbox.quentn.contact import CustomField
from sandbox.quentn.fields import takes
from sandbox.quentn.flood import Flood
from sandbox.quentn.rate import RateWindow
from sandbox.scenario_quentn import QuentnModel


def test_a_flood_ends_after_an_hour() -> None:
    flood = Flood()
    assert [flood.take(["a"], 2, moment) for moment in (0, 1000, 2000, 3599, 3600, 3601)] == [
        True, True, False, False, True, False,
    ]  # fmt: skip
    assert flood.take(["b", ""], 2, 2000)


def test_a_refused_batch_does_not_count() -> None:
    flood = Flood()
    assert not flood.take(["a", "a", "b"], 1, 0)
    assert flood.take(["a", "b"], 1, 0)


def test_a_window_begins_with_its_first_request(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 50.0
    monkeypatch.setattr("sandbox.quentn.rate.time.monotonic", lambda: now)
    window = RateWindow(2, 10, as_moment=False)
    assert [window.take() for _ in range(3)] == [True, True, False]
    now = 57.5
    assert window.headers() == {
        "X-Rate-Limit-Limit": "2", "X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": "3",
    }  # fmt: skip
    now = 60.0
    assert window.take()
    assert window.headers()["X-Rate-Limit-Remaining"] == "1"
    assert RateWindow(None, 10, as_moment=True).headers() == {}


@pytest.mark.parametrize(
    ("value", "fits"),
    [("2026-05-10", True), ("2026-05-10T10:00:00Z", True), ("2026-05-10 10:00", True), (1778400000, True),
     ("1778400000", True), ("", True), (None, True), ("10.05.2026", False), ("20260510", False), (True, False),
     ("2026-02-30", False), ({}, False)],
)  # fmt: skip
def test_what_a_date_field_takes(value: Any, fits: bool) -> None:
    assert takes(CustomField(1, "field_x", "x", "date"), value) is fits


@pytest.mark.parametrize(
    ("account", "words"),
    [({"terms": ["A", "a"]}, "'a' is used twice"), ({"fields": [{"name": "x"}, {"name": "x"}]}, "used twice"),
     ({"campaigns": [{"id": 1}, {"id": 1}]}, "used twice"), ({"fields": [{"name": "X y"}]}, "pattern"),
     ({"contacts": [{"mail": "a@example.org", "terms": ["Nope"]}]}, "'Nope'"),
     ({"contacts": [{"mail": "a@example.org", "status": "happy"}]}, "no status 'happy'")],
)  # fmt: skip
def test_an_impossible_account_is_refused(account: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        QuentnModel.model_validate(account)
