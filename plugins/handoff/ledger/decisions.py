"""What a person decides about something held: it was sent, it is sent again, or it is dropped.

What a target refused, and a batch that waits, can be dropped too. Who decides locks batches first, then effects, then
lanes, each in the order of their ids, like everybody who locks several. Only effects that are held or refused are
locked: no worker touches them, and all others stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.errors import HandoffError
from handoff.ledger import rule_versions
from handoff.ledger.batches import begun
from handoff.ledger.bells import ring
from handoff.ledger.occasions import occasion_from_row
from handoff.occasion import BY_HAND

DROPPED = "dropped_by_person"


class NotDecidable(HandoffError):
    """A decision cannot be carried out; nothing was changed."""


class Decision(StrEnum):
    """What is to become of something held."""

    SENT = "sent"
    SEND_AGAIN = "send_again"
    DROP = "drop"


class Subject(NamedTuple):
    """What is decided about.

    :param kind: ``effect``, ``batch`` or ``lane``.
    """

    kind: str
    id: int

    def __str__(self) -> str:
        return str(self.id) if self.kind == "effect" else f"{self.kind}:{self.id}"


@dataclass(frozen=True, slots=True)
class Decided:
    """What a decision changed.

    :param changed: ``False`` when the same had been decided before.
    :param state: the state of the effect or batch now; of a lane ``ready`` or ``held``.
    :param rest: how many later steps of the same handoff came back or ended with it.
    """

    subject: Subject
    changed: bool
    state: str
    rest: int = 0


LOCK_EFFECTS = text("""
    SELECT id FROM handoff.effects WHERE id = ANY(CAST(:effects AS bigint[])) AND state IN ('held', 'refused')
    ORDER BY id FOR NO KEY UPDATE
""")
LOCK_LANES = text("""
    SELECT id FROM handoff.lanes WHERE id = ANY(CAST(:lanes AS bigint[]))
        OR id IN (SELECT lane_id FROM handoff.effects WHERE id = ANY(CAST(:effects AS bigint[])))
    ORDER BY id FOR NO KEY UPDATE
""")
EFFECT = text("""
    SELECT effect.handoff_id, effect.lane_id, effect.step_no, effect.state, effect.reason, effect.late_allowed,
        effect.proof ->> 'settled_by' AS settled_by, occasion.cancelled, erased.key IS NOT NULL AS erased,
        GREATEST(0, EXTRACT(EPOCH FROM lane.leased_until - clock_timestamp()))::float AS leased_seconds,
        (SELECT earlier.id FROM handoff.effects AS earlier
            WHERE earlier.handoff_id = effect.handoff_id AND earlier.step_no < effect.step_no
              AND earlier.state = 'held' ORDER BY earlier.step_no LIMIT 1) AS decide_first
    FROM handoff.effects AS effect
    JOIN handoff.lanes AS lane ON lane.id = effect.lane_id
    JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
    JOIN handoff.contacts AS contact ON contact.id = handoff.contact_id
    LEFT JOIN handoff.erased AS erased ON erased.key = contact.key
    JOIN handoff.batches AS batch ON batch.id = handoff.batch_id
    JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
    WHERE effect.id = :id
""")
OCCASION = text("""
    SELECT batch.rule_id, batch.rule_version, occasion.* FROM handoff.handoffs AS handoff
    JOIN handoff.batches AS batch ON batch.id = handoff.batch_id
    JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
    WHERE handoff.id = :handoff_id
""")
DECIDE = {
    Decision.SENT: text("""
        UPDATE handoff.effects SET state = 'confirmed', reason = '', settled_at = clock_timestamp(),
            proof = COALESCE(proof, '{}') || '{"settled_by": "person"}'
        WHERE id = :id AND state = 'held'
    """),
    Decision.SEND_AGAIN: text("""
        UPDATE handoff.effects SET state = 'planned', reason = 'sent again by a person', settled_at = NULL,
            attempts = 0, late_allowed = true,
            proof = NULLIF(COALESCE(proof, '{}') || CAST(:allowed AS jsonb), '{}')
        WHERE id = :id AND state = 'held'
    """),
    Decision.DROP: text("""
        UPDATE handoff.effects SET state = 'skipped', reason = :dropped, settled_at = clock_timestamp()
        WHERE id = :id AND state IN ('held', 'refused')
    """),
}
# In a lane of one contact the rest still is planned; in a strict lane it was held together with its cause.
GO_ON = text("""
    UPDATE handoff.effects SET state = 'planned', reason = '', settled_at = NULL,
        late_allowed = late_allowed OR :late_allowed,
        proof = NULLIF(COALESCE(proof, '{}') || CAST(:allowed AS jsonb), '{}')
    WHERE handoff_id = :handoff_id AND step_no > :step_no
      AND (state = 'held' AND reason = :because OR state = 'planned' AND :late_allowed)
