"""What the ledger itself knows, as a source: occasions that happened here, each with one person."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import ClassVar

from sqlalchemy import TextClause
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger import occasions
from handoff.occasion import Occasion
from handoff.registration import Registration, Roster
from handoff.source import Listing


class LedgerSource:
    """Reads occasions and their persons from the ledger. Subclasses say what still stands, and who it was."""

    source: ClassVar[str]
    account: ClassVar[str]
    anchor: ClassVar[str]
    """The one anchor of these occasions."""
    standing: ClassVar[TextClause]
    """Of the occasions ``:keys`` (of this ``:source`` and ``:account``) the keys of those that still count.
    ``:ids`` are the rows that the keys name."""
    person: ClassVar[TextClause]
    """The contact of the row ``:id``, as long as the address is kept: columns as in ``handoff.contacts``, and
    ``happened_at``, ``NULL`` for the moment of the anchor."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def occasions(self, since: datetime) -> Listing:
        """Return what happened since then (aware); what does not count any more as cancelled."""
        async with self._engine.connect() as connection:
            known = await occasions.since(connection, self.source, self.account, self.anchor, since)
        standing = await self._standing([one.key for one in known])
        return Listing(tuple(replace(one, cancelled=one.cancelled or one.key not in standing) for one in known))

    async def occasion(self, known: Occasion) -> Occasion | None:
        """Return the occasion, ``None`` when it does not count any more or its person was erased."""
        return known if known.key in await self._standing([known.key]) else None

    async def roster(self, known: Occasion, since: datetime | None) -> Roster:
        """Return its person; nobody when their address is not kept any more."""
        async with self._engine.connect() as connection:
            person = (await connection.execute(self.person, {"id": self.row_id(known.key)})).one_or_none()
        now = datetime.now(UTC)
        if person is None:
            return Roster(now, now, ())
        entry = Registration(
            ref=str(person.id), email=person.email, registered_at=person.happened_at or known.anchors[self.anchor],
            first_name=person.first_name, last_name=person.last_name, phone=person.phone, language=person.language,
            timezone=person.timezone,
        )  # fmt: skip
        return Roster(now, now, (entry,))

    async def close(self) -> None:
        """Hold nothing open."""

    @staticmethod
    def row_id(key: str) -> int:
        """Return the row that an occasion's key names."""
        return int(key.partition("/")[0])

    async def _standing(self, keys: Collection[str]) -> set[str]:
        ids = sorted(map(self.row_id, keys))
        given = {"source": self.source, "account": self.account, "keys": list(keys), "ids": ids}
        async with self._engine.connect() as connection:
            return set((await connection.execute(self.standing, given)).scalars())
