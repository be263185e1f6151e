"""From what a source says of an appointment to occasions, whatever the order in which it says it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff.appointment import CONFIRMATION, confirmed_at, event_of
from handoff.occasion import Occasion
from handoff.planning.appointments import (
    GLIMPSED,
    UNTIMED,
    Account,
    announced,
    deleted,
    glimpsed,
    id_of,
    is_deleted,
    read,
    standing,
)
from hooks.protocols.etermin_appointments import Appointment, Customer

ACCOUNT = Account("etermin", "etermin_default", "Europe/Zurich")
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
START = datetime(2026, 5, 10, 8, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EVA = Customer("eva@example.test", "Eva", "Muster", "+41790000000", "de")
BOOKED = Appointment(
    "uid-1", 7, "c1", "Beratung", "Erstgespräch", ("s1",), START, START + 30 * MINUTE, NOON, True, 0, True, EVA,
    "Bitte klingeln",
)  # fmt: skip
MOVED = replace(BOOKED, start=START + 60 * MINUTE, end=START + 90 * MINUTE, sequence=1)


def known_after(*reports: Occasion | None) -> dict[str, Occasion]:
    """What the ledger knows after reports: an older one never overwrites a newer one."""
    ledger: dict[str, Occasion] = {}
    for one in filter(None, reports):
        if one.key not in ledger or ledger[one.key].changed <= one.changed:
            ledger[one.key] = one
    return ledger


def test_an_appointment_is_one_occasion_without_contact_data():
    (found,) = read(BOOKED, None, ACCOUNT, NOON + MINUTE)
    assert (found.source, found.account, found.key, found.series) == ("etermin", "etermin_default", "uid-1", "c1")
    assert found.anchors == {"booked": NOON, "start": START, "end": START + 30 * MINUTE}
    assert (found.title, found.timezone, found.cancelled) == ("Erstgespräch", "Europe/Zurich", False)
    assert found.changed == (NOON + MINUTE).timestamp()
    assert found.facts == {
        "event": "created", "appointment": "uid-1", "calendar": "c1", "calendar_name": "Beratung",
        "service": "Erstgespräch", "confirmed": True, "sequence": 0, "newsletter": True, "state": "booked",
    }  # fmt: skip
    said = repr(found)
    assert not [word for word in ("eva@", "Eva", "Muster", "klingeln", "+41") if word in said]


def test_one_that_has_to_be_confirmed_and_one_without_any_names():
    (found,) = read(Appointment("#7", 7, start=START, confirmed=False), None, ACCOUNT, NOON)
    assert (found.facts["state"], found.title, found.series) == ("unconfirmed", "Appointment (Termin)", "")
    assert found.anchors == {"start": START}


def test_reading_the_same_again_is_nothing_new():
    (first,) = read(BOOKED, None, ACCOUNT, NOON)
    assert list(read(BOOKED, first, ACCOUNT, NOON + MINUTE)) == [first]


def test_a_push_never_overwrites_what_was_read():
    late = announced(BOOKED, ACCOUNT)
    for began in (NOON - MINUTE, NOON, NOON + MINUTE):
        (found,) = read(BOOKED, None, ACCOUNT, began)
        assert late.changed < NOON.timestamp() <= found.changed
    (read_later,) = read(MOVED, None, ACCOUNT, NOON + MINUTE)
    assert announced(replace(BOOKED, booked_at=None), ACCOUNT).changed == UNTIMED
    assert known_after(read_later, late)["uid-1"].anchors["start"] == MOVED.start


def test_what_a_push_did_not_say_is_no_edit():
    pushed = announced(
        replace(BOOKED, number=None, calendar_id="", service_ids=(), confirmed=None, sequence=None), ACCOUNT
    )
    (found,) = read(BOOKED, pushed, ACCOUNT, NOON + MINUTE)
    assert (found.key, found.series, found.facts["sequence"]) == ("uid-1", "c1", 0)


def test_what_a_reading_does_not_say_stays_as_it_was_told():
    (told,) = read(BOOKED, None, ACCOUNT, NOON)
    silent = replace(BOOKED, newsletter=None, booked_at=None, calendar="")
    assert list(read(silent, told, ACCOUNT, NOON + MINUTE)) == [told]


def test_an_edit_is_an_occasion_of_its_own_and_moves_the_appointment():
    (first,) = read(BOOKED, None, ACCOUNT, NOON)
    edit, moved = read(MOVED, first, ACCOUNT, NOON + MINUTE)
    assert (edit.key, event_of(edit), id_of(edit)) == ("uid-1/modified/1", "modified", "uid-1")
    assert edit.anchors == {"modified": NOON + MINUTE, "start": MOVED.start, "end": MOVED.end}
    assert (moved.key, moved.anchors["start"], moved.anchors["booked"]) == ("uid-1", MOVED.start, NOON)
    again, _ = read(BOOKED, moved, ACCOUNT, NOON + 2 * MINUTE)
    assert again.key == "uid-1/modified/2"


def test_an_edit_that_was_interrupted_before_it_was_recorded_has_the_same_name():
    (first,) = read(BOOKED, None, ACCOUNT, NOON)
    once, again = (next(read(MOVED, first, ACCOUNT, NOON + minutes * MINUTE)) for minutes in (1, 9))
    assert once.key == again.key


@pytest.mark.parametrize(
    "edit",
    [{"calendar_id": "c2"}, {"service": "Zweitgespräch"}, {"confirmed": False}, {"sequence": 4}, {"end": START}],
)
def test_what_is_an_edit(edit):
    (first,) = read(BOOKED, None, ACCOUNT, NOON)
    assert [event_of(one) for one in read(replace(BOOKED, **edit), first, ACCOUNT, NOON + MINUTE)] == [
        "modified",
        "created",
    ]


@pytest.mark.parametrize("told", ["read", "announced"])
def test_since_when_it_is_confirmed_is_kept_and_told_once(told):
    asked = replace(BOOKED, confirmed=False)
    first = announced(asked, ACCOUNT) if told == "announced" else next(read(asked, None, ACCOUNT, NOON))
    assert confirmed_at(first) is None
    *edit, found = read(BOOKED, first, ACCOUNT, NOON + MINUTE)
    assert [CONFIRMATION in one.facts for one in edit] == ([True] if told == "read" else [])
    assert (confirmed_at(found), CONFIRMATION in found.facts) == (NOON + MINUTE, False)
    assert list(read(BOOKED, found, ACCOUNT, NOON + 2 * MINUTE)) == [found]
    change, moved = read(MOVED, found, ACCOUNT, NOON + 3 * MINUTE)
    assert (CONFIRMATION in change.facts, confirmed_at(moved)) == (False, NOON + MINUTE)


def test_an_older_reading_changes_nothing():
    (newer,) = read(MOVED, None, ACCOUNT, NOON + MINUTE)
    assert list(read(BOOKED, newer, ACCOUNT, NOON)) == [newer]


def test_a_deletion_of_what_was_seen_is_told_and_cancels():
    (first,) = read(BOOKED, None, ACCOUNT, NOON)
    told, gone = deleted(Appointment("uid-1"), first, ACCOUNT, NOON + 2 * MINUTE, NOON + MINUTE)
    assert (told.key, event_of(told), told.cancelled) == ("uid-1/deleted/1", "deleted", False)
    assert told.anchors == {"deleted": NOON + 2 * MINUTE, "start": START, "end": START + 30 * MINUTE}
    assert (gone.key, gone.cancelled, gone.anchors) == ("uid-1", True, first.anchors)
    assert is_deleted(gone)
    assert list(deleted(Appointment("uid-1"), gone, ACCOUNT, NOON + 9 * MINUTE, NOON + MINUTE)) == []


def test_a_deletion_that_arrives_first_leaves_a_tombstone_and_tells_nobody():
    (tomb,) = deleted(Appointment("uid-1"), None, ACCOUNT, NOON + 2 * MINUTE, NOON + MINUTE)
    assert (tomb.key, tomb.cancelled, tomb.anchors) == ("uid-1", True, {"deleted": NOON + MINUTE})
    for late in (announced(BOOKED, ACCOUNT), *read(BOOKED, tomb, ACCOUNT, NOON)):
        assert known_after(tomb, late)["uid-1"].cancelled
    assert list(deleted(BOOKED, tomb, ACCOUNT, NOON + 9 * MINUTE)) == []


def test_what_somebody_did_not_find_may_still_be_told_as_deleted():
    (first,) = read(BOOKED, None, ACCOUNT, NOON)
    unfound = replace(first, cancelled=True)
    assert not is_deleted(unfound)
    assert [event_of(one) for one in deleted(BOOKED, unfound, ACCOUNT, NOON + MINUTE)] == ["deleted", "created"]


def test_what_lives_again_is_not_deleted_by_the_same_deletion_but_by_another():
    (first,) = read(BOOKED, None, ACCOUNT, NOON)
    *_, gone = deleted(BOOKED, first, ACCOUNT, NOON + 2 * MINUTE, NOON + MINUTE)
    (alive,) = read(BOOKED, gone, ACCOUNT, NOON + 3 * MINUTE)
    assert not alive.cancelled
    assert list(deleted(BOOKED, alive, ACCOUNT, NOON + 4 * MINUTE, NOON + MINUTE)) == []
    told, _ = deleted(BOOKED, alive, ACCOUNT, NOON + 6 * MINUTE, NOON + 5 * MINUTE)
    assert told.key == "uid-1/deleted/2"


def test_a_last_look_leaves_the_telling_to_the_next_reading():
    (first,) = read(BOOKED, None, ACCOUNT, NOON)
    seen = glimpsed(MOVED, first, ACCOUNT, NOON + MINUTE)
    assert (seen.anchors["start"], seen.facts[GLIMPSED]) == (MOVED.start, True)
    told, moved = read(MOVED, seen, ACCOUNT, NOON + 2 * MINUTE)
    assert (told.key, GLIMPSED in told.facts, GLIMPSED in moved.facts) == ("uid-1/modified/1", False, False)
    assert glimpsed(BOOKED, first, ACCOUNT, NOON + MINUTE) == first


def test_a_change_ends_with_its_appointment_and_a_deletion_stands():
    (first,) = read(BOOKED, None, ACCOUNT, NOON)
    edit, moved = read(MOVED, first, ACCOUNT, NOON + MINUTE)
    assert standing(edit, MOVED) == edit
    assert standing(edit, None).cancelled
    told, _ = deleted(MOVED, moved, ACCOUNT, NOON + 2 * MINUTE)
    assert standing(told, None) == told


STORIES = st.lists(st.sampled_from(["read", "move", "delete", "push", "late", "again"]), max_size=8)


@given(STORIES)
def test_whatever_happens_the_ledger_ends_with_what_is_so(story):
    """The source's truth is read in order; pushes and repeated readings come at any time."""
    truth, ledger, old = BOOKED, {}, []

    def record(*occasions: Occasion) -> None:
        ledger.update(known_after(*(ledger.get(one.key) for one in occasions), *occasions))

    for minute, what in enumerate(story, 1):
        now, known = NOON + minute * MINUTE, ledger.get("uid-1")
        if what == "move" and truth is not None:
            truth = replace(truth, start=truth.start + MINUTE, end=truth.end + MINUTE)
        if what == "delete":
            truth = None
        if what in {"push", "late"}:
            record(announced(BOOKED if what == "late" or truth is None else truth, ACCOUNT))
        if what == "again" and old:
            record(*read(old[0][0], known, ACCOUNT, old[0][1]))
        if what in {"read", "move"} and truth is not None:
            old.append((truth, now))
            record(*read(truth, known, ACCOUNT, now))
        if what == "delete":
            record(*deleted(BOOKED, known, ACCOUNT, now, NOON))
    last, known = NOON + 99 * MINUTE, ledger.get("uid-1")
    record(*(read(truth, known, ACCOUNT, last) if truth else deleted(BOOKED, known, ACCOUNT, last, NOON)))
    assert ledger["uid-1"].cancelled == (truth is None)
    assert truth is None or ledger["uid-1"].anchors["start"] == truth.start
    told = [key for key in ledger if "/deleted/" in key]
    assert len(told) <= 1


