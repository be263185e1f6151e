"""Letting a contact pass through a rule again, although the rule handed the contact over before."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.ledger.storable import storable
from handoff.occasion import BY_HAND

# Of somebody erased nothing new is kept, and nobody erased is handed over again.
ADD = text("""
    INSERT INTO handoff.resets (contact_key, rule_id, by, because)
    SELECT one.key, :rule_id, :by, :because FROM unnest(CAST(:keys AS text[])) AS one (key)
    WHERE NOT EXISTS (SELECT FROM handoff.erased WHERE erased.key = one.key)
    ORDER BY one.key
""")
BEFORE = text("""
    SELECT count(*) FROM handoff.handoffs AS handoff
    JOIN handoff.contacts AS contact ON contact.id = handoff.contact_id
    JOIN handoff.batches AS batch ON batch.id = handoff.batch_id
    JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
    WHERE contact.key = :key AND batch.rule_id = :rule_id AND occasion.source <> :by_hand
      AND EXISTS (SELECT FROM handoff.effects AS effect WHERE effect.handoff_id = handoff.id
        AND effect.state IN ('planned', 'sending', 'unknown', 'held', 'confirmed'))
""")
LIST = text("""
    SELECT rule_id AS rule, at, by, because FROM handoff.resets WHERE contact_key = :key ORDER BY at DESC, id DESC
""")
FORGET = text("DELETE FROM handoff.resets WHERE contact_key = :key")


async def add(connection: AsyncConnection, keys: Sequence[str], rule_id: str, *, by: str, because: str) -> int:
    """Let contacts pass through a rule again: what it handed over until now does not count for ``again`` any more.

    :param keys: whole contact keys, known to the ledger or not.
    :param by: who decided so. :param because: why; both free of contact data.
    :returns: how many; none of those who were erased.
    """
    given = {"keys": list(keys), "rule_id": rule_id, "by": storable(by), "because": storable(because)}
    return (await connection.execute(ADD, given)).rowcount


async def handed_over(connection: AsyncConnection, key: str, rule_id: str) -> int:
    """Return how often a rule handed a contact over, not counting what was given by hand."""
    given = {"key": key, "rule_id": rule_id, "by_hand": BY_HAND}
    return int((await connection.execute(BEFORE, given)).scalar_one())


async def of_contact(connection: AsyncConnection, key: str) -> list[RowMapping]:
    """Return a contact's resets, newest first: ``rule``, ``at``, ``by``, ``because``."""
    return list((await connection.execute(LIST, {"key": key})).mappings())


async def forget(connection: AsyncConnection, key: str) -> int:
    """Remove a person's resets, and return how many there were."""
    return (await connection.execute(FORGET, {"key": key})).rowcount
