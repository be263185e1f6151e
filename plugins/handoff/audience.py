"""Who belongs to an audience at a moment: a pure function of what the source's list says.

The answer depends on the moment and on what had happened by then, never on when it is asked:
joins and leaves after the moment change nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from handoff.occasion import Occasion
from handoff.registration import Registration
from handoff.times.timing import Language

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
    moment, start, end, registered_at = map(_utc, (moment, start, end, registration.registered_at))
    stays = [
        (_utc(stay.joined), _utc(stay.left) if stay.left else datetime.max.replace(tzinfo=UTC))
        for stay in registration.presence
    ]
    watched, length = _watched(stays, start, min(end, moment)), max(end - start, timedelta())
    online = any(joined <= moment < left for joined, left in stays)
    attended = bool(length) and watched * 100 >= length * attended_from_percent
    facts: dict[str, object] = {
        "moment": moment.isoformat(),
        "start": start.isoformat(),
        "end": end.isoformat(),
        "registered_at": registered_at.isoformat(),
        "online": online,
        "watched_percent": watched * 10_000 // length / 100 if length else 0.0,
        "attended_from_percent": attended_from_percent,
    }
    if registered_at > moment:
        return Judgement(False, "registered_later", facts)
    found = _found(who, online, attended)
    return Judgement(found == who, found.value, facts)


def listed(reason: str, moment: datetime, occasion: Occasion) -> Judgement:
    """Judge somebody who belongs to the audience because the source lists them.

    :param moment: aware, kept among the facts like the occasion's anchors (ISO 8601, UTC).
    """
    facts: dict[str, object] = {name: _utc(anchor).isoformat() for name, anchor in occasion.anchors.items()}
    return Judgement(True, reason, {"moment": _utc(moment).isoformat()} | facts)


def _found(who: Audience, online: bool, attended: bool) -> Audience:
    if who in {Audience.ONLINE, Audience.NOT_ONLINE}:
        return Audience.ONLINE if online else Audience.NOT_ONLINE
    if who in {Audience.ATTENDED, Audience.NOT_ATTENDED}:
        return Audience.ATTENDED if attended else Audience.NOT_ATTENDED
    return Audience.REGISTERED


def _watched(stays: Iterable[tuple[datetime, datetime]], start: datetime, until: datetime) -> timedelta:
    # Stays may overlap, come in any order, be empty or end before they begin.
    total, covered = timedelta(), start
    for joined, left in sorted(stays):
        first, last = max(joined, covered), min(left, until)
        if last > first:
            total, covered = total + (last - first), last
    return total


def _utc(moment: datetime) -> datetime:
    # Moments that share a zone are compared and subtracted by their wall clocks, wrong across DST.
    return moment.astimezone(UTC)
