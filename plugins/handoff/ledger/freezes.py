"""What a person froze: everything, a rule, or a target account; and what each freeze holds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.errors import HandoffError
from handoff.ledger import lanes
from handoff.ledger.bells import ring

ALL = "all"
SCOPE = re.compile(r"all|(rule|account):\S+")


@dataclass(frozen=True, slots=True)
class Frozen:
    """One freeze and what it holds.

    :param batches: waiting batches and :param effects: effects that are not final; counts by rule (and account).
    """

    scope: str
    reason: str
    at: datetime
    batches: list[dict[str, Any]]
    effects: list[dict[str, Any]]


FREEZE = text("""
    INSERT INTO handoff.freezes (scope, reason) VALUES (:scope, :reason)
    ON CONFLICT (scope) DO UPDATE SET reason = EXCLUDED.reason
""")
THAW = text("DELETE FROM handoff.freezes WHERE scope = :scope RETURNING scope")
FROZEN = text("SELECT scope, reason, at FROM handoff.freezes ORDER BY at, scope")
BATCHES = text("""
    SELECT rule_id, count(*) AS batches, min(due_at) AS first_due_at FROM handoff.batches
    WHERE state = 'waiting' AND (:scope = 'all' OR 'rule:' || rule_id = :scope)
    GROUP BY rule_id ORDER BY rule_id
""")
EFFECTS = text("""
    SELECT batch.rule_id, effect.account, count(*) AS effects FROM handoff.effects AS effect
    JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
    JOIN handoff.batches AS batch ON batch.id = handoff.batch_id
    WHERE effect.state IN ('planned', 'sending', 'unknown')
      AND :scope IN ('all', 'rule:' || batch.rule_id, 'account:' || effect.account)
    GROUP BY batch.rule_id, effect.account ORDER BY batch.rule_id, effect.account
""")


def check_scope(scope: str) -> str:
    """Return the scope. :raises HandoffError: when it is not ``all``, ``rule:<id>`` or ``account:<connection id>``."""
    if not SCOPE.fullmatch(scope):
        raise HandoffError(f"{scope!r} cannot be frozen; write all, rule:<rule id> or account:<connection id>")
    return scope


async def freeze(connection: AsyncConnection, scope: str, reason: str) -> None:
    """Stop what the scope names; workers see it within seconds. Freezing again only changes the reason."""
    await connection.execute(FREEZE, {"scope": check_scope(scope), "reason": reason})


async def thaw(connection: AsyncConnection, scope: str) -> bool:
    """Let go what the scope names: its lanes are woken and the bell rings; everything is judged again.

    :returns: ``False`` when it was not frozen.
    """
    if (await connection.execute(THAW, {"scope": check_scope(scope)})).first() is None:
        return False
    await lanes.wake(connection, scope)
    await ring(connection)
    return True


async def frozen(connection: AsyncConnection) -> list[Frozen]:
    """Return every freeze with what it holds, the oldest first."""
    found = []
    for row in (await connection.execute(FROZEN)).all():
        held = [
            [dict(held) for held in (await connection.execute(query, {"scope": row.scope})).mappings()]
            for query in (BATCHES, EFFECTS)
        ]
        found.append(Frozen(row.scope, row.reason, row.at, *held))
    return found
