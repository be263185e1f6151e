"""A source that knows everything, and a wire between it and the ledger that does not."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from handoff.errors import SourceError, Transient
from handoff.occasion import Occasion
from handoff.registration import Registration, Roster
from handoff.source import Listing


class TrueSource:
    """What really is: occasions as they are now, and who is listed for each.

    :ivar hidden: refs that the source does not show yet. :ivar garbled: refs of entries that cannot be read yet.
    :ivar presence_until: presence is known up to here; ``None``: up to now.
    :ivar down: whether it can be read at all. :ivar asked: keys whose list was read.
    :ivar listings: how often its occasions were listed.
    """

    def __init__(self) -> None:
        self.now: dict[str, Occasion] = {}
        self.lists: dict[str, tuple[Registration, ...]] = {}
        self.hidden: set[str] = set()
        self.garbled: set[str] = set()
        self.presence_until: datetime | None = None
        self.down = False
        self.asked: list[str] = []
        self.listings = 0

    def put(self, occasion: Occasion, registrations: Iterable[Registration] = ()) -> Occasion:
        """Let an occasion be so, with these registrations."""
        self.now[occasion.key] = occasion
        self.lists.setdefault(occasion.key, tuple(registrations))
        return occasion

    async def open(self, source: str, account: str) -> TrueSource:
        """Open it, whatever it is called."""
        return self

    def _awake(self) -> None:
        if self.down:
            raise Transient("webinaris_default", "read")

    async def occasions(self, since: datetime) -> Listing:
        """Return all occasions."""
        self._awake()
        self.listings += 1
        return Listing(tuple(self.now.values()))

    async def occasion(self, known: Occasion) -> Occasion | None:
        """Return the occasion as it is."""
        self._awake()
        return self.now.get(known.key)

    async def roster(self, known: Occasion, since: datetime | None) -> Roster:
        """Return the whole list, as far as it is shown."""
        self._awake()
        if known.key not in self.now:
            raise SourceError("no such date")
        self.asked.append(known.key)
        now = datetime.now(UTC)
        shown = tuple(entry for entry in self.lists[known.key] if entry.ref not in self.hidden | self.garbled)
        return Roster(now, self.presence_until or now, shown, tuple(sorted(self.garbled)))

    async def close(self) -> None:
        """Hold nothing open."""


def people(key: str, count: int, before: datetime) -> tuple[Registration, ...]:
    """Return people listed for one occasion, who registered in order before a moment."""
    return tuple(
        Registration(f"{key}-{number}", f"{key}-{number}@example.org", before - timedelta(minutes=count - number))
        for number in range(count)
    )


def history(dice: random.Random, key: str, now: datetime) -> list[Occasion]:
    """Return the versions of one occasion, the last one being the truth: created, moved, cancelled, revived."""
    start = now - timedelta(hours=2)
    made = Occasion("webinaris", "webinaris_default", key, key, {"start": start, "end": start}, series="W")
    versions = []
    for number in range(dice.randint(1, 4)):
        # Some moments lie behind, some far ahead; none so near that it passes while the test runs.
        end = now + timedelta(minutes=dice.choice([-50, -20, -5, 600, 1200]))
        cancelled = number > 0 and dice.random() < 0.3
        versions.append(replace(made, anchors={"start": start, "end": end}, cancelled=cancelled, changed=number + 1.0))
    return versions


def over_a_bad_wire(dice: random.Random, events: Sequence[Occasion]) -> list[Occasion]:
    """Return what arrives: a third is dropped, a third comes twice, in any order."""
    arriving = [event for event in events for _ in range(dice.choice([0, 1, 2]))]
    dice.shuffle(arriving)
    return arriving
