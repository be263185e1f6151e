"""Rules as they were when they began to be at work."""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.errors import LedgerError
from handoff.rules.rule import Rule

MOST_KEPT = 256

PIN = text("""
    INSERT INTO handoff.rule_versions (rule_id, version, hash, spec)
    SELECT :rule_id, COALESCE(max(version), 0) + 1, :hash, CAST(:spec AS jsonb)
    FROM handoff.rule_versions WHERE rule_id = :rule_id
    ON CONFLICT (rule_id, hash) DO UPDATE SET hash = EXCLUDED.hash
    RETURNING version
""")
AT_WORK = text("""
    SELECT CAST(spec AS text) FROM handoff.rule_versions WHERE rule_id = :rule_id AND created_at <= :moment
    ORDER BY version DESC LIMIT 1
""")
FIND = text("SELECT version FROM handoff.rule_versions WHERE rule_id = :rule_id AND hash = :hash")
LOAD = text("SELECT CAST(spec AS text) FROM handoff.rule_versions WHERE rule_id = :rule_id AND version = :version")
GROUPS = text("SELECT DISTINCT spec ->> 'order_group' FROM handoff.rule_versions WHERE rule_id = :rule_id")


async def pin(connection: AsyncConnection, rule: Rule) -> int:
    """Store the rule as it is now, once per content, and return its version."""
    parameters = {"rule_id": rule.id, "hash": rule.spec_hash}
    # Nearly always it is there: then nobody waits for anybody else who plans with this rule.
    if (version := (await connection.execute(FIND, parameters)).scalar_one_or_none()) is not None:
        return int(version)
    await connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:rule_id))"), {"rule_id": rule.id})
    return int((await connection.execute(PIN, parameters | {"spec": rule.model_dump_json()})).scalar_one())


async def order_groups(connection: AsyncConnection, rule: Rule) -> list[str]:
    """Return every group in whose lanes the rule may have work: its own first, then those it had before."""
    former = set((await connection.execute(GROUPS, {"rule_id": rule.id})).scalars())
    return [rule.order_group, *sorted(former - {rule.order_group})]


async def at_work(connection: AsyncConnection, rule_id: str, moment: datetime) -> Rule | None:
    """Return the rule as it was at a moment (aware), ``None`` when it was not at work yet."""
    parameters = {"rule_id": rule_id, "moment": moment}
    spec = (await connection.execute(AT_WORK, parameters)).scalar_one_or_none()
    return None if spec is None else _understood(spec)


async def load(connection: AsyncConnection, rule_id: str, version: int) -> Rule:
    """Return the rule as it was in ``version``.

    :raises LedgerError: when the ledger has no such version.
    """
    spec = (await connection.execute(LOAD, {"rule_id": rule_id, "version": version})).scalar_one_or_none()
    if spec is None:
        raise LedgerError(f"the ledger has no version {version} of rule {rule_id}")
    return _understood(spec)


@lru_cache(MOST_KEPT)
def _understood(spec: str) -> Rule:
    return Rule.model_validate(json.loads(spec))
