"""Rules that wait until the provider confirms an appointment: nothing is planned until then, and nothing says so."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.ledger.occasions import occasion_from_row
from handoff.rules.rule import Rule

OCCASIONS = text("""
    SELECT * FROM handoff.occasions
    WHERE id IN (SELECT occasion_id FROM handoff.registrations WHERE contact_id = :contact_id)
      AND NOT cancelled AND facts ->> 'confirmed' = 'false' ORDER BY id
""")
RULES = text("""
    SELECT newest.spec FROM (
        SELECT DISTINCT ON (rule_id) rule_id, spec FROM handoff.rule_versions ORDER BY rule_id, version DESC
    ) AS newest
    WHERE newest.spec ->> 'confirmed_only' = 'true' AND NOT EXISTS (
        SELECT FROM handoff.batches WHERE rule_id = newest.rule_id AND occasion_id = :occasion_id)
    ORDER BY newest.rule_id
""")


class Awaited(NamedTuple):
    """A rule that waits for a confirmation. :param occasion: the source's key. :param title: the occasion's."""

    rule: str
    source: str
    account: str
    occasion: str
    title: str


async def awaited(connection: AsyncConnection, contact_id: int) -> list[Awaited]:
    """Return the rules that wait only for the confirmation of somebody's appointments, of which another rule told."""
    found = list[Awaited]()
    for row in (await connection.execute(OCCASIONS, {"contact_id": contact_id})).mappings().all():
        known = occasion_from_row(row)
        confirmed = replace(known, facts=known.facts | {"confirmed": True})
        specs = (await connection.execute(RULES, {"occasion_id": row["id"]})).scalars()
        found += [
            Awaited(rule.id, known.source, known.account, known.key, known.title)
            for rule in map(Rule.model_validate, specs)
            if rule.matches(confirmed)
        ]
    return found
