"""What the ledger knows of a source account, to be compared with the source's own lists."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.ledger.occasions import KnownOccasion, occasion_from_row
from handoff.source import ListsTold


@dataclass(frozen=True, slots=True)
class ToCompare:
    """An occasion some of whose batches are to be compared with its list."""

    known: KnownOccasion
    batch_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class JudgedBatch:
    """A judged batch, kept as it is until the transaction ends.

    :param moment: what its audience is judged for (aware).
    :param refs: entries that have a verdict, without :param readable: those that could not be read then and can now;
    :param contact_ids: people who have one.
    """

    id: int
    rule_id: str
    rule_version: int
    moment: datetime
    known: KnownOccasion
    refs: frozenset[str]
    readable: frozenset[str]
    contact_ids: frozenset[int]


SOMEBODY_NEW = """EXISTS (
        SELECT FROM jsonb_array_elements_text(CAST(:refs AS jsonb) -> occasion.series) AS told (ref)
        WHERE NOT EXISTS (
            SELECT FROM handoff.registrations AS entry WHERE entry.occasion_id = occasion.id AND entry.ref = told.ref))
"""
SAME = text(f"""
    WITH same AS (
        SELECT certificate.batch_id FROM handoff.certificates AS certificate
        JOIN handoff.batches AS batch ON batch.id = certificate.batch_id
        JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
        WHERE occasion.source = :source AND occasion.account = :account AND batch.due_at > CAST(:since AS timestamptz)
          AND batch.state = 'judged' AND certificate.even
          AND certificate.compared_at >= CAST(:same_since AS timestamptz)
          AND certificate.compared_at < CAST(:read_at AS timestamptz)
          -- Who could not be read may be readable now: no list says so.
          AND NOT EXISTS (SELECT FROM handoff.verdicts WHERE batch_id = batch.id AND reason = 'unreadable')
          AND NOT {SOMEBODY_NEW}
        ORDER BY certificate.batch_id FOR NO KEY UPDATE OF certificate SKIP LOCKED
    )
    UPDATE handoff.certificates AS certificate SET compared_at = CAST(:read_at AS timestamptz)
    FROM same WHERE certificate.batch_id = same.batch_id
""")  # noqa: S608 - nothing but the constant above
DUE = text(f"""
    SELECT occasion.*, array_agg(batch.id ORDER BY batch.id) AS batch_ids
    FROM handoff.batches AS batch
    JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
    LEFT JOIN handoff.certificates AS certificate ON certificate.batch_id = batch.id
    WHERE occasion.source = :source AND occasion.account = :account AND batch.due_at > CAST(:since AS timestamptz)
      -- Whom a batch was for that was heard of too late is read once.
      AND (batch.state = 'judged' OR (batch.reason = 'heard_too_late' AND certificate.compared_at IS NULL))
    GROUP BY occasion.id
    HAVING bool_or(certificate.even IS FALSE AND (certificate.compared_at IS NULL OR certificate.published_at IS NULL
        -- Red for long, it is read ever more rarely, but hourly.
        OR clock_timestamp() - certificate.compared_at
            > LEAST((clock_timestamp() - batch.due_at) / 24, interval '55 minutes')))
      OR (:lists AND ({SOMEBODY_NEW} OR bool_or(
        :everything OR certificate.compared_at IS NULL
        -- Every hour on its first day where no listing says what became of it, then each time that it is twice as old.
        OR clock_timestamp() - certificate.compared_at > CASE
            WHEN NOT :told AND clock_timestamp() - batch.due_at < interval '1 day'
            THEN (clock_timestamp() - batch.due_at) / 24 ELSE certificate.compared_at - batch.due_at END)))
    ORDER BY occasion.id
""")  # noqa: S608 - nothing but the constant above
REFS = text("SELECT ref FROM handoff.registrations WHERE occasion_id = :occasion_id")
JUDGED = text("""
    SELECT batch.id AS batch_id, batch.rule_id, batch.rule_version,
        COALESCE(batch.starts_at, batch.due_at) AS moment, occasion.*
    FROM handoff.batches AS batch
    JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
    WHERE batch.id = :batch_id AND batch.state = 'judged' FOR NO KEY UPDATE OF batch