""")
END_REST = text("""
    UPDATE handoff.effects SET state = 'skipped', reason = :ended, settled_at = clock_timestamp()
    WHERE handoff_id = :handoff_id AND step_no > :step_no
      AND (state = 'planned' OR state = 'held' AND reason = :because)
""")
RELEASE = text("""
    UPDATE handoff.lanes AS lane SET revision = revision + 1, ready_at = clock_timestamp(),
        held = CASE WHEN EXISTS (SELECT FROM handoff.effects WHERE lane_id = lane.id AND state = 'held')
            THEN lane.held END
    WHERE id = ANY(CAST(:lanes AS bigint[]))
""")
LANE = text("SELECT held FROM handoff.lanes WHERE id = :id")
LANE_HELD_BY = text("""
    SELECT id FROM handoff.effects WHERE lane_id = :id AND state = 'held' ORDER BY handoff_id, step_no LIMIT 1
""")
LOCK_BATCHES = text("""
    SELECT id FROM handoff.batches WHERE id = ANY(CAST(:batches AS bigint[])) ORDER BY id FOR NO KEY UPDATE
""")
BATCH = text("""
    SELECT state, reason, late_allowed,
        GREATEST(0, EXTRACT(EPOCH FROM leased_until - clock_timestamp()))::float AS leased_seconds
    FROM handoff.batches WHERE id = :id
""")
BATCH_AGAIN = text("""
    UPDATE handoff.batches SET state = 'waiting', reason = '', wake_at = clock_timestamp(), judged_at = NULL,
        late_allowed = true, lease_owner = NULL, leased_until = NULL
    WHERE id = :id
