"""Batches: what waits for its moment, one for each rule and occasion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from handoff.ledger.occasions import KnownOccasion, occasion_from_row

LEASE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class WaitingBatch:
    """A batch that a run has claimed, with its occasion as last reported.

    :param due_at: the moment of its handover; :param wake_at: when to look, the same moment or later.
    :param starts_at: when sending starts, if that is earlier.
    :param late_allowed: a person let it go on however late it is.
    """

    id: int
    rule_id: str
    rule_version: int
    due_at: datetime
    wake_at: datetime
    occasion: KnownOccasion
    late_allowed: bool = False
    starts_at: datetime | None = None

    @property
    def moment(self) -> datetime:
        """The moment it is judged for (aware)."""
        return self.starts_at or self.due_at


PLAN = text("""
    INSERT INTO handoff.batches (rule_id, rule_version, occasion_id, due_at, wake_at, state, reason)
    VALUES (:rule_id, :rule_version, :occasion_id, :due_at, :due_at, :state, :reason)
    ON CONFLICT (rule_id, occasion_id) DO NOTHING
    RETURNING id
""")
PLANNED = text("""
    SELECT id, rule_id, rule_version, due_at, state, reason FROM handoff.batches
    WHERE occasion_id = :occasion_id
      AND (state IN ('waiting', 'held', 'skipped') OR reason IN ('occasion_cancelled', 'past_when_first_seen'))
    ORDER BY id FOR UPDATE
""")
MOVE = text("""
    UPDATE handoff.batches SET due_at = :due_at, wake_at = :due_at, starts_at = NULL, state = 'waiting', reason = '',
        -- What a person allowed was the old moment.
        late_allowed = false, judged_at = NULL, lease_owner = NULL, leased_until = NULL
    WHERE id = :id
""")
CLOSE = text("""
    UPDATE handoff.batches SET state = :state, reason = :reason, lease_owner = NULL, leased_until = NULL,
        judged_at = clock_timestamp()
    WHERE id = :id AND state = 'waiting'
""")
CANCEL = text("""
    UPDATE handoff.batches SET state = 'cancelled', reason = 'occasion_cancelled', lease_owner = NULL,
        leased_until = NULL, judged_at = clock_timestamp()
    WHERE id = :id AND state IN ('waiting', 'held')
""")
POSTPONE = text("""
    UPDATE handoff.batches SET wake_at = clock_timestamp() + make_interval(secs => :seconds), reason = :reason,
        lease_owner = NULL, leased_until = NULL
    WHERE id = :id
""")
CLAIM = text("""
    WITH due AS (
        SELECT id FROM handoff.batches
        WHERE rule_id = :rule_id AND state = 'waiting'
          AND (lease_owner = :owner OR (
            wake_at <= clock_timestamp() + make_interval(secs => :horizon)
            AND (leased_until IS NULL OR leased_until < clock_timestamp())))
        ORDER BY wake_at, id LIMIT :most FOR UPDATE SKIP LOCKED
    ), claimed AS (
        UPDATE handoff.batches AS batch SET lease_owner = :owner,
            leased_until = GREATEST(clock_timestamp(), COALESCE(batch.starts_at, batch.due_at))
                + make_interval(secs => :lease)
        FROM due WHERE batch.id = due.id RETURNING batch.*
    )
    SELECT claimed.id AS batch_id, claimed.rule_id, claimed.rule_version, claimed.due_at, claimed.wake_at,
        claimed.late_allowed, claimed.starts_at, occasion.*
    FROM claimed JOIN handoff.occasions AS occasion ON occasion.id = claimed.occasion_id
    ORDER BY claimed.due_at, claimed.id
""")
START_EARLY = text("""
    UPDATE handoff.batches SET starts_at = CAST(:starts_at AS timestamptz), wake_at = CAST(:starts_at AS timestamptz)
    WHERE id = :id AND state = 'waiting' AND due_at = :due_at AND wake_at <= due_at AND due_at > clock_timestamp()
      AND (leased_until IS NULL OR leased_until < clock_timestamp() OR lease_owner = :owner)
""")
STILL_DUE = text("""
    SELECT state = 'waiting' AND due_at = :due_at FROM handoff.batches WHERE id = :id FOR NO KEY UPDATE
""")
ANY_WAITING = text("""
    SELECT EXISTS (SELECT FROM handoff.batches WHERE lease_owner = :owner AND state = 'waiting')
