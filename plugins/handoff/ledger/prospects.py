"""What is read of the ledger to look ahead: batches that wait, what is open, and what accounts allow."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.ledger import rule_versions
from handoff.ledger.occasions import KnownOccasion, occasion_from_row
from handoff.ledger.poll_plans import PollPlan
from handoff.ledger.quotas import AccountNow, Purpose, Quota
from handoff.rules.rule import Rule
from handoff.rules.steps import STEPS, Step


@dataclass(frozen=True, slots=True)
class Ahead:
    """A batch that waits.

    :param starts_at: when its sending starts if that is earlier than ``due_at``.
    :param heard_at: when its occasion was last reported as something new (aware).
    :param listed: contacts on its list as read at ``read_at``, ``None`` when it was never read.
    """

    batch_id: int
    rule: Rule
    known: KnownOccasion
    due_at: datetime
    starts_at: datetime | None
    heard_at: datetime
    listed: int
    read_at: datetime | None


@dataclass(frozen=True, slots=True)
class AccountToday:
    """What an account allows, and what was used of its day so far.

    :param rate: requests a second, ``None`` without a limit. :param quota: the day's plan, ``None`` without a limit.
    :param used: requests of today, by what they were for.
    :param bulk_from: see :class:`handoff.ledger.quotas.AccountNow`.
    :param polls: how it is polled, ``None`` when it is not.
    """

    account: str
    rate: float | None
    quota: Quota | None
    bulk_from: int | None
    used: dict[Purpose, int]
    polls: PollPlan | None

    @property
    def now(self) -> AccountNow:
        """What it allows to write."""
        per_day = self.quota.most("writes") if self.quota else None
        return AccountNow(self.rate, per_day, self.used["writes"], self.bulk_from)


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
    SELECT bucket.account, bucket.rate, bucket.per_day, bucket.bulk_from, plan.value AS plan,
        CAST(COALESCE(sum(used) FILTER (WHERE purpose = 'writes'), 0) AS bigint) AS writes,
        CAST(COALESCE(sum(used) FILTER (WHERE purpose = 'polling'), 0) AS bigint) AS polling,
        CAST(COALESCE(sum(used) FILTER (WHERE purpose = 'reserve'), 0) AS bigint) AS reserve
    FROM handoff.buckets AS bucket
    LEFT JOIN handoff.cursors AS plan ON plan.account = bucket.account AND plan.source LIKE '%.plan'
    LEFT JOIN handoff.day_uses AS day_use ON day_use.account = bucket.account
        AND day_use.day = CAST(clock_timestamp() AT TIME ZONE 'UTC' AS date)
    GROUP BY bucket.account, bucket.rate, bucket.per_day, bucket.bulk_from, plan.value
    ORDER BY bucket.account
""")
OPEN = text("""
    -- What a person has to let go on first takes nothing from those who come now.
    SELECT effect.account, effect.step, count(*) AS effects
    FROM handoff.effects AS effect JOIN handoff.lanes AS lane ON lane.id = effect.lane_id
    WHERE effect.state IN ('planned', 'sending', 'unknown') AND lane.held IS NULL
      AND COALESCE(lane.rests, '') NOT LIKE 'paused:%'
      AND NOT EXISTS (SELECT FROM handoff.freezes WHERE scope IN ('all', lane.rests, 'account:' || effect.account))
    GROUP BY effect.account, effect.step ORDER BY effect.account, effect.step
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
                heard_at=row["updated_at"],
                listed=row["contacts"],
                read_at=row["read_at"],
            )
        )
    return found


async def accounts(connection: AsyncConnection) -> list[AccountToday]:
    """Return every account that was opened at least once, by name."""
    found = []
    for row in (await connection.execute(ACCOUNTS)).all():
        polls = PollPlan.parse(row.plan) if row.plan else None
        quota = Quota(row.per_day, polling=polls.polling if polls else 0.0) if row.per_day else None
        used: dict[Purpose, int] = {"writes": row.writes, "polling": row.polling, "reserve": row.reserve}
        found.append(AccountToday(row.account, row.rate, quota, row.bulk_from, used, polls))
    return found


async def open_requests(connection: AsyncConnection) -> dict[str, int]:
    """Return how many requests the effects take that are still to go out by themselves, by account."""
    requests = Counter[str]()
    for row in (await connection.execute(OPEN)).all():
        requests[row.account] += row.effects * STEPS.get(row.step, Step).requests
    return dict(requests)
