"""Many occasions that nobody has heard of, recorded at once: some statements for all of them, and one commit."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.ledger import batches, occasions, rule_versions
from handoff.ledger.bells import ring
from handoff.ledger.occasions import KnownOccasion
from handoff.occasion import Occasion
from handoff.planning.planner import Planned, long_past, plan
from handoff.rules.rule import Rule


async def record_new(
    connection: AsyncConnection, events: Sequence[Occasion], rules: Sequence[Rule], planned: Planned
) -> None:
    """Do as :func:`handoff.planning.planner.record_one` for many of one account, each another one, locked and new.

    Only for new ones: batches of those that are known would be locked in another order than others lock them in.
    """
    begun = await occasions.begin(connection, events)
    planned.events += len(begun)
    planned.repeated += len(events) - len(begun)
    alive = [one for one in begun if not one.occasion.cancelled]
    for rule in rules:
        await _plan(connection, rule, [one for one in alive if rule.matches(one.occasion)], planned)
    if begun:
        await ring(connection)


async def _plan(connection: AsyncConnection, rule: Rule, found: Sequence[KnownOccasion], planned: Planned) -> None:
    due = {one.id: rule.due(one.occasion) for one in found}
    waiting = {occasion_id: moment for occasion_id, moment in due.items() if not long_past(moment)}
    if waiting:
        version = await rule_versions.pin(connection, rule)
        planned.new += await batches.plan_all(connection, rule.id, version, waiting)
    for one in found:
        if one.id not in waiting:
            await plan(connection, one, [rule], planned, heard=True)
