"""What the last look asks of a source, whoever the vendor is."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from handoff.occasion import Occasion
from handoff.registration import Roster


class Source(Protocol):
    """One account of one source, read only."""

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
