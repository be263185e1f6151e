"""What was pushed here: stored in groups before anybody is told ``ok``, then recorded in the order of arrival."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.ledger import cursors, webhook_counts
from handoff.ledger.occasions import as_row, occasion_from_row
from handoff.ledger.storable import storable_json
from handoff.ledger.webhook_counts import ACCEPTED, REPEATED
from handoff.occasion import Occasion


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A push that was accepted and is to be stored.

    :param content_hash: the same for what is the same push sent again.
    :param payload: plain JSON data, what is kept of it.
    :param occasions: what the planner is to record because of it.
    :param contact_key: whose data is in it, see :class:`handoff.contact.Contact`; ``None``: nobody's.
    :param poke: the source is to be polled before its time, also when this is a repetition.
    :param received_at: aware.
    """

    source: str
    account: str
    content_hash: str
    payload: dict[str, Any]
    received_at: datetime
    occasions: tuple[Occasion, ...] = ()
    contact_key: str | None = None
    poke: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """A delivery that the planner has still to record."""

    id: int
    source: str
    account: str
    occasions: tuple[Occasion, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """Deliveries of an account that could not be recorded.

    :param number: how many there are. :param kind: the kind of error of one of them.
    """

    account: str
    number: int
    kind: str


# Whoever erases a person takes this lock alone: what names the person is stored before, or finds the person erased.
TOGETHER = text("SELECT pg_advisory_xact_lock_shared(hashtext('handoff-deliveries'))")
ALONE = text("SELECT pg_advisory_xact_lock(hashtext('handoff-deliveries'))")
# In the order of the unique key, so that two servers that are sent the same never wait for each other.
STORE = text("""
    INSERT INTO handoff.deliveries
        (source, account, content_hash, payload, occasions, contact_key, received_at, processed_at)
    SELECT source, account, content_hash, CAST(payload AS jsonb), CAST(occasions AS jsonb), contact_key, received_at,
        CASE WHEN occasions = '[]' THEN clock_timestamp() END
    FROM unnest(CAST(:sources AS text[]), CAST(:accounts AS text[]), CAST(:hashes AS text[]),
        CAST(:payloads AS text[]), CAST(:occasions AS text[]), CAST(:contacts AS text[]),
        CAST(:moments AS timestamptz[]))
        AS given (source, account, content_hash, payload, occasions, contact_key, received_at)
    WHERE NOT EXISTS (SELECT FROM handoff.erased WHERE key = given.contact_key)
    ORDER BY account, content_hash
    ON CONFLICT (account, content_hash) DO NOTHING RETURNING account, content_hash
""")
NEXT = text("""
    SELECT id, source, account, occasions FROM handoff.deliveries
    WHERE processed_at IS NULL AND problem IS NULL AND (source, account) = (
        SELECT source, account FROM handoff.deliveries
        WHERE processed_at IS NULL AND problem IS NULL ORDER BY received_at, id LIMIT 1)
    ORDER BY received_at, id LIMIT :most FOR UPDATE
""")
IN_ORDER = text("SELECT pg_advisory_xact_lock(hashtext('handoff-deliveries-in-order'))")
DONE = text("""
    UPDATE handoff.deliveries SET processed_at = clock_timestamp(), occasions = '[]'
    WHERE id = ANY(CAST(:ids AS bigint[]))
""")
FAILED = text("UPDATE handoff.deliveries SET problem = :problem WHERE id = :id AND processed_at IS NULL")
AGAIN = text("UPDATE handoff.deliveries SET problem = NULL WHERE processed_at IS NULL AND problem IS NOT NULL")
PROBLEMS = text("""
    SELECT account, count(*) AS number, min(problem) AS problem FROM handoff.deliveries
    WHERE processed_at IS NULL AND problem IS NOT NULL GROUP BY account ORDER BY account
""")
FORGET = text("DELETE FROM handoff.deliveries WHERE contact_key = :key")


async def store(connection: AsyncConnection, group: Sequence[NewDelivery]) -> list[bool]:
    """Store deliveries, count them, and poke their sources, all in the caller's transaction.

    What names a person whose data was erased is not stored.

    :returns: for each whether it is new; of those that are the same only the first is.
    """
    first = {(one.account, one.content_hash): one for one in reversed(group)}
    if any(one.contact_key for one in group):
        await connection.execute(TOGETHER)
    stored = {tuple(row) for row in await connection.execute(STORE, _columns(list(first.values())))}
    new = [(key := (one.account, one.content_hash)) in stored and first[key] is one for one in group]
    counted = Counter((one.account, ACCEPTED if is_new else REPEATED) for one, is_new in zip(group, new, strict=True))
    await webhook_counts.add(connection, counted)
    # Repetitions too: what is moved there, back and there again is told in the same words twice.
    news = {(one.source, one.account) for one in group if one.poke}
    for source, account in sorted(news):
        await cursors.poke(connection, source, account)
    return new


def _columns(group: Sequence[NewDelivery]) -> dict[str, list[Any]]:
    return {
        "sources": [one.source for one in group],
        "accounts": [one.account for one in group],
        "hashes": [one.content_hash for one in group],
        "payloads": [storable_json(one.payload) for one in group],
        "occasions": [storable_json([as_row(occasion) for occasion in one.occasions]) for one in group],
        "contacts": [one.contact_key for one in group],
        "moments": [one.received_at for one in group],
    }


async def next_waiting(connection: AsyncConnection, most: int = 1) -> list[Waiting]:
    """Return and lock the deliveries that are to be recorded next; others wait, so that the order is kept.

    :returns: up to ``most`` of the account whose turn it is, in the order of arrival; none when none waits but such
        as could not be recorded, see :func:`again`.
    """
    await connection.execute(IN_ORDER)
    rows = await connection.execute(NEXT, {"most": most})
    return [Waiting(row.id, row.source, row.account, tuple(map(occasion_from_row, row.occasions))) for row in rows]


async def done(connection: AsyncConnection, ids: Sequence[int]) -> None:
    """Note that deliveries were recorded; do it in the same transaction."""
    await connection.execute(DONE, {"ids": list(ids)})


async def failed(connection: AsyncConnection, delivery_id: int, problem: str) -> None:
    """Let a delivery that cannot be recorded wait apart, so that the others go on.

    :param problem: a kind of error; no content.
    """
    await connection.execute(FAILED, {"id": delivery_id, "problem": problem})


async def again(connection: AsyncConnection) -> int:
    """Let those be tried once more that could not be recorded; return how many there are."""
    return (await connection.execute(AGAIN)).rowcount


async def problems(connection: AsyncConnection) -> list[Problem]:
    """Return what could not be recorded, by account."""
    return [Problem(*row) for row in await connection.execute(PROBLEMS)]


async def forget(connection: AsyncConnection, contact_key: str) -> int:
    """Remove the deliveries with a person's data; call it after the person is in the table ``erased``."""
    await connection.execute(ALONE)
    return (await connection.execute(FORGET, {"key": contact_key})).rowcount
