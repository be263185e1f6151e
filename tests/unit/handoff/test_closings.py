"""Each time that a record is closed is one occasion; an edit is none, opening it again takes it back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff.closings import Account, is_older_news, may_be_closed_again, occasions_of
from handoff.occasion import Occasion

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ACCOUNT = Account("insightly", "insightly_default", frozenset({"callexa"}))


@dataclass(frozen=True)
class Row:
    state: str = "WON"
    updated_at: datetime = NOON
    closed_on: date | None = None
    tags: frozenset[str] = field(default_factory=frozenset)
    kind: str = "opportunity"
    id: int = 31


class Ledger:
    """Keeps the last occasion, as the ledger does."""

    def __init__(self) -> None:
        self.known: Occasion | None = None
        self.fired: list[Occasion] = []

    def hear(self, row: Row, closed_at: datetime | None = None) -> None:
        for occasion in occasions_of(row, self.known, ACCOUNT, closed_at):
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
    assert may_be_closed_again(edited, ledger.known)
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


def test_an_old_record_that_is_edited_was_not_closed_now() -> None:
    old = NOON.date() - timedelta(days=400)
    assert is_older_news(Row(closed_on=old), None)
    assert not is_older_news(Row(closed_on=NOON.date() - timedelta(days=1)), None)
    assert not is_older_news(Row(), None)
    assert not is_older_news(Row(state="OPEN", closed_on=old), None)
    ledger = Ledger()
    ledger.hear(Row(state="COMPLETED", kind="project", closed_on=old))
    [project] = ledger.fired
    assert project.anchors["closed"].date() == old, "it says when it was closed, so it is long past"


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
