"""What is read of the ledger to look ahead: batches that wait, what is open, and what accounts allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.forecast import AccountNow
from handoff.ledger import rule_versions
from handoff.ledger.occasions import KnownOccasion, occasion_from_row
from handoff.ledger.quotas import Quota
from handoff.rule import Rule


@dataclass(frozen=True, slots=True)
class Ahead:
    """A batch that waits.

    :param starts_at: when its sending starts if that is earlier than ``due_at``.
    :param listed: contacts on its list as read at ``read_at``, ``None`` when it was never read.
    """

    batch_id: int
    rule: Rule
    known: KnownOccasion
    due_at: datetime
    starts_at: datetime | None
    listed: int
    read_at: datetime | None


BATCHES = text("""
    SELECT batch.id AS batch_id, batch.rule_id, batch.rule_version, batch.due_at, batch.starts_at, list.contacts,
        list.read_at, occasion.*
    FROM handoff.batches AS batch
    JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
    CROSS JOIN LATERAL (
        SELECT count(DISTINCT contact_id) AS contacts, max(read_at) AS read_at
        FROM handoff.registrations WHERE occasion_id = occasion.id
    ) AS list
    WHERE batch.state = 'waiting' AND batch.due_at <= clock_timestamp() + CAST(:within AS interval)
    ORDER BY batch.due_at, batch.id
""")
ACCOUNTS = text("""
    SELECT bucket.account, bucket.rate, bucket.per_day, bucket.bulk_from, COALESCE(day_use.used, 0) AS used
    FROM handoff.buckets AS bucket
    LEFT JOIN handoff.day_uses AS day_use ON day_use.account = bucket.account AND day_use.purpose = 'writes'
        AND day_use.day = CAST(clock_timestamp() AT TIME ZONE 'UTC' AS date)
    ORDER BY bucket.account
""")
OPEN = text("""
    SELECT account, count(*) AS effects FROM handoff.effects
    WHERE state IN ('planned', 'sending', 'unknown') GROUP BY account ORDER BY account
""")


async def waiting(connection: AsyncConnection, within: timedelta) -> list[Ahead]:
    """Return the batches whose moments come within a time, the first first, by the rules they are pinned to."""
    rules: dict[tuple[str, int], Rule] = {}
    found = []
    for row in (await connection.execute(BATCHES, {"within": within})).mappings().all():
        version = row["rule_id"], row["rule_version"]
        if version not in rules:
            rules[version] = await rule_versions.load(connection, *version)
        known = KnownOccasion(row["id"], row["version"], occasion_from_row(row))
        found.append(
            Ahead(
                batch_id=row["batch_id"],
                rule=rules[version],
                known=known,
                due_at=row["due_at"],
                starts_at=row["starts_at"],
                listed=row["contacts"],
                read_at=row["read_at"],
            )
        )
    return found


async def accounts(connection: AsyncConnection) -> dict[str, AccountNow]:
    """Return what every account allows that was opened at least once."""
    return {
        row.account: AccountNow(
            rate=row.rate,
            per_day=None if row.per_day is None else Quota(row.per_day).most("writes"),
            used=row.used,
            bulk_from=row.bulk_from,
        )
        for row in (await connection.execute(ACCOUNTS)).all()
    }


async def open_effects(connection: AsyncConnection) -> dict[str, int]:
    """Return how many effects are still to go out, by account."""
    rows: Sequence[tuple[str, int]] = [tuple(row) for row in (await connection.execute(OPEN)).all()]
    return dict(rows)
