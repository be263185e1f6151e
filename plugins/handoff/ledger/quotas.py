"""How many requests an account may make: each second, and each day for each purpose."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.ledger import notices
from handoff.ledger.bells import ring

Purpose = Literal["writes", "polling", "reserve"]
RESERVE_SHARE, POLLING_SHARE = 0.1, 0.2
"""Of an account that is both read and written to, polling may have a fifth of the day."""
SPACING = 1.03
"""Calls are this much further apart than the limit needs: room for a network that is not even."""
MIDNIGHT_SECONDS = 120.0
"""Lanes that rest for tomorrow are ready within so long after midnight."""


@dataclass(frozen=True, slots=True)
class Quota:
    """The requests of a day, planned: nobody can use up what another purpose needs.

    :param polling: share for polling. :param reserve: share for reads that settle what became of an effect, for
        last looks, and to finish what was begun. Writes have the rest.
    """

    per_day: int
    polling: float = 0.0
    reserve: float = RESERVE_SHARE

    def most(self, purpose: Purpose) -> int:
        """Return how many requests a purpose may make in a day."""
        polling, reserve = math.floor(self.per_day * self.polling), math.floor(self.per_day * self.reserve)
        return {"polling": polling, "reserve": reserve, "writes": self.per_day - polling - reserve}[purpose]


@dataclass(frozen=True, slots=True)
class Limits:
    """What an account's connection allows.

    :param rate: requests a second over all workers, ``None`` without a limit. :param quota: ``None`` without one.
    :param bulk_from: from so many contacts on they leave together, ``None`` where they never do.
    """

    rate: float | None = None
    quota: Quota | None = None
    bulk_from: int | None = None


@dataclass(frozen=True, slots=True)
class AccountNow:
    """What an account allows.

    :param rate: requests a second, ``None`` without a limit. :param per_day: requests a day that may be used for
        writing, ``None`` without a limit. :param used: how many of them are used today.
    :param bulk_from: from so many contacts on they leave together, ``None`` where they never do.
    """

    rate: float | None = None
    per_day: int | None = None
    used: int = 0
    bulk_from: int | None = None


DECLARE = text("""
    INSERT INTO handoff.buckets AS bucket (account, rate, per_day, bulk_from)
    VALUES (:account, :rate, :per_day, :bulk_from)
    ON CONFLICT (account) DO UPDATE
        SET rate = EXCLUDED.rate, per_day = EXCLUDED.per_day, bulk_from = EXCLUDED.bulk_from
        WHERE (bucket.rate, bucket.per_day, bucket.bulk_from)
            IS DISTINCT FROM (EXCLUDED.rate, EXCLUDED.per_day, EXCLUDED.bulk_from)
""")
# A slot that a crash of the database forgets does no harm: nobody waits for the disk, above all not those who wait
# for this row.
QUICK = "quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))"
SLOTS = """
    INSERT INTO handoff.buckets AS bucket (account, next_at, rate, per_day)
    SELECT :account, clock_timestamp() + make_interval(secs => :span), :rate, :per_day FROM {given}
    ON CONFLICT (account) DO UPDATE
        SET next_at = GREATEST(bucket.next_at, clock_timestamp()) + make_interval(secs => :span),
            rate = EXCLUDED.rate, per_day = EXCLUDED.per_day
    RETURNING EXTRACT(EPOCH FROM next_at - clock_timestamp()) - :span
"""
RESERVE = text(f"WITH {QUICK} {SLOTS.format(given='quick')}")
RESERVE_OF_THE_DAY = text(f"""
    WITH {QUICK}, counted AS (
        INSERT INTO handoff.day_uses AS day_use (account, day, purpose, used)
        SELECT :account, CAST(clock_timestamp() AT TIME ZONE 'UTC' AS date), :purpose, :count
        FROM quick WHERE :count <= :most
        ON CONFLICT (account, day, purpose) DO UPDATE SET used = day_use.used + EXCLUDED.used
            WHERE day_use.used + EXCLUDED.used <= :most
        RETURNING used
    ) {SLOTS.format(given="counted")}
