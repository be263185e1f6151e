"""Each time that a record is closed is one occasion; an edit is none, opening it again takes it back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff.occasion import BEFORE_WATCH, Occasion
from handoff.planning.closings import Account, Watch, is_unsure, occasions_of
from handoff.rules.insightly import InsightlyRule

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
ACCOUNT = Account("insightly", "insightly_default", frozenset({"callexa"}))
LONG = Watch(NOON - 100 * DAY, NOON - timedelta(hours=1))
"""Watched for long, and heard an hour ago."""


@dataclass(frozen=True)
class Row:
    state: str = "WON"
    updated_at: datetime = NOON
    closed_on: date | None = None
    tags: frozenset[str] = field(default_factory=frozenset)
    kind: str = "opportunity"
    id: int = 31
    created_at: datetime = NOON - 400 * DAY


class Ledger:
    """Keeps the last occasion, as the ledger does."""

    def __init__(self) -> None:
        self.known: Occasion | None = None
        self.fired: list[Occasion] = []

    def hear(self, row: Row, closed_at: datetime | None = None, watch: Watch | None = None) -> None:
        for occasion in occasions_of(row, self.known, ACCOUNT, closed_at, watch):
            if not occasion.cancelled and (self.known is None or occasion.key != self.known.key):
                self.fired.append(occasion)
            self.known = occasion


def test_a_won_opportunity_is_an_occasion_without_its_name() -> None:
    ledger = Ledger()
    ledger.hear(Row(tags=frozenset({"Callexa", "geheim"})))
    [won] = ledger.fired
    assert (won.key, won.series, won.title) == ("opportunity/31/1", "opportunity/31", "Opportunity (Chance) 31")
    assert won.anchors == {"closed": NOON}
    assert won.facts == {"record": "opportunity/31", "state": "won", "tags": ["callexa"], "closed_on": ""}


def test_an_open_record_is_nothing() -> None:
    assert list(occasions_of(Row(state="OPEN"), None, ACCOUNT)) == []
    assert list(occasions_of(Row(state="In Progress", kind="project"), None, ACCOUNT)) == []


def test_an_edit_keeps_the_moment_and_tells_the_tags() -> None:
    ledger = Ledger()
    ledger.hear(Row())
    ledger.hear(Row(updated_at=NOON + timedelta(hours=5), tags=frozenset({"callexa"})))
    assert len(ledger.fired) == 1
    assert ledger.known is not None
    assert ledger.known.anchors == {"closed": NOON}
    assert ledger.known.facts["tags"] == ["callexa"]


def test_opened_again_it_is_taken_back_and_won_again_it_is_new() -> None:
    ledger = Ledger()
    ledger.hear(Row())
    ledger.hear(Row(state="OPEN", updated_at=NOON + timedelta(hours=1)))
    assert ledger.known is not None
    assert ledger.known.cancelled
    ledger.hear(Row(updated_at=NOON + timedelta(hours=2)))
    assert [one.key for one in ledger.fired] == ["opportunity/31/1", "opportunity/31/2"]
    assert ledger.known.anchors == {"closed": NOON + timedelta(hours=2)}


def test_lost_after_all_is_another_closing() -> None:
    ledger = Ledger()
    ledger.hear(Row())
    [gone, lost] = occasions_of(Row(state="lost", updated_at=NOON + timedelta(hours=1)), ledger.known, ACCOUNT)
    assert (gone.key, gone.cancelled) == ("opportunity/31/1", True)
    assert (lost.key, lost.facts["state"], lost.cancelled) == ("opportunity/31/2", "lost", False)


def test_the_history_shows_a_second_win_that_nobody_saw() -> None:
    ledger = Ledger()
    ledger.hear(Row())
    edited = Row(updated_at=NOON + timedelta(hours=3))
    assert is_unsure(edited, ledger.known, LONG)
    ledger.hear(edited, closed_at=NOON)
    assert len(ledger.fired) == 1, "the history says that it was won only once"
    again = replace(edited, updated_at=NOON + timedelta(hours=6))
    ledger.hear(again, closed_at=NOON + timedelta(hours=4))
    assert [one.anchors["closed"] for one in ledger.fired] == [NOON, NOON + timedelta(hours=4)]


def test_another_day_of_closing_is_a_second_closing() -> None:
    ledger = Ledger()
    ledger.hear(Row(state="COMPLETED", kind="project", closed_on=NOON.date()))
    ledger.hear(Row(state="COMPLETED", kind="project", closed_on=NOON.date(), updated_at=NOON + timedelta(hours=1)))
    assert len(ledger.fired) == 1
    later = NOON + timedelta(days=3)
    ledger.hear(Row(state="COMPLETED", kind="project", closed_on=later.date(), updated_at=later))
    assert [one.key for one in ledger.fired] == ["project/31/1", "project/31/2"]


OLD = NOON.date() - 200 * DAY
FIRST = Watch(NOON - timedelta(hours=1))


@pytest.mark.parametrize(
    ("row", "watch", "unsure"),
    [
        (Row(), LONG, True),
        (Row(state="suspended"), LONG, True),
        (Row(created_at=NOON - DAY), LONG, False),
        (Row(closed_on=OLD), LONG, True),
        (Row(closed_on=NOON.date() - 2 * DAY), LONG, True),
        (Row(closed_on=NOON.date() - DAY), LONG, False),
        (Row(closed_on=NOON.date() - DAY), Watch(NOON - DAY / 4, NOON), True),
        (Row(closed_on=NOON.date()), Watch(NOON - DAY / 4, NOON), False),
        (Row(closed_on=NOON.date()), FIRST, True),
        (Row(closed_on=NOON.date(), created_at=NOON), FIRST, False),
        (Row(updated_at=NOON - DAY), FIRST, False),
        (Row(state="OPEN", closed_on=OLD), LONG, False),
        (Row(state="COMPLETED", kind="project"), LONG, False),
    ],
    ids=[
        "no day", "suspended", "made since", "old day", "some days ago", "yesterday", "before the watch",
        "since the watch", "first look", "made in the last hour", "changed before the watch", "open", "no history",
    ],
)  # fmt: skip
def test_only_its_history_tells_whether_an_unknown_closing_is_an_old_one(row: Row, watch: Watch, unsure: bool) -> None:
    assert is_unsure(row, None, watch) is unsure


@pytest.mark.parametrize(
    ("day", "edited", "unsure"),
    [(NOON.date(), NOON + DAY / 4, True), (NOON.date(), NOON + DAY, True), (NOON.date(), NOON + 3 * DAY, False),
     (None, NOON + 3 * DAY, True), (NOON.date(), NOON, False)],
    ids=["the same day", "the next day", "days later", "no day", "as it was"],
)  # fmt: skip
def test_a_record_that_is_closed_again_names_the_day(day: date | None, edited: datetime, unsure: bool) -> None:
    ledger = Ledger()
    ledger.hear(Row(closed_on=day))
    heard = Watch(LONG.began, edited - timedelta(hours=1))
    assert is_unsure(Row(closed_on=day, updated_at=edited), ledger.known, heard) is unsure
    assert is_unsure(Row(closed_on=edited.date() - DAY, updated_at=edited + DAY), ledger.known, heard), "another day"


@pytest.mark.parametrize(
    ("row", "closed_at", "watch", "before"),
    [
        (Row(), NOON - 101 * DAY, LONG, True),
        (Row(), NOON - 99 * DAY, LONG, False),
        (Row(state="COMPLETED", kind="project", closed_on=OLD), None, LONG, True),
        (Row(state="COMPLETED", kind="project", closed_on=NOON.date()), None, FIRST, False),
        (Row(state="CANCELLED", kind="project"), None, FIRST, True),
        (Row(state="CANCELLED", kind="project", created_at=NOON), None, FIRST, False),
        (Row(state="CANCELLED", kind="project"), None, LONG, False),
        (Row(updated_at=NOON - DAY), None, FIRST, True),
    ],
)
def test_no_rule_waits_for_what_closed_before_it_was_watched(
    row: Row, closed_at: datetime | None, watch: Watch, before: bool
) -> None:
    step = {"step": "klicktipp.tag", "tag": "Kunde"}
    states = {"opportunities": ["won"], "projects": ["completed", "cancelled"]}
    rule = InsightlyRule.model_validate({
        "id": "r",
        "title": "r",
        "when": {"days": 200, "after": "closed"},
        "steps": [step],
        **states,
    })
    ledger = Ledger()
    ledger.hear(row, closed_at, watch)
    ledger.hear(replace(row, updated_at=NOON + DAY), watch=replace(watch, heard_to=NOON))
    assert len(ledger.fired) == 1
    assert ledger.known is not None
    assert (BEFORE_WATCH in ledger.known.facts) is before, "an edit does not change that"
    assert rule.selects(ledger.known) is not before
    ledger.hear(replace(row, state="OPEN", updated_at=NOON + 2 * DAY), watch=watch)
    ledger.hear(replace(row, updated_at=NOON + 3 * DAY), watch=watch)
    assert rule.selects(ledger.known), "closed again, it counts"


def test_an_old_completion_says_when_it_was() -> None:
    ledger = Ledger()
    ledger.hear(Row(state="COMPLETED", kind="project", closed_on=OLD))
    [project] = ledger.fired
    assert project.anchors["closed"].date() == OLD, "so it is long past"


@pytest.mark.parametrize("corrected", [None, NOON.date() + timedelta(days=2), NOON.date() - timedelta(days=2)])
def test_a_corrected_date_of_an_opportunity_is_no_second_win(corrected: date | None) -> None:
    ledger = Ledger()
    ledger.hear(Row(closed_on=NOON.date()))
    ledger.hear(Row(closed_on=corrected, updated_at=NOON + timedelta(days=2)))
    assert len(ledger.fired) == 1
    assert ledger.known is not None
    assert not ledger.known.cancelled


def test_a_date_filled_in_later_or_set_back_is_no_second_completion() -> None:
    ledger = Ledger()
    for number, day in enumerate((None, NOON.date(), NOON.date() - timedelta(days=5))):
        at = NOON + timedelta(hours=number)
        ledger.hear(Row(state="COMPLETED", kind="project", closed_on=day, updated_at=at))
    assert len(ledger.fired) == 1


@given(st.lists(st.sampled_from(["OPEN", "WON", "LOST"]), min_size=1, max_size=12), st.data())
def test_whatever_is_reported_each_closing_fires_once(states: list[str], data: st.DataObject) -> None:
    """Reports may be repeated; edits do not change the state."""
    ledger, expected, before = Ledger(), [], "OPEN"
    for number, state in enumerate(states):
        row = Row(state=state, updated_at=NOON + timedelta(minutes=number))
        for _ in range(data.draw(st.integers(1, 3))):
            ledger.hear(row)
        if state not in {"OPEN", before}:
            expected.append(state.lower())
        before = state
    assert [one.facts["state"] for one in ledger.fired] == expected
    assert len({one.key for one in ledger.fired}) == len(ledger.fired)
    assert (ledger.known is None or ledger.known.cancelled) == (before == "OPEN")
