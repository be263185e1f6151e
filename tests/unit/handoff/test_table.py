"""How commands print."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from handoff.cli.table import as_json, lateness, moment, table
from handoff.reasons import in_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, ""), (0.9, ""), (1, "1 s"), (59, "59 s"), (60, "1 min 0 s"), (5_400, "1 h 30 min"), (90_061, "1 d 1 h")],
)
def test_lateness(seconds: float, words: str) -> None:
    assert lateness(seconds) == words


def test_columns_are_as_wide_as_they_need_to_be() -> None:
    assert table(("A", "LONG"), [("wide cell", None), (1, "x")]) == "A          LONG\nwide cell\n1          x"


def test_moments() -> None:
    at = datetime(2026, 10, 25, 2, 30, tzinfo=timezone(timedelta(hours=2)))
    assert datetime.strptime(moment(at), "%Y-%m-%d %H:%M:%S%z") == at
    assert moment(None) == ""
    assert json.loads(as_json({"at": at})) == {"at": "2026-10-25T00:30:00+00:00"}
    with pytest.raises(TypeError):
        as_json({"what": object()})


def test_reasons() -> None:
    assert in_words("not_attended", {"watched_percent": 49.99, "attended_from_percent": 50}) == (
        "counts as not attended: watched 49.99 %, 50 % are needed"
    )
    assert in_words("already_handed_over", {"handed_over_at": "2026-10-25T00:30:00+00:00"}) == (
        "the rule had handed this contact over before and does not do so again"
        ": for the moment 2026-10-25T00:30:00+00:00"
    )
    assert in_words("attended", {}) == "counts as attended"
    assert in_words("something_new") == "something new"
    assert in_words("klicktipp_default: tag: no") == "klicktipp_default: tag: no"
