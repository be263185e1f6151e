"""What the connections of target accounts allow, written to the ledger for those who look ahead."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.errors import HandoffError
from handoff.ledger import quotas
from handoff.rules.rule import Rule
from hooks.accounts import limits_of


async def declare_limits(engine: AsyncEngine, rules: Iterable[Rule]) -> None:
    """Write down the limits of the accounts that these rules' steps name; what cannot be read is left as it was."""
    accounts = {step.conn_id: step.step for rule in rules for step in rule.steps}
    for account, step in sorted(accounts.items()):
        try:
            limits = await limits_of(step, account)
        except HandoffError:
            # Sending says so, with what to do.
            continue
        async with engine.begin() as connection:
            await quotas.declare(connection, account, limits)
