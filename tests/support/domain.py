"""Rules, occasions and lists made for tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from handoff.occasion import Occasion
from handoff.registration import Presence, Registration, Roster
from handoff.rules.rule import Rule
from handoff.source import Listing

START = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)


def a_rule(**changes: Any) -> Rule:
    """Return a rule: registered people of any webinar get one tag at its end."""
    spec: dict[str, Any] = {
        "id": "test_rule",
        "title": "Test rule",
        "when": {"minutes": 0, "after": "end"},
        "who": "registered",
        "steps": [{"step": "klicktipp.tag", "tag": "besucht"}],
    }
    return Rule.model_validate(spec | changes)


def an_occasion(start: datetime = START, minutes: float = 60, **changes: Any) -> Occasion:
    """Return a webinar date."""
    values: dict[str, Any] = {
        "source": "webinaris",
        "account": "webinaris_default",
        "key": "d1",
        "series": "7167W1",
        "title": "Webinar",
        "anchors": {"start": start, "end": start + timedelta(minutes=minutes)},
        "changed": 1.0,
    }
    return Occasion(**(values | changes))


def some_registrations(count: int, *, before: datetime = START) -> tuple[Registration, ...]:
    """Return people who registered one minute apart, in order, the last a minute before ``before``."""
    return tuple(
        Registration(
            ref=f"p{number:06}",
            email=f"person{number}@example.org",
            registered_at=before - timedelta(minutes=count - number),
            first_name=f"Vorname{number}",
        )
        for number in range(count)
    )


class FixedSource:
    """A source that answers from what a test put in."""

    def __init__(self, occasion: Occasion | None, registrations: Sequence[Registration] = ()) -> None:
        self.now, self.registrations = occasion, tuple(registrations)
        self.presence_until: datetime | None = None
        self.looks = 0

    async def occasions(self, since: datetime) -> Listing:
        """Return the one occasion there is."""
        return Listing((self.now,) if self.now else ())

    async def occasion(self, known: Occasion) -> Occasion | None:
        """Return the occasion as it is now."""
        self.looks += 1
        return self.now

    async def roster(self, known: Occasion, since: datetime | None) -> Roster:
        """Return the whole list, or nothing new after a first look."""
        now = datetime.now(UTC)
        return Roster(now, self.presence_until or now, () if since else self.registrations)

    async def close(self) -> None:
        """Hold nothing open."""


def stay(start: datetime, *minutes: float | None) -> Presence:
    """Return a stay given in minutes after ``start``."""
    joined, left = minutes
    return Presence(start + timedelta(minutes=joined or 0), None if left is None else start + timedelta(minutes=left))
