"""Batches: what waits for its moment, one for each rule, occasion and round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from handoff.ledger.occasions import KnownOccasion, occasion_from_row
from handoff.occasion import BY_HAND, Occasion

LEASE_SECONDS = 15
"""So long after its run has died a batch is free for another, before its moment as well as after it."""


@dataclass(frozen=True, slots=True)
class WaitingBatch:
    """A batch that a run has claimed, with its occasion as last reported.

    :param due_at: the moment of its handover; :param wake_at: when to look, the same moment or later.
    :param starts_at: when sending starts, if that is earlier.
    :param late_allowed: a person let it go on however late it is. :param owner: who has claimed it.
    """

    id: int
    rule_id: str
    rule_version: int
    due_at: datetime
    wake_at: datetime
    occasion: KnownOccasion
    late_allowed: bool = False
    starts_at: datetime | None = None
    owner: str = ""

    @property
    def moment(self) -> datetime:
        """The moment it is judged for (aware)."""
        return self.starts_at or self.due_at


NEWER_ROUND = """EXISTS (
        SELECT FROM handoff.batches AS newer WHERE newer.rule_id = batch.rule_id
          AND newer.occasion_id = batch.occasion_id AND newer.round > batch.round
          AND (newer.state <> 'cancelled' OR newer.reason <> 'occasion_moved'))"""
"""Tells in SQL whether the occasion of a ``batch`` was moved after that was judged, and the rule waited anew; not where
that came to nothing, because it was moved on to a time for which the rule does not."""
PLAN = text("""
    INSERT INTO handoff.batches (rule_id, rule_version, occasion_id, round, due_at, wake_at, state, reason)
    VALUES (:rule_id, :rule_version, :occasion_id, :round, :due_at, :due_at, :state, :reason)
    ON CONFLICT (rule_id, occasion_id, round) DO NOTHING
    RETURNING id
""")
PLAN_ALL = text("""
    INSERT INTO handoff.batches (rule_id, rule_version, occasion_id, round, due_at, wake_at, state, reason)
    SELECT :rule_id, :rule_version, occasion_id, 0, due_at, due_at, 'waiting', ''
    FROM unnest(CAST(:occasions AS bigint[]), CAST(:moments AS timestamptz[])) AS given (occasion_id, due_at)
    ORDER BY occasion_id ON CONFLICT (rule_id, occasion_id, round) DO NOTHING
""")
PLANNED = text("""
    SELECT id, rule_id, rule_version, round, due_at, state, reason,
        state <> 'cancelled' OR reason IN ('occasion_cancelled', 'occasion_moved', 'moved_back') AS follows
    FROM handoff.batches WHERE occasion_id = :occasion_id ORDER BY id FOR UPDATE
""")
BEGUN = text("SELECT EXISTS (SELECT FROM handoff.verdicts WHERE batch_id = :id)")
AS_IT_IS = text(f"""
    SELECT batch.rule_id, batch.rule_version, batch.round, {NEWER_ROUND} AS newer_round, occasion.*
    FROM handoff.batches AS batch
    JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id WHERE batch.id = :id
