"""Lanes: claiming the right to work in them, and reading what waits there."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.contact import Contact
from handoff.ledger.batches import NEWER_ROUND

LEASE_SECONDS = 15.0


@dataclass(slots=True)
class OpenEffect:
    """An effect that is not final, with all that is needed to carry it out.

    :param state: ``planned``, or ``sending`` / ``unknown`` when an earlier attempt's outcome is not known.
    :param seconds_since_intent: how long ago the last attempt was announced, ``None`` if there was none.
    :param due_at: the moment (aware) for which it was judged, or the later one for which a person let it go out.
    :param late_allowed: a person let it go out however late it is.
    :param cancelled: its occasion has been cancelled, though perhaps after it was judged.
    :param occasion_version: which version of the occasion that was.
    :param newer_round: its occasion was moved after it was judged, and its rule waited anew, perhaps has judged anew.
    :param known_at: when the last three were asked for, by ``time.monotonic``.
    """

    id: int
    handoff_id: int
    step_no: int
    step: str
    state: str
    attempts: int
    seconds_since_intent: float | None
    account: str
    batch_id: int
    rule_id: str
    rule_version: int
    due_at: datetime
    contact: Contact
    late_allowed: bool = False
    cancelled: bool = False
    occasion_version: int = 0
    newer_round: bool = False
    known_at: float = 0.0


@dataclass(slots=True)
class ClaimedLane:
    """A lane that a worker has leased: its open effects in order, and earlier proofs per handoff and account.

    :param strict: the lane carries a whole batch rather than one contact.
    """

    id: int
    revision: int
    strict: bool
    effects: list[OpenEffect] = field(default_factory=list)
    known: dict[tuple[int, str], dict[str, Any]] = field(default_factory=lambda: defaultdict(dict))


CLAIM = text("""
    -- A lease that a crash of the database forgets is one that nobody has: no need to wait for the disk.
    WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)), ready AS (
        SELECT id FROM handoff.lanes
        WHERE order_group = :order_group AND held IS NULL
          AND ready_at <= clock_timestamp() + make_interval(secs => :horizon)
          AND (leased_until IS NULL OR leased_until < clock_timestamp())
        ORDER BY ready_at, id LIMIT :most FOR UPDATE SKIP LOCKED
    )
    UPDATE handoff.lanes AS lane
    SET lease_owner = :owner, leased_until = clock_timestamp() + make_interval(secs => :lease)
    FROM ready CROSS JOIN quick WHERE lane.id = ready.id
    RETURNING lane.id, lane.revision, lane.name LIKE 'batch:%' AS strict
""")
OPEN = text(f"""
    SELECT effect.id, effect.handoff_id, effect.lane_id, effect.step_no, effect.step, effect.state, effect.attempts,
        effect.account, EXTRACT(EPOCH FROM clock_timestamp() - effect.intent_at) AS seconds_since_intent,
        effect.late_allowed, handoff.batch_id, batch.rule_id, batch.rule_version, occasion.cancelled,
        COALESCE(CAST(effect.proof ->> 'allowed_for' AS timestamptz), batch.due_at) AS due_at,
        occasion.version AS occasion_version, {NEWER_ROUND} AS newer_round,
        contact.email, contact.first_name, contact.last_name, contact.phone, contact.language, contact.timezone
    FROM handoff.effects AS effect
    JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
    JOIN handoff.batches AS batch ON batch.id = handoff.batch_id
    JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
    JOIN handoff.contacts AS contact ON contact.id = handoff.contact_id
    WHERE effect.lane_id = ANY(CAST(:lanes AS bigint[])) AND effect.state IN ('planned', 'sending', 'unknown')
    ORDER BY effect.lane_id, effect.handoff_id, effect.step_no
""")  # noqa: S608 - nothing but a constant
KNOWN = text("""
    SELECT effect.lane_id, effect.handoff_id, effect.account, effect.proof FROM handoff.effects AS effect
    WHERE effect.handoff_id = ANY(CAST(:handoffs AS bigint[])) AND effect.state = 'confirmed'
    ORDER BY effect.handoff_id, effect.step_no
""")
RENEW = text("""
    WITH mine AS (
        SELECT id FROM handoff.lanes WHERE id = ANY(CAST(:lanes AS bigint[])) AND lease_owner = :owner
        ORDER BY id FOR NO KEY UPDATE
    )
    UPDATE handoff.lanes AS lane SET leased_until = clock_timestamp() + make_interval(secs => :lease)
    FROM mine WHERE lane.id = mine.id RETURNING lane.id