def test_an_older_deletion_does_not_end_what_was_seen_alive_since():
    (alive,) = read(BOOKED, None, ACCOUNT, NOON + 2 * MINUTE)
    assert list(deleted(BOOKED, alive, ACCOUNT, NOON + MINUTE, NOON)) == []


def test_another_revision_is_an_edit_only_where_both_reports_name_one():
    (first,) = read(replace(BOOKED, revision="5"), None, ACCOUNT, NOON)
    assert list(read(replace(BOOKED, revision="5"), first, ACCOUNT, NOON + MINUTE)) == [first]
    assert list(read(BOOKED, first, ACCOUNT, NOON + MINUTE)) == [first], "the other report names none"
    edit, edited = read(replace(BOOKED, revision="6"), first, ACCOUNT, NOON + MINUTE)
    assert (edit.key, edited.facts["revision"]) == ("uid-1/modified/1", "6")


@pytest.mark.parametrize("look", [read, lambda *given: [glimpsed(*given)]])
def test_an_edit_that_another_report_tells_of_first_is_told_once(look):
    (first,) = read(replace(BOOKED, revision="5"), None, ACCOUNT, NOON)
    *before, seen = look(MOVED, first, ACCOUNT, NOON + MINUTE)
    *then, moved = read(replace(MOVED, revision="6"), seen, ACCOUNT, NOON + 2 * MINUTE)
    assert [one.key for one in (*before, *then)] == ["uid-1/modified/1"]
    assert moved.facts["revision"] == "6"


def test_when_it_was_booked_is_not_told_again():
    hour = 60 * MINUTE
    (first,) = read(BOOKED, None, ACCOUNT, NOON)
    rounded = replace(BOOKED, booked_at=NOON - hour)
    assert list(read(rounded, first, ACCOUNT, NOON + MINUTE)) == [first]
    assert glimpsed(rounded, first, ACCOUNT, NOON + MINUTE) == first
    (alive,) = read(rounded, replace(first, cancelled=True), ACCOUNT, NOON + MINUTE)
    assert alive.anchors == first.anchors
