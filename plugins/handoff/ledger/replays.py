"""Dead effects, those a target refused, and their way back to their places in their lanes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.ledger.bells import ring
from handoff.ledger.decisions import NotDecidable, release


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead effects are meant: all that fulfil every condition given.

    :param effects: ids; :param occasion: the source's key of an occasion.
    """

    effects: Sequence[int] = ()
    rule_id: str | None = None
    occasion: str | None = None

    def __bool__(self) -> bool:
        """Whether any condition is given."""
        return bool(self.effects or self.rule_id or self.occasion)


@dataclass(frozen=True, slots=True)
class Dead:
    """An effect that its target refused.

    :param skipped: later steps of the same handoff that were skipped because of it.
    :param barred: why it cannot be replayed: ``occasion_cancelled``, ``erased`` or ``not_kept``; else empty.
    """

    effect_id: int
    rule_id: str
    title: str
    occasion_key: str
    due_at: datetime
    contact_key: str
    step_no: int
    step: str
    account: str
    reason: str
    attempts: int
    settled_at: datetime | None
    lane_id: int
    skipped: int
    barred: str


DEAD = text("""
    SELECT effect.id, batch.rule_id, occasion.title, occasion.key, batch.due_at, contact.key, effect.step_no + 1,
        effect.step, effect.account, effect.reason, effect.attempts, effect.settled_at, effect.lane_id,
        (SELECT count(*) FROM handoff.effects AS later WHERE later.handoff_id = effect.handoff_id
            AND later.state = 'skipped' AND later.reason = 'step ' || effect.step_no + 1 || ' was refused') AS skipped,
        CASE WHEN contact.erased OR erased.key IS NOT NULL THEN 'erased'
            WHEN occasion.cancelled THEN 'occasion_cancelled'
            WHEN contact.email = '' THEN 'not_kept' ELSE '' END AS barred
    FROM handoff.effects AS effect
    JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
    JOIN handoff.contacts AS contact ON contact.id = handoff.contact_id
    LEFT JOIN handoff.erased AS erased ON erased.key = contact.key
    JOIN handoff.batches AS batch ON batch.id = handoff.batch_id
    JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
    WHERE effect.state = 'refused'
      AND (NOT :some OR effect.id = ANY(CAST(:effects AS bigint[])))
      AND (CAST(:rule_id AS text) IS NULL OR batch.rule_id = :rule_id)
      AND (CAST(:occasion AS text) IS NULL OR occasion.key = :occasion)
    ORDER BY batch.due_at, effect.handoff_id, effect.step_no
""")
STATES = text("SELECT id, state FROM handoff.effects WHERE id = ANY(CAST(:effects AS bigint[]))")
# Before the rest, as whoever judges does: nobody is erased, and no address removed, until this is written.
LOCK_CONTACTS = text("""
    SELECT id FROM handoff.contacts WHERE id IN (
        SELECT handoff.contact_id FROM handoff.effects AS effect
        JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
        WHERE effect.id = ANY(CAST(:effects AS bigint[])))
    ORDER BY id FOR KEY SHARE
""")
LOCK_EFFECTS = text("""
    SELECT id FROM handoff.effects WHERE id = ANY(CAST(:effects AS bigint[])) AND state = 'refused'
    ORDER BY id FOR NO KEY UPDATE
""")
LOCK_LANES = text("""
    SELECT id FROM handoff.lanes WHERE id = ANY(CAST(:lanes AS bigint[])) ORDER BY id FOR NO KEY UPDATE
""")
REVIVE = text("""
    WITH revived AS (
        UPDATE handoff.effects AS effect SET state = 'planned', reason = 'replayed by a person', attempts = 0,
            settled_at = NULL, proof = NULL, late_allowed = late_allowed OR :late_allowed
        FROM handoff.handoffs AS handoff JOIN handoff.contacts AS contact ON contact.id = handoff.contact_id
        WHERE effect.id = ANY(CAST(:effects AS bigint[])) AND effect.state = 'refused'
          AND handoff.id = effect.handoff_id AND contact.email <> ''
        RETURNING effect.id, effect.handoff_id, effect.step_no
    ), rest AS (
        UPDATE handoff.effects AS effect SET state = 'planned', reason = '', settled_at = NULL,
            late_allowed = late_allowed OR :late_allowed
        FROM revived WHERE effect.handoff_id = revived.handoff_id AND effect.step_no > revived.step_no
          AND effect.state = 'skipped' AND effect.reason = 'step ' || revived.step_no + 1 || ' was refused'
    )
    SELECT id FROM revived
""")


async def dead(connection: AsyncConnection, selection: Selection) -> list[Dead]:
    """Return the refused effects that are meant, in the order in which they would go out.

    :raises NotDecidable: when an effect named by its id is not refused.
    """
    chosen = list(selection.effects)
    parameters = {
        "some": bool(chosen), "effects": chosen, "rule_id": selection.rule_id, "occasion": selection.occasion,
    }  # fmt: skip
    found = [Dead(*row) for row in (await connection.execute(DEAD, parameters)).all()]
    if missing := set(chosen) - {one.effect_id for one in found}:
        states = {row.id: row.state for row in await connection.execute(STATES, {"effects": list(missing)})}
        words = ", ".join(f"{number} ({states.get(number, 'not known')})" for number in sorted(missing))
        raise NotDecidable(f"not among the refused effects that are meant: {words}; nothing was changed")
    return found


async def replay(connection: AsyncConnection, some: Sequence[Dead], *, late_allowed: bool) -> list[int]:
    """Put dead effects and the steps skipped because of them back into their places in their lanes.

    :param some: those that are barred are left as they are.
    :param late_allowed: they may go out however late it is; else what is too late is held.
    :returns: the ids of the effects that were put back.
    """
    chosen = [one for one in some if not one.barred]
    if not chosen:
        return []
    lanes, effects = sorted({one.lane_id for one in chosen}), [one.effect_id for one in chosen]
    await connection.execute(LOCK_CONTACTS, {"effects": effects})
    await connection.execute(LOCK_EFFECTS, {"effects": effects})
    await connection.execute(LOCK_LANES, {"lanes": lanes})
    revived = list((await connection.execute(REVIVE, {"effects": effects, "late_allowed": late_allowed})).scalars())
    await release(connection, lanes)
    await ring(connection)
    return revived