""")
RENEW = text("""
    UPDATE handoff.batches SET leased_until = GREATEST(leased_until, clock_timestamp() + make_interval(secs => :lease))
    WHERE lease_owner = :owner AND state = 'waiting'
""")


def _waiting(row: RowMapping) -> WaitingBatch:
    return WaitingBatch(
        id=row["batch_id"],
        rule_id=row["rule_id"],
        rule_version=row["rule_version"],
        due_at=row["due_at"],
        wake_at=row["wake_at"],
        occasion=KnownOccasion(row["id"], row["version"], occasion_from_row(row)),
        late_allowed=row["late_allowed"],
        starts_at=row["starts_at"],
    )


async def plan(connection: AsyncConnection, **values: Any) -> bool:
    """Create a batch unless the rule has one for the occasion; tell whether it is new."""
    return (await connection.execute(PLAN, {"state": "waiting", "reason": ""} | values)).first() is not None


async def planned(connection: AsyncConnection, occasion_id: int) -> Sequence[RowMapping]:
    """Return and lock the occasion's batches that nobody was judged in: they can still move."""
    return (await connection.execute(PLANNED, {"occasion_id": occasion_id})).mappings().all()


async def move(connection: AsyncConnection, batch_id: int, due_at: datetime) -> None:
    """Let a batch wait for another moment."""
    await connection.execute(MOVE, {"id": batch_id, "due_at": due_at})


async def close(connection: AsyncConnection, batch_id: int, state: str, reason: str = "") -> None:
    """End a batch's waiting: ``judged``, ``cancelled``, ``held`` or ``skipped``."""
    await connection.execute(CLOSE, {"id": batch_id, "state": state, "reason": reason})


async def cancel(connection: AsyncConnection, batch_id: int) -> None:
    """End a batch, waiting or held, because its occasion was cancelled."""
    await connection.execute(CANCEL, {"id": batch_id})


async def still_due(connection: AsyncConnection, batch: WaitingBatch) -> bool:
    """Tell whether a batch waits for the moment it was claimed for, and keep it so until the transaction ends."""
    return bool((await connection.execute(STILL_DUE, {"id": batch.id, "due_at": batch.due_at})).scalar_one())


async def rehearse(connection: AsyncConnection) -> None:
    """End no batch's waiting, in order to have done it once: see :mod:`handoff.delivery.rehearsal`."""
    await connection.execute(STILL_DUE, {"id": 0, "due_at": datetime.now(UTC)})
    await close(connection, 0, "judged")


async def start_early(
    connection: AsyncConnection, batch_id: int, due_at: datetime, starts_at: datetime, owner: str = ""
) -> bool:
    """Let sending start before the due moment; tell whether it does.

    :param due_at: the moment as it was when this was decided; a batch that moved meanwhile stays as it is.
    :param owner: who has claimed the batch; what others work on stays as it is.
    """
    parameters = {"id": batch_id, "due_at": due_at, "starts_at": min(starts_at, due_at), "owner": owner}
    return (await connection.execute(START_EARLY, parameters)).rowcount > 0


async def postpone(connection: AsyncConnection, batch_id: int, seconds: float, reason: str) -> None:
    """Look at a batch again later; its due moment, for which it is judged, stays."""
    await connection.execute(POSTPONE, {"id": batch_id, "seconds": seconds, "reason": reason})


async def claim(
    connection: AsyncConnection, rule_id: str, owner: str, *, horizon: float, most: int = 100
) -> list[WaitingBatch]:
    """Claim the rule's batches that wake within ``horizon`` seconds, for this owner until the lease ends.

    Claiming again as the same owner returns the same batches, whatever the horizon is by then, so a
    later task of a run takes up what an earlier one claimed.
    """
    parameters = {"rule_id": rule_id, "owner": owner, "horizon": horizon, "most": most, "lease": LEASE_SECONDS}
    return [_waiting(row) for row in (await connection.execute(CLAIM, parameters)).mappings()]


async def any_waiting(engine: AsyncEngine, owner: str) -> bool:
    """Tell whether batches that this owner claimed are still to be judged."""
    async with engine.connect() as connection:
        return bool((await connection.execute(ANY_WAITING, {"owner": owner})).scalar_one())


async def renew(connection: AsyncConnection, owner: str) -> None:
    """Keep this owner's batches for another lease."""
    await connection.execute(RENEW, {"owner": owner, "lease": LEASE_SECONDS})
