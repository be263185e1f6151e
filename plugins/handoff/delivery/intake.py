"""The sweep's part in webhooks: what a server that died left to be recorded, and what could not be recorded."""

from __future__ import annotations

from collections.abc import Sequence

from handoff.delivery.sweep import Sweep
from handoff.ledger import deliveries, notices
from handoff.planning.arrivals import take_in
from handoff.rules.rule import Rule


async def take_up_deliveries(sweep: Sweep) -> None:
    """Record the deliveries that wait, also those that could not be recorded before, and tell of what is left."""

    async def rules_of(source: str, account: str) -> Sequence[Rule]:
        return [rule for rule in sweep.rules if (rule.source, rule.conn_id) == (source, account)]

    async with sweep.engine.begin() as connection:
        await deliveries.again(connection)
    await take_in(sweep.engine, rules_of)
    async with sweep.engine.begin() as connection:
        stuck = {f"webhook/{one.account}": one for one in await deliveries.problems(connection)}
        for cause, one in stuck.items():
            words = (
                f"pushes to {one.account} were accepted and cannot be recorded ({one.kind}); they are tried again "
                "by every sweep and kept for some days; look for the error in the log of the sweep"
            )
            await notices.stands(connection, cause, "webhook", words, one.number)
        for cause in set(await notices.still_open(connection, "webhook")) - stuck.keys():
            await notices.close(connection, cause)
