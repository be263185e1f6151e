"""Answers to surveys as a source: the ledger itself knows them all."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.answer import ACCOUNT, SOURCE
from handoff.ledger.occasions import occasion_from_row
from handoff.occasion import Occasion
from handoff.registration import Registration, Roster
from handoff.source import Listing

LISTED = text("""
    SELECT * FROM handoff.occasions
    WHERE source = :source AND account = :account AND CAST(anchors ->> 'answered' AS timestamptz) >= :since
    ORDER BY id
""")
# Superseded by a newer version, erased, or not kept any more: then it is not the answer.
CURRENT = text("""
    SELECT id || '/' || version FROM handoff.answers
    WHERE id = ANY(CAST(:ids AS bigint[])) AND contact_id IS NOT NULL AND rating IS NOT NULL
""")
PERSON = text("""
    SELECT contact.id, contact.email, contact.first_name, contact.last_name, contact.phone, contact.language,
        contact.timezone, answer.answered_at
    FROM handoff.answers AS answer JOIN handoff.contacts AS contact ON contact.id = answer.contact_id
    WHERE answer.id = :id AND contact.email <> ''
""")


class AnswersSource:
    """What the ledger knows of answers: each version of one is an occasion with one person."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def occasions(self, since: datetime) -> Listing:
        """Return the answers given since then (aware); those that do not count any more as cancelled."""
        async with self._engine.connect() as connection:
            parameters = {"source": SOURCE, "account": ACCOUNT, "since": since}
            rows = (await connection.execute(LISTED, parameters)).mappings().all()
        current = await self._current([row["key"] for row in rows])
        known = map(occasion_from_row, rows)
        return Listing(tuple(replace(one, cancelled=one.cancelled or one.key not in current) for one in known))

    async def occasion(self, known: Occasion) -> Occasion | None:
        """Return the answer's occasion, ``None`` when a newer version supersedes it or the person was erased."""
        return known if known.key in await self._current([known.key]) else None

    async def roster(self, known: Occasion, since: datetime | None) -> Roster:
        """Return the one who answered; nobody when their address is not kept any more."""
        async with self._engine.connect() as connection:
            person = (await connection.execute(PERSON, {"id": _id(known.key)})).one_or_none()
        now = datetime.now(UTC)
        if person is None:
            return Roster(now, now, ())
        entry = Registration(
            ref=str(person.id), email=person.email, registered_at=person.answered_at, first_name=person.first_name,
            last_name=person.last_name, phone=person.phone, language=person.language, timezone=person.timezone,
        )  # fmt: skip
        return Roster(now, now, (entry,))

    async def close(self) -> None:
        """Hold nothing open."""

    async def _current(self, keys: list[str]) -> set[str]:
        async with self._engine.connect() as connection:
            return set((await connection.execute(CURRENT, {"ids": sorted(map(_id, keys))})).scalars())


def _id(key: str) -> int:
    return int(key.partition("/")[0])
