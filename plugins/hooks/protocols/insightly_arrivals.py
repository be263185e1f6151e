"""Which records came into a state (insightly.md 1.6, 1.7 and 1.10).

A record that is edited appears among the changes again, in the state in which it has been all along. Of an
opportunity the history of its states says since when, for one request. A project has no history: see :func:`by_day`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from handoff.errors import SourceError
from handoff.planning.closings import name_of
from handoff.spellings import folded
from hooks.protocols.answers import Denied
from hooks.protocols.insightly import InsightlyProtocol
from hooks.protocols.insightly_errors import UnreadableFields
from hooks.protocols.insightly_records import Record, RecordKind, StateChange
from hooks.protocols.shared import Conversation

STATES: dict[RecordKind, tuple[str, ...]] = {
    "opportunity": ("OPEN", "WON", "LOST", "ABANDONED", "SUSPENDED"),
    "project": ("NOT STARTED", "IN PROGRESS", "DEFERRED", "CANCELLED", "ABANDONED", "COMPLETED"),
}
ANY = "ANY"
DATED = frozenset({"COMPLETED", "WON", "LOST"})
"""States of which a record's day of closing tells something; whether the day goes away afterwards is not known."""
SECOND = timedelta(seconds=1)
SETTLING = timedelta(seconds=2)
"""Insightly counts in seconds: a second so long past has nothing more to come."""


class UnknownRecord(SourceError):
    """The account has no record of this id, or the key's user may not see it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is waited for.

    :param states: upper case; empty for any. :param since: aware; counts from the beginning of its second on, and
        its day, in its own zone, is what a project's day of completion is compared with.
    :param tag: the record must have it, unless empty. :param without_tag: it must not have it.
    :param record_id: only this record, ``None`` for all.
    """

    kind: RecordKind
    states: frozenset[str]
    since: datetime
    tag: str = ""
    without_tag: str = ""
    record_id: int | None = None

    def selects(self, record: Record) -> bool:
        """Whether a record as it is now may have come into one of the states."""
        tags = {folded(tag) for tag in record.tags}
        return (
            (not self.states or record.state in self.states)
            and self.counts(record.updated_at)
            and (not folded(self.tag) or folded(self.tag) in tags)
            and (not folded(self.without_tag) or folded(self.without_tag) not in tags)
        )

    def counts(self, moment: datetime) -> bool:
        """Whether a moment, which Insightly gives in whole seconds, is not before ``since``."""
        return moment >= self.since.replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A record, e.g. ``opportunity/31``, that came into a state (upper case) at a moment (UTC)."""

    moment: datetime
    record: str
    state: str


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look brought.

    :param arrivals: in the order in which they happened. :param problems: what could not be read, by kind and id.
    :param settles_in: seconds after which nothing more can happen in the last arrival's second; 0 when it is over.
    :param cursor: who waits for what comes after these arrivals goes on here (UTC).
    """

    arrivals: tuple[Arrival, ...]
    problems: tuple[str, ...]
    settles_in: float
    cursor: datetime


