"""What really happens in the sandbox's world, as rules see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from handoff.occasion import Occasion
from handoff.registration import Registration


@dataclass(frozen=True, slots=True)
class Plan:
    """From when on (unix seconds) something is as its occasion says."""

    since: float
    occasion: Occasion


class TrueOccasion(Protocol):
    """Something that rules may wait for, as it really is."""

    @property
    def plans(self) -> tuple[Plan, ...]:
        """What it was announced as, then as moved and cancelled, in order of time."""

    @property
    def sure(self) -> bool:
        """Whether it is heard of in any case; else it depends on when its source is read."""

    def registrations(self, occasion: Occasion) -> list[Registration]:
        """Return its list in order of registration, as it is when the occasion is as ``occasion`` says."""


@dataclass(frozen=True, slots=True)
class ListedOccasion:
    """An occasion whose list is the same whenever it is read."""

    plans: tuple[Plan, ...]
    listed: tuple[Registration, ...]
    sure: bool = True

    def registrations(self, _occasion: Occasion) -> list[Registration]:
        """Return the list."""
        return list(self.listed)


def moment_of(seconds: float) -> datetime:
    """Return a moment in UTC. :param seconds: unix."""
    return datetime.fromtimestamp(seconds, UTC)
