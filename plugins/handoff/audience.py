"""Who belongs to an audience at a moment: a pure function of what the source's list says.

The answer depends on the moment and on what had happened by then, never on when it is asked:
joins and leaves after the moment change nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from handoff.registration import Presence, Registration
from handoff.timing import Language

DEFAULT_ATTENDED_FROM_PERCENT = 50
"""Half of the webinar. The source lets every account choose its own share and names no default
(contract: webinaris.md 1.4), so a rule should state the share that its account uses."""


class Audience(StrEnum):
    """The five audiences of the source (contract: webinaris.md 1.4)."""

    REGISTERED = "registered"
    ATTENDED = "attended"
    NOT_ATTENDED = "not_attended"
    ONLINE = "online"
    NOT_ONLINE = "not_online"

    def label(self, language: Language = "en") -> str:
        """Return the audience's name for people, e.g. ``"Nicht teilgenommen"``."""
        return _LABELS[self] if language == "de" else self.value.replace("_", " ")


_LABELS = {
    Audience.REGISTERED: "Angemeldet",
    Audience.ATTENDED: "Teilgenommen",
    Audience.NOT_ATTENDED: "Nicht teilgenommen",
    Audience.ONLINE: "Gerade online",
    Audience.NOT_ONLINE: "Gerade nicht online",
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether one registration belongs to an audience.

    :param reason: what the person was found to be: the value of an :class:`Audience`, or
        ``registered_later`` for somebody not yet registered at the moment.
    :param facts: plain JSON without contact data: ``moment``, ``start``, ``end`` and
        ``registered_at`` (ISO 8601, UTC), ``online``, ``watched_percent`` (two decimals, rounded
        down so that it never seems to reach a threshold it misses), ``attended_from_percent``.
    """

    included: bool
    reason: str
    facts: dict[str, object]


def judge(
    registration: Registration,
    moment: datetime,
    start: datetime,
    end: datetime,
    who: Audience,
    attended_from_percent: int = DEFAULT_ATTENDED_FROM_PERCENT,
) -> Judgement:
    """Judge whether a registration belongs to the audience ``who`` at ``moment``.

    Everybody who had registered by the moment is either ``online`` or ``not_online``, and either
    ``attended`` or ``not_attended``; nobody else is anything. ``online``: some stay has
    ``joined <= moment < left``. ``attended``: the stays until the moment cover at least
    ``attended_from_percent`` of the webinar from ``start`` to ``end``; before that share is
    reached, and when the webinar has no length, a person counts as not attended.

    :param moment: aware, like ``start`` and ``end``.
    :param attended_from_percent: 1 to 100, share of the webinar's length.
    """
    watched, length = _watched(registration.presence, start, min(end, moment)), end - start
    online = any(stay.joined <= moment and (stay.left is None or moment < stay.left) for stay in registration.presence)
    attended = length > timedelta() and watched * 100 >= length * attended_from_percent
    facts: dict[str, object] = {
        "moment": _iso(moment),
        "start": _iso(start),
        "end": _iso(end),
        "registered_at": _iso(registration.registered_at),
        "online": online,
        "watched_percent": watched * 10_000 // length / 100 if length > timedelta() else 0.0,
        "attended_from_percent": attended_from_percent,
    }
    if registration.registered_at > moment:
        return Judgement(False, "registered_later", facts)
    found = _found(who, online, attended)
    return Judgement(found is who, found.value, facts)


def _found(who: Audience, online: bool, attended: bool) -> Audience:
    if who in {Audience.ONLINE, Audience.NOT_ONLINE}:
        return Audience.ONLINE if online else Audience.NOT_ONLINE
    if who in {Audience.ATTENDED, Audience.NOT_ATTENDED}:
        return Audience.ATTENDED if attended else Audience.NOT_ATTENDED
    return Audience.REGISTERED


def _watched(stays: Iterable[Presence], start: datetime, until: datetime) -> timedelta:
    # Stays may overlap, come in any order, be empty or end before they begin.
    total, covered = timedelta(), start
    for stay in sorted(stays, key=lambda stay: stay.joined):
        joined, left = max(stay.joined, covered), min(stay.left or until, until)
        if left > joined:
            total, covered = total + (left - joined), left
    return total


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