class Lookout:
    """Looks for arrivals again and again, with one page of changes where nothing changed.

    What it remembers only saves requests: another one, begun anew, finds the same.

    :ivar cursor: where the next look goes on.
    """

    def __init__(self, wanted: Wanted, cursor: datetime | None = None) -> None:
        self.wanted, self.cursor = wanted, (cursor or wanted.since).replace(microsecond=0)
        self._asked: dict[int, tuple[datetime, datetime | None]] = {}

    def look(self, calls: InsightlyProtocol) -> Conversation[Sight]:
        """Read what changed, and the history of each opportunity of which that is not known to be old.

        Where one history cannot be read, that is a problem, and no obstacle to the others.

        :raises UnknownRecord: the one record that is waited for is not there.
        :raises TargetError: it cannot be read now; the histories that were read are not asked for again.
        """
        began = datetime.now(UTC)
        records, told, cursor = yield from self._read(calls)
        arrivals, unread = [], list[str]()
        for record in filter(self.wanted.selects, records):
            try:
                moment = yield from self._came_at(record, calls, began)
            except (Denied, UnreadableFields) as error:
                if self.wanted.record_id is not None:
                    raise
                unread.append(f"{name_of(record)}: {error}")
                continue
            if moment is not None and self.wanted.counts(moment):
                arrivals.append(Arrival(moment, name_of(record), record.state))
        arrivals.sort(key=lambda arrival: arrival.moment)
        problems = (*told, *unread)
        if not arrivals:
            self.cursor = cursor
            self._asked = {number: asked for number, asked in self._asked.items() if asked[0] >= cursor}
            return Sight((), problems, 0.0, cursor)
        last = arrivals[-1].moment
        return Sight(tuple(arrivals), problems, _seconds_to_settle(last, began), max(cursor, last + SECOND))

    def _read(self, calls: InsightlyProtocol) -> Conversation[tuple[Sequence[Record], tuple[str, ...], datetime]]:
        kind, number = self.wanted.kind, self.wanted.record_id
        if number is None:
            changes = yield from calls.changed(kind, self.cursor)
            return changes.records, changes.problems, changes.cursor or self.cursor
        record = yield from calls.record(kind, number)
        if record is None:
            words = f"{calls.account}: there is no {kind} {number}, or the user of the key may not see it"
            raise UnknownRecord(words)
        return (record,), (), self.cursor

    def _came_at(self, record: Record, calls: InsightlyProtocol, began: datetime) -> Conversation[datetime | None]:
        """Return when a record came into its state, ``None`` for before ``since`` or for not being in it any more."""
        if record.kind != "opportunity":
            return by_day(record, self.wanted.since)
        updated, moment = self._asked.get(record.id, (None, None))
        if updated != record.updated_at:
            history = yield from calls.state_history(record.id)
            moment = by_history(record, history, self.wanted.since)
            # Within the same second it may change again, and look the same.
            if not _seconds_to_settle(record.updated_at, began):
                self._asked[record.id] = record.updated_at, moment
        return moment


def by_history(record: Record, history: Iterable[StateChange], since: datetime) -> datetime | None:
    """Return when an opportunity came into the state that it is in, ``None`` when it left it meanwhile.

    Only a reason may have changed: then the history may name a state twice in a row, and the first one counts.
    Without a history it is in its first state. A history that ends earlier than the record's last change, in
    another state, knows less than the record; then its day decides.
    """
    changes = list(history)
    if moment := in_state_since(record, changes):
        return moment
    return None if max(change.changed_at for change in changes) > record.updated_at else by_day(record, since)


def in_state_since(record: Record, history: Iterable[StateChange]) -> datetime | None:
    """Return when an opportunity came into the state that it is in, ``None`` when its history does not say so.

    Without a history it is in its first state.
    """
    changes = list(history)
    return came_into(record.state, changes) if changes else record.created_at


def came_into(state: str, history: Iterable[StateChange]) -> datetime | None:
    """Return when the state that an opportunity is in began, ``None`` when its history ends in another one."""
    changes, moment = list(history), None
    latest = max((change.changed_at for change in changes), default=None)
    # The order within a second is Insightly's, except that the state that it is in came last.
    changes.sort(key=lambda change: (change.changed_at, change.changed_at == latest and change.state == state))
    for change in reversed(changes):
        if change.state != state:
            break
        moment = change.changed_at
    return moment


def by_day(record: Record, since: datetime) -> datetime | None:
    """Return the record's last change, ``None`` when the day on which it was closed lies before ``since``.

    So three things cannot be told apart: a closing on the day of ``since``, before it, followed by an edit after it; a
    second closing on that day; and, for states without such a day (all but completed), any edit.
    """
    day = record.closed_on if record.state in DATED and record.created_at < since else None
    return None if day and day < since.date() else record.updated_at


def states_of(kind: RecordKind, given: str | Iterable[str]) -> frozenset[str]:
    """Return states in upper case, nothing for ``any``. :raises ValueError: one is not known, or none is given."""
    states = {" ".join(state.upper().split()) for state in ([given] if isinstance(given, str) else given)}
    unknown = states - {*STATES[kind], ANY}
    if unknown or not states:
        known = ", ".join(state.lower() for state in (*STATES[kind], ANY))
        named = ", ".join(repr(state.lower()) for state in sorted(unknown)) or "nothing"
        raise ValueError(f"the states for {kind} records are {known}; not {named}")
    return frozenset() if ANY in states else frozenset(states)


def _seconds_to_settle(moment: datetime, began: datetime) -> float:
    return max(0.0, (moment + SETTLING - began).total_seconds())
