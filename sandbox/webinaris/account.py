"""The state of the Webinaris account: webinars, their dates, and who is listed and was present when."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sandbox.addresses import normal_address
from sandbox.clock import BERLIN, Clock, german_minute
from sandbox.effects import Effects

ID_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Stay:
    """One stay: offsets in seconds from the webinar's start; ``left`` is ``None`` for who never leaves."""

    joined: float
    left: float | None


@dataclass(slots=True)
class Participant:
    """One entry of a date's list. ``registered`` and ``changed`` are unix seconds."""

    id: str
    email: str
    registered: float
    changed: float
    first_name: str = ""
    last_name: str = ""
    phone: str = ""
    language: str = "de"
    timezone: str = ""
    active: bool = True
    stays: tuple[Stay, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """From when on (unix seconds) a date has which times and status."""

    since: float
    start: float
    end: float
    cancelled: bool = False


@dataclass(slots=True)
class Webinar:
    """One webinar; ``password`` is its own key, ``presence_lag`` the seconds until presence can be read."""

    id: str
    title: str
    password: str
    presence_lag: float
    dates: list[WebinarDate] = field(default_factory=list)


@dataclass(slots=True)
class WebinarDate:
    """One date with its plans in order of time; entries are in order of their ids."""

    id: str
    webinar: Webinar
    plans: list[Plan]
    participants: list[Participant] = field(default_factory=list)
    by_email: dict[str, Participant] = field(default_factory=dict)

    def plan(self, now: float) -> Plan:
        """Return the plan in force."""
        known = [plan for plan in self.plans if plan.since <= now]
        return known[-1] if known else self.plans[0]

    def as_json(self, now: float) -> dict[str, Any]:
        """Return the date as the assumed surface shows it."""
        plan = self.plan(now)
        return {
            "id": self.id,
            "webinar_id": self.webinar.id,
            "title": self.webinar.title,
            "start": german_minute(plan.start),
            "end": german_minute(plan.end),
            "start_unix": plan.start,
            "end_unix": plan.end,
            "timezone": BERLIN.key,
            "status": "cancelled" if plan.cancelled else "scheduled",
            "updated": plan.since,
        }

    def after(self, ref: str) -> Iterator[Participant]:
        """Yield the entries whose id is greater than ``ref``."""
        index = bisect_right(self.participants, ref, key=lambda one: one.id)
        while index < len(self.participants):
            yield self.participants[index]
            index += 1

    def shown(self, one: Participant, now: float) -> dict[str, Any] | None:
        """Return an entry as far as it can be read by now; ``None`` before its registration."""
        if one.registered > now:
            return None
        start, lag = self.plan(now).start, self.webinar.presence_lag
        updated, presence = max(one.registered, one.changed), []
        for stay in one.stays:
            joined = start + stay.joined
            if joined + lag > now:
                continue
            left = None if stay.left is None or start + stay.left + lag > now else start + stay.left
            presence.append({"joined": joined, "left": left})
            updated = max(updated, (left or joined) + lag)
        return {
            "id": one.id, "email": one.email, "firstname": one.first_name, "lastname": one.last_name,
            "phone": one.phone, "language": one.language, "timezone": one.timezone,
            "registered": one.registered, "presence": presence, "updated": updated,
        }  # fmt: skip


class WebinarisAccount:
    """Webinars and dates by id; registrations are written to the effects.

    :param listed: whether the dates are shown at all; ``False`` until the world has been started.
    """

    def __init__(self, effects: Effects, clock: Clock, listed: bool) -> None:
        self._effects = effects
        self._clock = clock
        self._last_id = 0
        self.listed = listed
        self.webinars: dict[str, Webinar] = {}
        self.dates: dict[str, WebinarDate] = {}

    def date_at(self, webinar: Webinar, time: str) -> WebinarDate | None:
        """Return the webinar's date that starts in the given German minute."""
        now = self._clock.now()
        plans = ((date, date.plan(now)) for date in webinar.dates)
        return next((date for date, plan in plans if not plan.cancelled and german_minute(plan.start) == time), None)

    def put_participant(self, date: WebinarDate, email: str, registered: float, **about: Any) -> Participant:
        """Append an entry without an effect."""
        self._last_id += 1
        one = Participant(f"p{self._last_id:0{ID_DIGITS}d}", email, registered, registered, **about)
        date.participants.append(one)
        if email:
            date.by_email.setdefault(normal_address(email), one)
        return one

    def register(self, date: WebinarDate, email: str, active: bool, **about: Any) -> Participant:
        """Register, or only switch the access of who is registered for this date already."""
        known = date.by_email.get(normal_address(email)) if email else None
        now = self._clock.now()
        one = known or self.put_participant(date, email, now, **about)
        one.active, one.changed = active, now
        action = "access" if known else "register"
        self._effects.record(
            "webinaris", action, normal_address(email), webinar_id=date.webinar.id, date_id=date.id, id=one.id,
            access="active" if active else "inactive",
        )  # fmt: skip
        return one
