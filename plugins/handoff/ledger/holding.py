"""What is held: batches, effects and lanes that only a person can let go on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.occasion import Occasion
from handoff.target import effect_key


@dataclass(frozen=True, slots=True)
class Held:
    """Everything that waits for a person, the earliest due first.

    :param effects: ``decide_first`` is the held effect of an earlier step of the same handoff, on which
        this one depends; ``effect_key`` is the name that messages and markers at the target carry.
    :param lanes: ``decide_first`` is the held effect because of which the lane rests, ``None`` when none is left.
    """

    batches: list[dict[str, Any]]
    effects: list[dict[str, Any]]
    lanes: list[dict[str, Any]]

    def __bool__(self) -> bool:
        """Whether anything is held."""
        return bool(self.batches or self.effects or self.lanes)


BATCHES = text("""
    SELECT batch.id AS batch_id, batch.rule_id, occasion.title, occasion.key AS occasion_key, batch.due_at,
        batch.reason, (SELECT count(*) FROM handoff.registrations WHERE occasion_id = occasion.id) AS listed
    FROM handoff.batches AS batch JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
    WHERE batch.state = 'held' AND (CAST(:rule_id AS text) IS NULL OR batch.rule_id = :rule_id)
    ORDER BY batch.due_at, batch.id
""")
EFFECTS = text("""
    SELECT effect.id AS effect_id, batch.rule_id, occasion.title, occasion.key AS occasion_key, batch.due_at,
        contact.key AS contact_key, contact.email, effect.step_no + 1 AS step_no, effect.step, effect.account,
        effect.reason, effect.attempts, effect.intent_at, effect.lane_id,
        (SELECT earlier.id FROM handoff.effects AS earlier
            WHERE earlier.handoff_id = effect.handoff_id AND earlier.step_no < effect.step_no
              AND earlier.state = 'held' ORDER BY earlier.step_no LIMIT 1) AS decide_first,
        occasion.source, occasion.account AS source_account, batch.round
    FROM handoff.effects AS effect
    JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
    JOIN handoff.contacts AS contact ON contact.id = handoff.contact_id
    JOIN handoff.batches AS batch ON batch.id = handoff.batch_id
    JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
    WHERE effect.state = 'held' AND (CAST(:rule_id AS text) IS NULL OR batch.rule_id = :rule_id)
    ORDER BY batch.due_at, handoff.id, effect.step_no
""")
LANES = text("""
    SELECT lane.id AS lane_id, lane.order_group, lane.name, lane.held AS reason, min(batch.due_at) AS due_at,
        min(batch.rule_id) AS rule_id, count(effect.id) FILTER (WHERE effect.state <> 'held') AS waiting,
        (array_agg(effect.id ORDER BY effect.handoff_id, effect.step_no)
            FILTER (WHERE effect.state = 'held'))[1] AS decide_first
    FROM handoff.lanes AS lane
    LEFT JOIN handoff.effects AS effect
        ON effect.lane_id = lane.id AND effect.state IN ('planned', 'sending', 'unknown', 'held')
    LEFT JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
    LEFT JOIN handoff.batches AS batch ON batch.id = handoff.batch_id
    WHERE lane.held IS NOT NULL
    GROUP BY lane.id
    HAVING CAST(:rule_id AS text) IS NULL OR bool_or(batch.rule_id = :rule_id)
    ORDER BY min(batch.due_at), lane.id
""")


async def held(connection: AsyncConnection, rule_id: str | None) -> Held:
    """Return what waits for a person, of one rule or of all."""
    parameters = {"rule_id": rule_id}
    batches, effects, lanes = [
        [dict(row) for row in (await connection.execute(query, parameters)).mappings()]
        for query in (BATCHES, EFFECTS, LANES)
    ]
    return Held(batches, list(map(_named, effects)), lanes)


def _named(effect: dict[str, Any]) -> dict[str, Any]:
    """Return an effect with its name, and without what only that is made of."""
    occasion = Occasion(effect.pop("source"), effect.pop("source_account"), effect["occasion_key"], "", {})
    key = effect_key(effect["rule_id"], occasion, effect["contact_key"], effect["step_no"] - 1, effect.pop("round"))
    return effect | {"effect_key": key}
