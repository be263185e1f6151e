"""Which records came into a state after a moment: by the history of opportunities, by the day of projects."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
import time_machine

from handoff.errors import Transient
from hooks.protocols.answers import Denied
from hooks.protocols.insightly import InsightlyProtocol
from hooks.protocols.insightly_arrivals import (
    Arrival,
    Lookout,
    Sight,
    UnknownRecord,
    Wanted,
    by_day,
    by_history,
    states_of,
)
from hooks.protocols.insightly_records import Record, RecordKind, StateChange
from hooks.protocols.wire import Response
from tests.support.conversation import Script, answer

CALLS = InsightlyProtocol("insightly_default", "secret-key")
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
WON = frozenset({"WON"})


@pytest.fixture(autouse=True)
def later() -> Any:
    with time_machine.travel(NOON + 5 * HOUR, tick=False) as clock:
        yield clock


def opportunity(state: str = "WON", updated: datetime = NOON, closed: date | None = None, **more: Any) -> Record:
    return Record("opportunity", 31, state, NOON - 9 * HOUR, updated, closed, **more)


def history(*changes: tuple[str, datetime]) -> tuple[StateChange, ...]:
    return tuple(StateChange(state, moment) for state, moment in changes)


def written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def row(number: int = 31, state: str = "WON", updated: datetime = NOON, **more: Any) -> dict[str, Any]:
    return {"OPPORTUNITY_ID": number, "OPPORTUNITY_STATE": state, "DATE_UPDATED_UTC": written(updated),
            "DATE_CREATED_UTC": written(NOON - 9 * HOUR), **more}  # fmt: skip


def page(*rows: dict[str, Any], now: datetime = NOON + 5 * HOUR) -> Response:
    return answer(list(rows), date=format_datetime(now, usegmt=True))


def told(*changes: tuple[str, datetime]) -> Response:
    return answer([{"FOR_OPPORTUNITY_STATE": state, "DATE_CHANGED_UTC": written(at)} for state, at in changes])


def waiting(since: datetime = NOON - HOUR, **more: Any) -> Lookout:
    return Lookout(Wanted(**{"kind": "opportunity", "states": WON, "since": since, **more}))


def seen(lookout: Lookout, *answers: Response | Exception) -> tuple[Sight, list[str]]:
    script = Script(*answers)
    sight = script.run(lookout.look(CALLS))
    return sight, [path.removeprefix("/Opportunities") for _, path in script.asked]


@pytest.mark.parametrize(
    ("changes", "moment"),
    [
        ([("OPEN", NOON - 3 * HOUR), ("WON", NOON)], NOON),
        ([("WON", NOON - 3 * HOUR), ("OPEN", NOON - 2 * HOUR), ("WON", NOON)], NOON),
        ([("WON", NOON - 3 * HOUR)], NOON - 3 * HOUR),
        ([("LOST", NOON - 4 * HOUR), ("WON", NOON - 3 * HOUR), ("WON", NOON)], NOON - 3 * HOUR),
        ([("WON", NOON), ("OPEN", NOON)], NOON),
        ([], NOON - 9 * HOUR),
        ([("OPEN", NOON + SECOND), ("WON", NOON)], None),
        ([("OPEN", NOON - 3 * HOUR)], NOON),
    ],
    ids=["won", "again", "edited since", "another reason", "in one second", "never changed", "left", "lags"],
)
def test_the_history_says_when_an_opportunity_came_into_its_state(changes: Any, moment: datetime | None) -> None:
    assert by_history(opportunity(), history(*changes), NOON - HOUR) == moment


def test_a_history_that_knows_less_than_the_record_leaves_it_to_the_day() -> None:
    old = history(("OPEN", NOON - 3 * HOUR))
    assert by_history(opportunity(closed=date(2026, 3, 1)), old, NOON - HOUR) is None
    assert by_history(opportunity(closed=date(2026, 3, 2)), old, NOON - HOUR) == NOON


def test_within_a_second_the_order_of_a_history_does_not_count() -> None:
    same = history(("WON", NOON), ("OPEN", NOON))
    for changes in (same, same[::-1]):
        assert by_history(opportunity(closed=date(2026, 3, 1)), changes, NOON - HOUR) == NOON


@pytest.mark.parametrize(
    ("state", "day", "created", "counts"),
    [
        ("COMPLETED", date(2026, 3, 1), NOON - 90 * HOUR, False),
        ("COMPLETED", date(2026, 3, 2), NOON - 90 * HOUR, True),
        ("COMPLETED", date(2026, 3, 3), NOON - 90 * HOUR, True),
        ("COMPLETED", None, NOON - 90 * HOUR, True),
        ("COMPLETED", date(2026, 3, 1), NOON, True),
        ("IN PROGRESS", date(2026, 3, 1), NOON - 90 * HOUR, True),
    ],
)
def test_the_day_decides_about_a_project(state: str, day: date | None, created: datetime, counts: bool) -> None:
    project = Record("project", 7, state, created, NOON + HOUR, day)
    assert by_day(project, NOON) == (NOON + HOUR if counts else None)


def test_the_day_of_since_is_that_of_the_zone_in_which_it_is_written() -> None:
    night = datetime(2026, 3, 3, 1, tzinfo=UTC)
    project = Record("project", 7, "COMPLETED", NOON - 90 * HOUR, night + HOUR, date(2026, 3, 2))
    assert by_day(project, night) is None
    assert by_day(project, night.astimezone(timezone(-5 * HOUR))) == night + HOUR


@pytest.mark.parametrize(
    ("given", "states"),
    [("won", {"WON"}), (("Won", "LOST"), {"WON", "LOST"}), ("any", set()), (["won", "Any"], set())],
)
def test_states_in_any_case(given: Any, states: set[str]) -> None:
    assert states_of("opportunity", given) == states


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [("opportunity", "completed", "not 'completed'"), ("project", ["won"], "in progress"), ("project", [], "nothing")],
)
def test_a_state_that_is_not_known_is_named(kind: RecordKind, given: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        states_of(kind, given)
    assert states_of("project", " in  Progress ") == {"IN PROGRESS"}


@pytest.mark.parametrize(
    ("tag", "without", "selected"),
    [("", "", True), ("süd", "", True), ("Nord", "", False), ("", " SÜD ", False), ("callexa", "Nord", True)],
)
def test_tags_count_without_case(tag: str, without: str, selected: bool) -> None:
    wanted = Wanted("opportunity", WON, NOON, tag, without)
    assert wanted.selects(opportunity(tags=frozenset({"Süd", "Callexa"}))) is selected


def test_only_what_is_in_a_wanted_state_and_changed_since_is_asked_for_its_history() -> None:
    rows = [row(31), row(32, "OPEN"), row(33, "LOST"), row(34, updated=NOON - 2 * HOUR), row(35)]
    lookout = waiting(states=frozenset({"WON", "LOST"}))
    won, late = told(("WON", NOON)), told(("LOST", NOON - SECOND))
    sight, asked = seen(lookout, page(*rows), won, late, told(("WON", NOON - 3 * HOUR)))
    assert asked == ["/Search", "/31/StateHistory", "/33/StateHistory", "/35/StateHistory"]
    assert sight.arrivals == (
        Arrival(NOON - SECOND, "opportunity/33", "LOST"), Arrival(NOON, "opportunity/31", "WON"),
    )  # fmt: skip
    assert (sight.settles_in, sight.cursor) == (0.0, NOON + SECOND)


def test_the_second_of_since_counts_from_its_beginning() -> None:
    late = NOON.replace(microsecond=900_000)
    assert seen(waiting(late), page(row()), told(("WON", NOON)))[0].arrivals
    assert not seen(waiting(late), page(row()), told(("WON", NOON - SECOND)))[0].arrivals


def test_the_cursor_advances_and_what_did_not_change_is_not_asked_again() -> None:
    lookout = waiting()
    old = told(("WON", NOON - 3 * HOUR))
    soon = NOON + timedelta(seconds=30)
    assert seen(lookout, page(row(), now=soon), old)[1] == ["/Search", "/31/StateHistory"]
    assert lookout.cursor == NOON
    assert seen(lookout, page(row(), now=soon))[1] == ["/Search"]
    script = Script(page(row(), now=NOON + 5 * HOUR))
    script.run(lookout.look(CALLS))
    assert script.requests[0].query["updated_after_utc"] == "2026-03-02T11:59:59Z"
    assert lookout.cursor == NOON + SECOND
    edited = row(updated=NOON + HOUR)
    assert seen(lookout, page(edited), old)[1] == ["/Search", "/31/StateHistory"]


def test_one_record_is_asked_for_its_history_only_when_it_changed() -> None:
    lookout = waiting(record_id=31)
    old = told(("WON", NOON - 3 * HOUR))
    assert seen(lookout, answer(row()), old)[1] == ["/31", "/31/StateHistory"]
    assert seen(lookout, answer(row()))[1] == ["/31"]
    again = told(("WON", NOON - 3 * HOUR), ("OPEN", NOON + HOUR), ("WON", NOON + 2 * HOUR))
    sight, asked = seen(lookout, answer(row(updated=NOON + 2 * HOUR)), again)
    assert asked == ["/31", "/31/StateHistory"]
    assert sight.arrivals == (Arrival(NOON + 2 * HOUR, "opportunity/31", "WON"),)


def test_a_change_within_the_second_that_was_read_is_found(later: time_machine.Coordinates) -> None:
    later.move_to(NOON + timedelta(milliseconds=400))
    lookout = waiting()
    old = ("WON", NOON - 3 * HOUR)
    assert not seen(lookout, page(row(), now=NOON), told(old))[0].arrivals
    sight, asked = seen(lookout, page(row(), now=NOON), told(old, ("OPEN", NOON), ("WON", NOON)))
    assert asked == ["/Search", "/31/StateHistory"]
    assert sight.arrivals == (Arrival(NOON, "opportunity/31", "WON"),)


def test_a_second_that_is_not_over_may_bring_more(later: time_machine.Coordinates) -> None:
    later.move_to(NOON + timedelta(milliseconds=500))
    lookout = waiting()
    sight, _ = seen(lookout, page(row(), now=NOON), told(("WON", NOON)))
    assert sight.settles_in == 1.5
    later.shift(1.5)
    sight, _ = seen(lookout, page(row(), row(32), now=NOON + 2 * SECOND), told(("WON", NOON)), told(("WON", NOON)))
    assert [arrival.record for arrival in sight.arrivals] == ["opportunity/31", "opportunity/32"]
    assert (sight.settles_in, sight.cursor) == (0.0, NOON + SECOND)
    # Who goes on at the cursor gets neither again.
    next_one = waiting(sight.cursor)
    assert seen(next_one, page(row(), row(32)))[1] == ["/Search"]


def test_histories_that_were_read_are_kept_when_the_look_fails() -> None:
    lookout = waiting()
    failed = Transient("insightly_default", "read state history")
    with pytest.raises(Transient):
        seen(lookout, page(row(31), row(32)), told(("WON", NOON - 3 * HOUR)), failed)
    assert lookout.cursor == NOON - HOUR
    assert seen(lookout, page(row(31), row(32)), told(("WON", NOON)))[1] == ["/Search", "/32/StateHistory"]


def test_a_record_that_is_not_there_is_named() -> None:
    with pytest.raises(UnknownRecord, match="insightly_default: there is no opportunity 31"):
        seen(waiting(record_id=31), answer({"Message": "gone"}, 404))


def test_what_cannot_be_read_is_told_and_no_obstacle() -> None:
    sight, _ = seen(waiting(), page({**row(30), "OPPORTUNITY_STATE": None}, row(31)), told(("WON", NOON)))
    assert sight.problems == ("opportunity 30: OPPORTUNITY_STATE is missing",)
    assert [arrival.record for arrival in sight.arrivals] == ["opportunity/31"]


@pytest.mark.parametrize(
    "history_of_31",
    [answer({"Message": "no"}, 403), answer([{"FOR_OPPORTUNITY_STATE": "WON"}])],
    ids=["403", "no date"],
)
def test_a_history_that_cannot_be_read_hides_no_other_arrival(history_of_31: Response) -> None:
    lookout = waiting()
    sight, asked = seen(lookout, page(row(31), row(32)), history_of_31, told(("WON", NOON)))
    assert asked == ["/Search", "/31/StateHistory", "/32/StateHistory"]
    assert [arrival.record for arrival in sight.arrivals] == ["opportunity/32"]
    [problem] = sight.problems
    assert problem.startswith("opportunity/31: insightly_default: read state history")


def test_the_one_record_that_is_waited_for_has_to_be_readable() -> None:
    with pytest.raises(Denied):
        seen(waiting(record_id=31), answer(row()), answer({"Message": "no"}, 403))