""")  # noqa: S608 - nothing but a constant
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
    UPDATE handoff.batches SET state = 'cancelled', reason = :reason, lease_owner = NULL, leased_until = NULL,
        judged_at = clock_timestamp()
    WHERE id = :id AND state IN ('waiting', 'held', 'cancelled')
""")
POSTPONE = text("""
    UPDATE handoff.batches SET wake_at = clock_timestamp() + make_interval(secs => :seconds), reason = :reason,
        lease_owner = NULL, leased_until = NULL
    -- What was moved, cancelled or taken over meanwhile is no longer this owner's to put off.
    WHERE id = :id AND state = 'waiting' AND due_at = :due_at AND lease_owner = :owner
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
            leased_until = clock_timestamp() + make_interval(secs => :lease)
        FROM due WHERE batch.id = due.id RETURNING batch.*
    )
    SELECT claimed.id AS batch_id, claimed.rule_id, claimed.rule_version, claimed.due_at, claimed.wake_at,
        claimed.late_allowed, claimed.starts_at, claimed.lease_owner, occasion.*
    FROM claimed JOIN handoff.occasions AS occasion ON occasion.id = claimed.occasion_id
    ORDER BY claimed.due_at, claimed.id
""")
OPEN_TO_CHANGE = text("""
    SELECT occasion.* FROM handoff.batches AS batch
    JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
    WHERE batch.rule_id = :rule_id AND occasion.source <> :by_hand AND NOT occasion.cancelled
      AND (batch.state IN ('waiting', 'missed') OR batch.reason = :reason)
    ORDER BY batch.due_at, batch.id
""")
NEWEST = text("""
    SELECT id, state, reason, rule_version, due_at,
        -- A run that died has left no lease, but effects of the version that it judged by.
        COALESCE(leased_until > clock_timestamp(), false)
            OR EXISTS (SELECT FROM handoff.verdicts WHERE batch_id = batches.id) AS in_hand
    FROM handoff.batches WHERE rule_id = :rule_id AND occasion_id = :occasion_id
    ORDER BY round DESC LIMIT 1 FOR UPDATE
""")
# Another version may need another time: an early start is foreseen again.
PIN = text("""
    UPDATE handoff.batches SET rule_version = :version, starts_at = NULL,
        wake_at = CASE WHEN starts_at IS NULL THEN wake_at ELSE due_at END
    WHERE id = :id AND rule_version <> :version
""")
START_EARLY = text("""
    UPDATE handoff.batches SET starts_at = CAST(:starts_at AS timestamptz), wake_at = CAST(:starts_at AS timestamptz)
    WHERE id = :id AND state = 'waiting' AND due_at = :due_at AND wake_at <= due_at AND due_at > clock_timestamp()
      AND (leased_until IS NULL OR leased_until < clock_timestamp() OR lease_owner = :owner)
""")
STILL_DUE = text("""
    SELECT state = 'waiting' AND due_at = :due_at AND rule_version = :version
    FROM handoff.batches WHERE id = :id FOR NO KEY UPDATE
""")
ANY_WAITING = text("""
    SELECT EXISTS (SELECT FROM handoff.batches WHERE lease_owner = :owner AND state = 'waiting')
""")
RENEW = text("""
    WITH mine AS (
        -- Not what has run out: others may have planned it anew since, and take it up.
        SELECT id FROM handoff.batches
        WHERE lease_owner = :owner AND state = 'waiting' AND leased_until > clock_timestamp()
        ORDER BY id FOR NO KEY UPDATE
    )
    UPDATE handoff.batches AS batch SET leased_until = clock_timestamp() + make_interval(secs => :lease)
    FROM mine WHERE batch.id = mine.id
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
        owner=row["lease_owner"],
    )


async def plan(connection: AsyncConnection, **values: Any) -> bool:
    """Create a batch unless the rule has one for the occasion and round; tell whether it is new."""
    given = {"state": "waiting", "reason": "", "round": 0} | values
    return (await connection.execute(PLAN, given)).first() is not None


async def plan_all(connection: AsyncConnection, rule_id: str, version: int, due: Mapping[int, datetime]) -> int:
    """Create a rule's first batches for occasions that have none; return how many.

    :param due: moments (aware) by the ids of the occasions.
    """
    parameters = {"rule_id": rule_id, "rule_version": version}
    parameters |= {"occasions": list(due), "moments": list(due.values())}
    return (await connection.execute(PLAN_ALL, parameters)).rowcount


async def planned(connection: AsyncConnection, occasion_id: int) -> list[list[RowMapping]]:
    """Return and lock the occasion's batches, for each rule its rounds.

    :returns: last that which waits or is held, if any does, else the newest. Those that the rule or a person has
        ended do not follow the occasion (``follows``).
    """
    rounds: dict[str, list[RowMapping]] = {}
    for row in (await connection.execute(PLANNED, {"occasion_id": occasion_id})).mappings():
        rounds.setdefault(row["rule_id"], []).append(row)
    return [sorted(one, key=lambda row: (row["state"] in {"waiting", "held"}, row["round"])) for one in rounds.values()]


async def as_it_is(connection: AsyncConnection, batch_id: int) -> RowMapping:
    """Return a batch with its occasion.

    :returns: ``rule_id``, ``rule_version``, ``round``, ``newer_round``, and the columns of the occasion.
    """
    return (await connection.execute(AS_IT_IS, {"id": batch_id})).mappings().one()


async def begun(connection: AsyncConnection, batch_id: int) -> bool:
    """Tell whether people of a batch were judged, perhaps not all; ask when it is locked, it may be judged just now."""
    return bool((await connection.execute(BEGUN, {"id": batch_id})).scalar_one())


async def move(connection: AsyncConnection, batch_id: int, due_at: datetime) -> None:
    """Let a batch wait for another moment."""
    await connection.execute(MOVE, {"id": batch_id, "due_at": due_at})


async def close(connection: AsyncConnection, batch_id: int, state: str, reason: str = "") -> None:
    """End a batch's waiting: ``judged``, ``cancelled``, ``held`` or ``skipped``."""
    await connection.execute(CLOSE, {"id": batch_id, "state": state, "reason": reason})


async def cancel(connection: AsyncConnection, batch_id: int, reason: str) -> None:
    """End a batch, waiting or held, because its occasion was cancelled or moved; another move may revive it.

    One that has ended so already does for this reason now.
    """
    await connection.execute(CANCEL, {"id": batch_id, "reason": reason})


async def still_due(connection: AsyncConnection, batch: WaitingBatch) -> bool:
    """Tell whether a batch waits as it was claimed, and keep it so until the transaction ends.

    It does not when it was moved, cancelled or judged meanwhile, or planned anew with another version of its rule.
    """
    parameters = {"id": batch.id, "due_at": batch.due_at, "version": batch.rule_version}
    return bool((await connection.execute(STILL_DUE, parameters)).scalar_one())


async def open_to_change(connection: AsyncConnection, rule_id: str, reason: str) -> list[Occasion]:
    """Return the occasions for which a rule waits, or missed the moment, or which were closed for this reason.

    What was given by hand is not among them.
    """
    given = {"rule_id": rule_id, "by_hand": BY_HAND, "reason": reason}
    return [occasion_from_row(row) for row in (await connection.execute(OPEN_TO_CHANGE, given)).mappings()]


async def newest(connection: AsyncConnection, rule_id: str, occasion_id: int) -> Row[tuple[object, ...]] | None:
    """Return and lock a rule's last batch for an occasion.

    :returns: ``id``, ``state``, ``reason``, ``rule_version``, ``due_at``, and ``in_hand``: whether it is being judged,
        or a part of it was.
    """
    return (await connection.execute(NEWEST, {"rule_id": rule_id, "occasion_id": occasion_id})).first()


async def pin(connection: AsyncConnection, batch_id: int, version: int) -> None:
    """Let a batch be judged by another version of its rule."""
    await connection.execute(PIN, {"id": batch_id, "version": version})


async def warm_up(connection: AsyncConnection) -> None:
    """End no batch's waiting, in order to have done it once: see :mod:`handoff.delivery.warming`."""
    await connection.execute(STILL_DUE, {"id": 0, "due_at": datetime.now(UTC), "version": 0})
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


async def postpone(connection: AsyncConnection, batch: WaitingBatch, seconds: float, reason: str) -> bool:
    """Give a batch back, to be looked at again later; its due moment, for which it is judged, stays.

    :returns: ``False`` when it was moved, cancelled or taken over meanwhile; then nothing is changed.
    """
    parameters = {"id": batch.id, "due_at": batch.due_at, "owner": batch.owner, "seconds": seconds, "reason": reason}
    return (await connection.execute(POSTPONE, parameters)).rowcount > 0


async def claim(
    connection: AsyncConnection,
    rule_id: str,
    owner: str,
    *,
    horizon: float,
    most: int = 100,
    seconds: float | None = None,
) -> list[WaitingBatch]:
    """Claim the rule's batches that wake within ``horizon`` seconds, for this owner until the lease ends.

    Claiming again as the same owner returns the same batches, whatever the horizon is by then, so a
    later task of a run takes up what an earlier one claimed.

    :param seconds: until the lease ends, :data:`LEASE_SECONDS` if not given; :func:`renew` it before.
    """
    lease = LEASE_SECONDS if seconds is None else seconds
    parameters = {"rule_id": rule_id, "owner": owner, "horizon": horizon, "most": most, "lease": lease}
    return [_waiting(row) for row in (await connection.execute(CLAIM, parameters)).mappings()]


async def any_waiting(engine: AsyncEngine, owner: str) -> bool:
    """Tell whether batches that this owner claimed are still to be judged."""
    async with engine.connect() as connection:
        return bool((await connection.execute(ANY_WAITING, {"owner": owner})).scalar_one())


async def renew(connection: AsyncConnection, owner: str, *, seconds: float | None = None) -> None:
    """Keep this owner's batches for another lease, except those whose lease has ended.

    :param seconds: from now until the lease ends, :data:`LEASE_SECONDS` if not given.
    """
    await connection.execute(RENEW, {"owner": owner, "lease": LEASE_SECONDS if seconds is None else seconds})
