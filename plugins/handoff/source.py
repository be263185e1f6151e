"""What the last look and the sweep ask of a source, whoever the vendor is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from handoff.occasion import Occasion
from handoff.registration import Roster


@dataclass(frozen=True, slots=True)
class ListsTold:
    """What a listing says of the occasions' own lists, so that they need not be read one by one.

    :param read_at: when it was read (aware).
    :param same_since: a list of which it says nothing is as it was then (aware).
    :param refs: who is listed now, by series.
    """

    read_at: datetime
    same_since: datetime
    refs: Mapping[str, Collection[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Listing:
    """A source account's own list of occasions as read at one time.

    :param only_changes: what did not change lately is not listed, so that nothing follows from not being listed.
    :param lists: what it says of the occasions' own lists, ``None`` where these have to be read.
    """

    occasions: tuple[Occasion, ...]
    only_changes: bool = False
    lists: ListsTold | None = None


class Source(Protocol):
    """One account of one source, read only."""

    async def occasions(self, since: datetime) -> Listing:
        """Return at least the occasions of which an anchor is not before ``since`` (aware), cancelled ones included.

        :raises TargetError: when the source cannot be read now.
        """
        ...

    async def occasion(self, known: Occasion) -> Occasion | None:
        """Return the occasion as it is now, ``None`` when the source does not have it any more.

        :raises TargetError: when the source cannot be read now.
        """
        ...

    async def roster(self, known: Occasion, since: datetime | None) -> Roster:
        """Return the occasion's list, or only the entries that changed after ``since``.

        :raises TargetError: when the source cannot be read now.
        """
        ...

    async def close(self) -> None:
        """Release connections; safe to call twice."""
        ...
