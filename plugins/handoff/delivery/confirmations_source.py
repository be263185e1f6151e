"""Confirmed consents as a source: the ledger itself knows them all, and whether they still stand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.confirmation import ACCOUNT, SOURCE
from handoff.ledger.occasions import occasion_from_row
from handoff.occasion import Occasion
from handoff.registration import Registration, Roster
from handoff.source import Listing

LISTED = text("""
    SELECT * FROM handoff.occasions
    WHERE source = :source AND account = :account AND CAST(anchors ->> 'confirmed' AS timestamptz) >= :since
    ORDER BY id
""")
# A no that was said since ends this confirmation for ever: who agrees again confirms another mail.
STANDING = text("""
    WITH confirmed AS (
        SELECT key, facts ->> 'channel' AS channel, facts ->> 'agreed_to' AS purpose,
            CAST(anchors ->> 'confirmed' AS timestamptz) AS at
        FROM handoff.occasions
        WHERE source = :source AND account = :account AND key = ANY(CAST(:keys AS text[]))
    )
    SELECT confirmed.key FROM handoff.effects AS effect
    JOIN confirmed ON confirmed.key = CAST(effect.id AS text)
    JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
    JOIN handoff.contacts AS contact ON contact.id = handoff.contact_id
    WHERE effect.id = ANY(CAST(:ids AS bigint[]))
      AND NOT EXISTS (SELECT FROM handoff.consents AS said
        WHERE said.contact_key = contact.key AND said.channel = confirmed.channel
          AND said.purpose = confirmed.purpose AND said.what IN ('withdrawn', 'objected') AND said.at >= confirmed.at)
      AND NOT EXISTS (SELECT FROM handoff.suppressions AS suppression
        WHERE suppression.contact_key = contact.key AND suppression.channel IN (confirmed.channel, 'all')
          AND (suppression.lifted_at IS NULL OR suppression.at >= confirmed.at))
""")
PERSON = text("""
    SELECT contact.id, contact.email, contact.first_name, contact.last_name, contact.phone, contact.language,
        contact.timezone
    FROM handoff.effects AS effect
    JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
    JOIN handoff.contacts AS contact ON contact.id = handoff.contact_id
    WHERE effect.id = CAST(:key AS bigint) AND contact.email <> ''
""")


class ConfirmationsSource:
    """What the ledger knows of confirmed consents: each is an occasion with one person."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def occasions(self, since: datetime) -> Listing:
        """Return what was confirmed since then (aware); what does not stand any more as cancelled."""
        async with self._engine.connect() as connection:
            parameters = {"source": SOURCE, "account": ACCOUNT, "since": since}
            rows = (await connection.execute(LISTED, parameters)).mappings().all()
        standing = await self._standing([row["key"] for row in rows])
        known = map(occasion_from_row, rows)
        return Listing(tuple(replace(one, cancelled=one.cancelled or one.key not in standing) for one in known))

    async def occasion(self, known: Occasion) -> Occasion | None:
        """Return the confirmation, ``None`` when the person has said no since, or was erased."""
        return known if known.key in await self._standing([known.key]) else None

    async def roster(self, known: Occasion, since: datetime | None) -> Roster:
        """Return the one who confirmed; nobody when their address is not kept any more."""
        async with self._engine.connect() as connection:
            person = (await connection.execute(PERSON, {"key": known.key})).one_or_none()
        now = datetime.now(UTC)
        if person is None:
            return Roster(now, now, ())
        entry = Registration(
            ref=str(person.id), email=person.email, registered_at=known.anchors["confirmed"],
            first_name=person.first_name, last_name=person.last_name, phone=person.phone, language=person.language,
            timezone=person.timezone,
        )  # fmt: skip
        return Roster(now, now, (entry,))

    async def close(self) -> None:
        """Hold nothing open."""

    async def _standing(self, keys: list[str]) -> set[str]:
        given = {"source": SOURCE, "account": ACCOUNT, "keys": keys, "ids": sorted(map(int, keys))}
        async with self._engine.connect() as connection:
            return set((await connection.execute(STANDING, given)).scalars())