""")
BATCH_DROP = text("UPDATE handoff.batches SET state = 'cancelled', reason = :dropped WHERE id = :id")


async def decide(connection: AsyncConnection, subjects: Iterable[Subject], decision: Decision) -> list[Decided]:
    """Carry out a decision about all these, or none; what was decided so before is left as it is.

    :param connection: in a transaction that is committed afterwards.
    :raises NotDecidable: when there is nothing to decide about one of them, or somebody works on it now.
    """
    chosen = sorted(set(subjects), key=lambda subject: (("batch", "lane", "effect").index(subject.kind), subject.id))
    ids = {kind: [subject.id for subject in chosen if subject.kind == kind] for kind in ("batch", "lane", "effect")}
    await connection.execute(LOCK_BATCHES, {"batches": ids["batch"]})
    await connection.execute(LOCK_EFFECTS, {"effects": ids["effect"]})
    await connection.execute(LOCK_LANES, {"lanes": ids["lane"], "effects": ids["effect"]})
    deciders = {"effect": _decide_effect, "batch": _decide_batch, "lane": _decide_lane}
    decided = [await deciders[subject.kind](connection, subject, decision) for subject in chosen]
    if any(one.changed for one in decided):
        await ring(connection)
    return decided


async def release(connection: AsyncConnection, lanes: Sequence[int]) -> None:
    """Let lanes go on with what waits in them, unless something held is left there; they are locked already."""
    await connection.execute(RELEASE, {"lanes": list(lanes)})


async def _decide_effect(connection: AsyncConnection, subject: Subject, decision: Decision) -> Decided:
    row = (await connection.execute(EFFECT, {"id": subject.id})).first()
    if row is None:
        raise NotDecidable(f"there is no effect {subject.id}")
    if _decided_before(row, decision):
        return Decided(subject, False, row.state)
    _refuse_effect(row, subject, decision)
    allowed = await _allowed(connection, row.handoff_id) if decision is Decision.SEND_AGAIN else "{}"
    given = {Decision.SENT: {}, Decision.SEND_AGAIN: {"allowed": allowed}, Decision.DROP: {"dropped": DROPPED}}
    await connection.execute(DECIDE[decision], {"id": subject.id, **given[decision]})
    rest = {
        "handoff_id": row.handoff_id, "step_no": row.step_no, "because": f"step {row.step_no + 1} was held",
    }  # fmt: skip
    if decision is Decision.DROP:
        followed = await connection.execute(END_REST, rest | {"ended": f"step {row.step_no + 1} was dropped"})
    else:
        late_allowed = decision is Decision.SEND_AGAIN
        followed = await connection.execute(GO_ON, rest | {"late_allowed": late_allowed, "allowed": allowed})
    if row.state == "held":
        await release(connection, [row.lane_id])
    state = {Decision.SENT: "confirmed", Decision.SEND_AGAIN: "planned", Decision.DROP: "skipped"}[decision]
    return Decided(subject, True, state, followed.rowcount)


async def _allowed(connection: AsyncConnection, handoff_id: int) -> str:
    """Return what effects keep of the decision, as JSON: the moment for the date that the person has seen.

    Should the date be moved afterwards, they are held, or skipped where another round waits, as without a decision.
    """
    found = (await connection.execute(OCCASION, {"handoff_id": handoff_id})).mappings().one()
    occasion = occasion_from_row(found)
    if occasion.source == BY_HAND:
        return "{}"
    rule = await rule_versions.load(connection, found["rule_id"], found["rule_version"])
    return json.dumps({"allowed_for": rule.due(occasion).isoformat()})


def _decided_before(row: Row[Any], decision: Decision) -> bool:
    return {
        Decision.SENT: row.state == "confirmed" and row.settled_by == "person",
        Decision.SEND_AGAIN: row.state == "planned" and row.late_allowed,
        Decision.DROP: row.state == "skipped" and row.reason == DROPPED,
    }[decision]


def _refuse_effect(row: Row[Any], subject: Subject, decision: Decision) -> None:
    """:raises NotDecidable: when this cannot be decided, or not now."""
    if row.state == "refused" and decision is Decision.DROP:
        return
    if row.state != "held":
        then = "handoff replay puts it back" if row.state == "refused" else "there is nothing to decide"
        raise NotDecidable(f"effect {subject.id} is {row.state}, not held; {then}")
    if row.decide_first is not None:
        raise NotDecidable(f"effect {subject.id} follows effect {row.decide_first}, which is held; decide that one")
    if row.leased_seconds > 0:
        raise NotDecidable(
            f"effect {subject.id}: a worker is busy in its lane {row.lane_id}; try again in {row.leased_seconds:.0f} s"
        )
    if decision is Decision.SEND_AGAIN and (row.cancelled or row.erased):
        why = "the person's data was erased" if row.erased else "its occasion was cancelled"
        raise NotDecidable(f"effect {subject.id} cannot be sent again: {why}; drop it")


async def _decide_lane(connection: AsyncConnection, subject: Subject, decision: Decision) -> Decided:
    row = (await connection.execute(LANE, {"id": subject.id})).first()
    if row is None:
        raise NotDecidable(f"there is no lane {subject.id}")
    if decision is not Decision.SEND_AGAIN:
        raise NotDecidable(f"{subject}: a lane can only go on (--send-again); decide about its effects")
    if (held_by := (await connection.execute(LANE_HELD_BY, {"id": subject.id})).scalar_one_or_none()) is not None:
        raise NotDecidable(f"{subject} rests because effect {held_by} is held; decide that one")
    if row.held is None:
        return Decided(subject, False, "ready")
    await release(connection, [subject.id])
    return Decided(subject, True, "ready")


async def _decide_batch(connection: AsyncConnection, subject: Subject, decision: Decision) -> Decided:
    row = (await connection.execute(BATCH, {"id": subject.id})).first()
    if row is None:
        raise NotDecidable(f"there is no batch {subject.id}")
    if decision is Decision.SENT:
        raise NotDecidable(f"{subject}: nobody in it was judged, so nothing of it was sent; --send-again or --drop")
    before = row.state == "waiting" and row.late_allowed
    if before if decision is Decision.SEND_AGAIN else (row.state, row.reason) == ("cancelled", DROPPED):
        return Decided(subject, False, row.state)
    await _refuse_batch(connection, row, subject, decision)
    if decision is Decision.DROP:
        await connection.execute(BATCH_DROP, {"id": subject.id, "dropped": DROPPED})
        return Decided(subject, True, "cancelled")
    await connection.execute(BATCH_AGAIN, {"id": subject.id})
    return Decided(subject, True, "waiting")


async def _refuse_batch(connection: AsyncConnection, row: Row[Any], subject: Subject, decision: Decision) -> None:
    """:raises NotDecidable: when this cannot be decided, or not now."""
    if row.state == "held":
        return
    if row.state != "waiting" or decision is not Decision.DROP:
        raise NotDecidable(f"{subject} is {row.state}, not held; there is nothing to decide")
    if row.leased_seconds > 0:
        raise NotDecidable(f"{subject}: a run works on it; try again in {row.leased_seconds:.0f} s")
    if await begun(connection, subject.id):
        raise NotDecidable(f"{subject}: people in it were judged already; its rule's next run judges the others")