""")
VERDICTS = text("SELECT ref, contact_id FROM handoff.verdicts WHERE batch_id = :batch_id")
READABLE = text("""
    SELECT verdict.ref FROM handoff.verdicts AS verdict
    JOIN handoff.batches AS batch ON batch.id = verdict.batch_id
    JOIN handoff.registrations AS entry ON entry.occasion_id = batch.occasion_id AND entry.ref = verdict.ref
    WHERE verdict.batch_id = :batch_id AND verdict.reason = 'unreadable' AND entry.unusable <> 'unreadable'
    ORDER BY verdict.ref
""")
OPEN = text("""
    SELECT * FROM handoff.occasions AS occasion
    WHERE source = :source AND account = :account AND NOT cancelled
      AND EXISTS (SELECT FROM handoff.batches WHERE occasion_id = occasion.id AND state IN ('waiting', 'held'))
    ORDER BY id
""")
GROUP_RULES = text("""
    SELECT DISTINCT rule_id FROM handoff.rule_versions WHERE spec ->> 'order_group' = :order_group ORDER BY rule_id
""")


async def same(connection: AsyncConnection, source: str, account: str, *, since: datetime, told: ListsTold) -> int:
    """Note that lists were compared of which a listing says that they are as they were, or that nobody is new on them.

    :param since: older moments (aware) are left alone.
    :returns: how many certificates they are of; only even ones, and none with entries that could not be read.
    """
    parameters = {
        "source": source, "account": account, "since": since, "refs": _refs_json(told),
        "same_since": told.same_since, "read_at": told.read_at,
    }  # fmt: skip
    return (await connection.execute(SAME, parameters)).rowcount


async def due(
    connection: AsyncConnection,
    source: str,
    account: str,
    *,
    since: datetime,
    lists: bool,
    everything: bool,
    told: ListsTold | None = None,
) -> list[ToCompare]:
    """Return the occasions whose lists are to be compared now.

    :param since: older moments (aware) are left alone.
    :param lists: whether it is time to compare; those with a red certificate are returned in any case.
    :param everything: compare also what was compared lately.
    :param told: what the account's listing says of them; :func:`same` comes first.
    """
    parameters = {
        "source": source, "account": account, "since": since, "lists": lists, "everything": everything,
        "told": told is not None, "refs": _refs_json(told),
    }  # fmt: skip
    rows = (await connection.execute(DUE, parameters)).mappings()
    return [ToCompare(_known(row), tuple(row["batch_ids"])) for row in rows]


async def refs(connection: AsyncConnection, occasion_id: int) -> set[str]:
    """Return the entries of an occasion's list that the ledger knows."""
    return set((await connection.execute(REFS, {"occasion_id": occasion_id})).scalars())


async def readable(connection: AsyncConnection, batch_id: int) -> set[str]:
    """Return the entries that were excluded because they could not be read, and can be read now."""
    return set((await connection.execute(READABLE, {"batch_id": batch_id})).scalars())


async def judged_batch(connection: AsyncConnection, batch_id: int) -> JudgedBatch | None:
    """Return and lock a judged batch, ``None`` when it is no longer judged."""
    row = (await connection.execute(JUDGED, {"batch_id": batch_id})).mappings().first()
    if row is None:
        return None
    given = (await connection.execute(VERDICTS, {"batch_id": batch_id})).all()
    mended = frozenset(await readable(connection, batch_id))
    return JudgedBatch(
        id=row["batch_id"],
        rule_id=row["rule_id"],
        rule_version=row["rule_version"],
        moment=row["moment"],
        known=_known(row),
        refs=frozenset(verdict.ref for verdict in given) - mended,
        readable=mended,
        contact_ids=frozenset(verdict.contact_id for verdict in given if verdict.contact_id is not None),
    )


async def waited_for(connection: AsyncConnection, source: str, account: str) -> list[KnownOccasion]:
    """Return the account's occasions that a batch waits for."""
    rows = (await connection.execute(OPEN, {"source": source, "account": account})).mappings()
    return [_known(row) for row in rows]


async def rules_of_group(connection: AsyncConnection, order_group: str) -> list[str]:
    """Return the ids of the rules that have, or had, their lanes in a group."""
    return list((await connection.execute(GROUP_RULES, {"order_group": order_group})).scalars())


def _refs_json(told: ListsTold | None) -> str:
    return json.dumps({series: list(refs) for series, refs in told.refs.items()} if told else {})


def _known(row: RowMapping) -> KnownOccasion:
    return KnownOccasion(row["id"], row["version"], occasion_from_row(row))