""")  # noqa: S608 - nothing but the constants above
USED = text("""
    SELECT COALESCE(sum(used), 0) FROM handoff.day_uses
    WHERE account = :account AND purpose = 'writes' AND day = CAST(clock_timestamp() AT TIME ZONE 'UTC' AS date)
""")
# Those that rest for tomorrow are ready just after midnight. Whoever else is woken with them looks and rests again.
WAKE = text("""
    WITH tomorrow AS (
        SELECT (date_trunc('day', clock_timestamp() AT TIME ZONE 'UTC') + interval '1 day') AT TIME ZONE 'UTC' AS begins
    ), resting AS (
        SELECT lane.id FROM handoff.lanes AS lane, tomorrow
        WHERE lane.ready_at BETWEEN begins AND begins + make_interval(secs => :within) AND lane.held IS NULL
          AND EXISTS (SELECT FROM handoff.effects
            WHERE lane_id = lane.id AND account = :account AND state = 'planned')
        ORDER BY lane.id FOR NO KEY UPDATE OF lane
    )
    UPDATE handoff.lanes AS lane SET ready_at = clock_timestamp() FROM resting WHERE lane.id = resting.id
""")
WAITING = text("""
    SELECT count(*) FROM handoff.effects WHERE account = :account AND state = 'planned'
""")
OVER = text("""
    UPDATE handoff.notices SET closed_at = clock_timestamp()
    WHERE closed_at IS NULL AND cause LIKE 'quota/%'
      AND last_at < date_trunc('day', clock_timestamp() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
""")


def today() -> date:
    """Return the day that counts now: vendors' days begin at midnight UTC, as far as anything is known of them."""
    return datetime.now(UTC).date()


def next_day(moment: datetime) -> datetime:
    """Return when the day after an aware moment begins, in UTC."""
    midnight = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(days=1)


async def declare(connection: AsyncConnection, account: str, limits: Limits) -> None:
    """Remember what an account's connection allows, for those who look ahead.

    Lanes that rest for tomorrow go on when the day has requests left, because more of them are allowed now.
    """
    quota = limits.quota
    values = {"rate": limits.rate, "per_day": quota.per_day if quota else None, "bulk_from": limits.bulk_from}
    await connection.execute(DECLARE, {"account": account, **values})
    used = int((await connection.execute(USED, {"account": account})).scalar_one())
    if quota is None or used < quota.most("writes"):
        woken = await connection.execute(WAKE, {"account": account, "within": MIDNIGHT_SECONDS})
        if woken.rowcount:
            await notices.close(connection, f"quota/{account}/writes")
            await ring(connection)


async def reserve(
    connection: AsyncConnection,
    account: str,
    span: float,
    rate: float | None,
    quota: Quota | None,
    counting: tuple[Purpose, int] | None = None,
) -> float | None:
    """Reserve an account's next ``span`` seconds, and count requests of the day with them.

    :param rate: what the connection allows a second, to be remembered, like the ``quota``.
    :param counting: how many requests, and what for; ``None`` to count none.
    :returns: in how many seconds they begin; ``None`` when the day has not enough requests left: nothing is reserved.
    """
    parameters = {"account": account, "span": span, "rate": rate, "per_day": quota.per_day if quota else None}
    statement = RESERVE
    if counting is not None and quota is not None:
        purpose, count = counting
        parameters |= {"purpose": purpose, "count": count, "most": quota.most(purpose)}
        statement = RESERVE_OF_THE_DAY
    ahead = (await connection.execute(statement, parameters)).scalar_one_or_none()
    return None if ahead is None else float(ahead)


async def used_up(connection: AsyncConnection, account: str, purpose: Purpose, quota: Quota) -> None:
    """Note for the team, once a day, that a purpose has no requests left."""
    waiting = int((await connection.execute(WAITING, {"account": account})).scalar_one())
    words = (
        f"{account}: the day's {quota.most(purpose):,} requests for {purpose} (of {quota.per_day:,}) are used up; "
        f"what waits goes on by itself at {next_day(datetime.now(UTC)):%Y-%m-%d %H:%M} UTC: {waiting:,} effects"
    )
    await notices.stands(connection, f"quota/{account}/{purpose}", "quota", words, waiting)


async def close_over(connection: AsyncConnection) -> None:
    """End the notices of days that are over."""
    await connection.execute(OVER)
