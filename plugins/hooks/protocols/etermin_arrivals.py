"""What sensors wait for: appointments that were booked, changed or deleted since a moment (etermin.md 2.3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from hooks.protocols.doubled_hour import latest_past
from hooks.protocols.etermin import ETerminProtocol, Read
from hooks.protocols.etermin_appointments import Appointment
from hooks.protocols.etermin_times import local_day
from hooks.protocols.shared import Conversation

Event = Literal["created", "modified", "deleted"]
EVENTS: tuple[Event, ...] = get_args(Event)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is waited for.

    :param events: some of :data:`EVENTS`. :param since: aware; what was booked earlier is not created, and what was
        deleted earlier does not count. :param calendar: id or name; empty: all, also future ones.
    """

    events: frozenset[Event]
    since: datetime
    calendar: str = ""

    def selects(self, appointment: Appointment) -> bool:
        """Whether an appointment is in the calendar."""
        return not self.calendar or self.calendar in {appointment.calendar_id, appointment.calendar}


@dataclass(frozen=True, slots=True)
class Arrival:
    """Something that happened to an appointment. :param moment: when, or for a change when it was read (UTC)."""

    event: Event
    appointment: str
    moment: datetime


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look brought. :param arrivals: oldest first. :param cursor: who waits for the next ones begins here."""

    arrivals: tuple[Arrival, ...]
    problems: tuple[str, ...]
    cursor: str


class Lookout:
    """Looks again and again, with one request where nothing changed, and two where deletions are waited for.

    Begun anew with the same token, it finds the same.

    :ivar token: where the next look goes on; empty: everything is read, and only what was booked since counts.
    """

    def __init__(self, wanted: Wanted, token: str = "") -> None:
        self.wanted, self.token = wanted, token
        self._seen: set[str] = set()

    def look(self, calls: ETerminProtocol) -> Conversation[Sight]:
        """Read what happened. :raises TargetError: it cannot be read now; the next look brings it then."""
        feed = yield from calls.sync(self.token)
        arrivals, problems = self._changes(feed), feed.problems
        if "deleted" in self.wanted.events:
            since = min(self.wanted.since, feed.read_at)
            first, last = local_day(since, calls.zone, -1), local_day(feed.read_at, calls.zone, 2)
            gone = yield from calls.deleted(first, last)
            arrivals += self._deletions(gone, ZoneInfo(calls.zone))
            problems += gone.problems + _untimed(gone)
        self.token = feed.token
        self._seen |= {one.id for one in feed.appointments}
        cursor = f"{feed.token}@{feed.read_at.isoformat()}"
        return Sight(tuple(sorted(arrivals, key=lambda one: one.moment)), problems, cursor)

    def _changes(self, feed: Read) -> list[Arrival]:
        found = list[Arrival]()
        for one in filter(self.wanted.selects, feed.appointments):
            booked, new = one.booked_at, one.id not in self._seen
            if booked is not None and booked >= self.wanted.since.replace(microsecond=0) and new:
                found.append(Arrival("created", one.id, booked))
            elif not feed.full:
                found.append(Arrival("modified", one.id, feed.read_at))
        return [one for one in found if one.event in self.wanted.events]

    def _deletions(self, gone: Read, zone: ZoneInfo) -> list[Arrival]:
        since = self.wanted.since.replace(microsecond=0)
        timed = [(one.appointment, one.deleted_at) for one in gone.deletions if one.deleted_at is not None]
        # Its time has no twin in UTC.
        found = [(one, latest_past(moment.astimezone(zone), gone.read_at)) for one, moment in timed]
        return [
            Arrival("deleted", one.id, moment) for one, moment in found if moment >= since and self.wanted.selects(one)
        ]


def _untimed(gone: Read) -> tuple[str, ...]:
    ids = (one.appointment.id for one in gone.deletions if one.deleted_at is None)
    return tuple(f"{key}: when it was deleted cannot be read, so that it is not told" for key in ids)


def token_and_moment(cursor: str) -> tuple[str, datetime]:
    """Return the token and the moment (aware) of a cursor. :raises ValueError: it is none."""
    token, _, moment = cursor.strip().rpartition("@")
    read_at = datetime.fromisoformat(moment)
    if read_at.tzinfo is None:
        raise ValueError("a moment without a zone")
    return token, read_at


def events_of(given: str | Iterable[str]) -> frozenset[Event]:
    """Return what is waited for. :raises ValueError: one is not known, or none is given."""
    names = {name.strip().lower() for name in ([given] if isinstance(given, str) else given)}
    unknown = sorted(names - set(EVENTS))
    if unknown or not names:
        raise ValueError(f"events are {', '.join(EVENTS)}; not {', '.join(map(repr, unknown)) or 'nothing'}")
    return frozenset(event for event in EVENTS if event in names)
