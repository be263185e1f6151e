"""Who gets no survey and no advertising any more: hashed keys, which outlive the person's erasure."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.ledger.storable import storable

ADD = text("""
    INSERT INTO handoff.suppressions (contact_key, channel, reason, source) VALUES (:key, :channel, :reason, :source)
    ON CONFLICT (contact_key, channel, reason) WHERE lifted_at IS NULL DO NOTHING
""")
LIST = text("""
    SELECT channel, reason, source, at, lifted_at, lifted_because FROM handoff.suppressions
    WHERE contact_key = :key ORDER BY at, id
""")
# Who was erased is never handed over again, whatever else is lifted.
LIFT = text("""
    WITH open AS (
        SELECT id FROM handoff.suppressions
        WHERE contact_key = :key AND lifted_at IS NULL AND reason <> 'erased'
          AND (CAST(:channel AS text) IS NULL OR channel = :channel)
          AND (CAST(:before AS timestamptz) IS NULL OR at < :before)
        ORDER BY id FOR NO KEY UPDATE
    )
    UPDATE handoff.suppressions AS suppression SET lifted_at = clock_timestamp(), lifted_because = :because
    FROM open WHERE suppression.id = open.id
""")


async def add(connection: AsyncConnection, key: str, channel: str, reason: str, source: str) -> bool:
    """Suppress a contact; ``False`` when the contact is suppressed so already.

    :param channel: see :data:`handoff.consent.Channel`, or ``all``.
    :param reason: see :data:`handoff.consent.Reason`. :param source: who or what says so, free of contact data.
    """
    given = {"key": key, "channel": channel, "reason": reason, "source": storable(source)}
    return (await connection.execute(ADD, given)).rowcount > 0


async def lift(
    connection: AsyncConnection, key: str, because: str, *, channel: str | None = None, before: datetime | None = None
) -> int:
    """Lift a contact's suppressions by a person's decision or a fresh double opt-in; returns how many.

    :param channel: only those of this one, ``all`` being one of its own. :param before: only older ones.
    """
    given = {"key": key, "because": storable(because), "channel": channel, "before": before}
    return (await connection.execute(LIFT, given)).rowcount


async def of_contact(connection: AsyncConnection, key: str) -> list[RowMapping]:
    """Return a contact's suppressions, lifted ones too, oldest first."""
    return list((await connection.execute(LIST, {"key": key})).mappings())
