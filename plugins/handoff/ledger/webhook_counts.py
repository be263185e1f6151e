"""How many pushes were accepted, repeated and refused, by account and day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

ACCEPTED, REPEATED = "accepted", "repeated"
"""Outcomes; every other one is the reason of a refusal."""


@dataclass(slots=True)
class Pushed:
    """What became of an account's pushes.

    :param refused: by reason. :param waiting: accepted ones that the planner has still to record.
    :param problems: how many of these it could not record.
    """

    account: str
    accepted: int = 0
    repeated: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    waiting: int = 0
    problems: int = 0
    last_at: datetime | None = None


ADD = text("""
    INSERT INTO handoff.webhook_counts AS known (account, day, outcome, count)
    SELECT account, CAST(clock_timestamp() AT TIME ZONE 'UTC' AS date), outcome, number
    FROM unnest(CAST(:accounts AS text[]), CAST(:outcomes AS text[]), CAST(:numbers AS bigint[]))
        AS given (account, outcome, number)
    ORDER BY account, outcome
    ON CONFLICT (account, day, outcome) DO UPDATE
        SET count = known.count + EXCLUDED.count, last_at = clock_timestamp()
""")
COUNTED = text("""
    SELECT account, outcome, sum(count) AS number, max(last_at) AS last_at FROM handoff.webhook_counts
    WHERE day > CAST(clock_timestamp() AT TIME ZONE 'UTC' AS date) - CAST(:days AS integer)
    GROUP BY account, outcome ORDER BY account, outcome
""")
WAITING = text("""
    SELECT account, count(*) AS waiting, count(problem) AS problems FROM handoff.deliveries
    WHERE processed_at IS NULL GROUP BY account ORDER BY account
""")


async def add(connection: AsyncConnection, counts: Mapping[tuple[str, str], int]) -> None:
    """Count some more, by account and outcome, for today (UTC)."""
    if counts:
        accounts, outcomes = zip(*counts, strict=True)
        given = {"accounts": list(accounts), "outcomes": list(outcomes), "numbers": list(counts.values())}
        await connection.execute(ADD, given)


async def read(connection: AsyncConnection, days: int) -> list[Pushed]:
    """Return what was pushed in the last days (UTC), today included, by account; and what waits, however old."""
    found: dict[str, Pushed] = {}
    for row in await connection.execute(COUNTED, {"days": days}):
        _add(found.setdefault(row.account, Pushed(row.account)), row.outcome, int(row.number), row.last_at)
    for row in await connection.execute(WAITING):
        pushed = found.setdefault(row.account, Pushed(row.account))
        pushed.waiting, pushed.problems = row.waiting, row.problems
    return [found[account] for account in sorted(found)]


def _add(pushed: Pushed, outcome: str, count: int, last_at: datetime) -> None:
    pushed.last_at = max(pushed.last_at or last_at, last_at)
    if outcome == ACCEPTED:
        pushed.accepted = count
    elif outcome == REPEATED:
        pushed.repeated = count
    else:
        pushed.refused[outcome] = count
