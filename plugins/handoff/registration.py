"""Who is listed for an occasion, and when they were present."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Presence:
    """One stay in the webinar room, half open: present from ``joined`` until just before ``left``.

    :param left: ``None`` while the person is still in the room.
    """

    joined: datetime
    left: datetime | None = None


@dataclass(frozen=True, slots=True)
class Registration:
    """One entry of the source's own list, as listed: addresses may be missing, invalid or doubled.

    :param ref: the source's id of the entry.
    :param details: what else the source says of the entry, plain JSON, e.g. the notes of a booking; removed with the
        person's data.
    :param registered_at: aware; the order of registration is (registered_at, ref).
    """

    ref: str
    email: str
    registered_at: datetime
    first_name: str = ""
    last_name: str = ""
    phone: str = ""
    language: str = ""
    timezone: str = ""
    presence: tuple[Presence, ...] = ()
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Roster:
    """The source's list for one occasion as read at one time.

    :param read_at: when the answer was read (aware).
    :param unreadable: a stable ref for each entry that could not be understood; they count as listed.
    :param presence_until: presence is complete up to this moment; later joins and leaves may still arrive.
    :param entire: whoever is not on it is not listed now, even if nobody is, and the source does not know since when
        the others are: who was not on the list that was judged came after it.
    """

    read_at: datetime
    presence_until: datetime
    registrations: tuple[Registration, ...]
    unreadable: tuple[str, ...] = ()
    entire: bool = False