""")
WAITING = text("""
    SELECT count(*) AS open, EXTRACT(EPOCH FROM min(GREATEST(ready_at, leased_until)) - clock_timestamp()) AS seconds
    FROM handoff.lanes WHERE order_group = :order_group AND ready_at IS NOT NULL AND held IS NULL
      AND ready_at <= clock_timestamp() + make_interval(secs => :horizon)
""")
WAKE = text("""
    WITH resting AS (SELECT id FROM handoff.lanes WHERE rests = :scope ORDER BY id FOR NO KEY UPDATE)
    UPDATE handoff.lanes AS lane SET rests = NULL, ready_at = LEAST(lane.ready_at, clock_timestamp())
    FROM resting WHERE lane.id = resting.id
""")


async def claim(
    connection: AsyncConnection, order_group: str, owner: str, *, most: int, horizon: float = 0.0
) -> list[ClaimedLane]:
    """Lease up to ``most`` lanes that are ready within ``horizon`` seconds and read what waits in them."""
    parameters = {
        "order_group": order_group, "owner": owner, "most": most, "horizon": horizon, "lease": LEASE_SECONDS,
    }  # fmt: skip
    rows = (await connection.execute(CLAIM, parameters)).all()
    lanes = {row.id: ClaimedLane(row.id, row.revision, row.strict) for row in sorted(rows)}
    if not lanes:
        return []
    asked_at = time.monotonic()
    for row in (await connection.execute(OPEN, {"lanes": list(lanes)})).mappings():
        lanes[row["lane_id"]].effects.append(_open_effect(row, asked_at))
    begun = [lane.effects[0].handoff_id for lane in lanes.values() if lane.effects and lane.effects[0].step_no > 0]
    if begun:
        for row in (await connection.execute(KNOWN, {"handoffs": begun})).mappings():
            lanes[row["lane_id"]].known[row["handoff_id"], row["account"]].update(row["proof"] or {})
    return list(lanes.values())


async def warm_up(connection: AsyncConnection) -> None:
    """Claim nothing, in order to have done it once: see :mod:`handoff.delivery.warming`."""
    await connection.execute(CLAIM, {"order_group": "", "owner": "", "most": 0, "horizon": 0.0, "lease": 0.0})
    await connection.execute(OPEN, {"lanes": []})


def _open_effect(row: RowMapping, asked_at: float) -> OpenEffect:
    since = row["seconds_since_intent"]
    return OpenEffect(
        id=row["id"],
        handoff_id=row["handoff_id"],
        step_no=row["step_no"],
        step=row["step"],
        state=row["state"],
        attempts=row["attempts"],
        seconds_since_intent=None if since is None else float(since),
        account=row["account"],
        batch_id=row["batch_id"],
        rule_id=row["rule_id"],
        rule_version=row["rule_version"],
        due_at=row["due_at"],
        late_allowed=row["late_allowed"],
        cancelled=row["cancelled"],
        occasion_version=row["occasion_version"],
        newer_round=row["newer_round"],
        known_at=asked_at,
        contact=Contact(
            email=row["email"],
            first_name=row["first_name"],
            last_name=row["last_name"],
            phone=row["phone"],
            language=row["language"],
            timezone=row["timezone"],
        ),
    )


async def renew(connection: AsyncConnection, owner: str, lane_ids: list[int]) -> set[int]:
    """Keep these lanes for another lease, as far as this owner still has them; return those."""
    kept = await connection.execute(RENEW, {"owner": owner, "lanes": lane_ids, "lease": LEASE_SECONDS})
    return set(kept.scalars())


async def waiting(connection: AsyncConnection, order_group: str, *, horizon: float) -> tuple[int, float]:
    """Return how many lanes become ready within ``horizon`` seconds, and the seconds until the first is free."""
    row = (await connection.execute(WAITING, {"order_group": order_group, "horizon": horizon})).one()
    return row.open, max(0.0, float(row.seconds or 0.0))


def paused_scope(rule_id: str) -> str:
    """Return what lanes rest for whose rule is paused where it is scheduled."""
    return f"paused:{rule_id}"


async def wake(connection: AsyncConnection, scope: str) -> int:
    """Let the lanes go on that rest for this: ``all``, ``rule:<id>``, ``paused:<id>`` or ``account:<connection id>``.

    :returns: how many lanes that are.
    """
    return (await connection.execute(WAKE, {"scope": scope})).rowcount
