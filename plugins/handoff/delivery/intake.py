"""The sweep's part in webhooks: what a server that died left to be recorded, and what could not be recorded."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text

from handoff.arrivals import take_in
from handoff.delivery.sweep import Sweep
from handoff.ledger import deliveries, notices
from handoff.rule import Rule

PROBLEMS = text("""
    SELECT account, count(*) AS number, min(problem) AS problem FROM handoff.deliveries
    WHERE processed_at IS NULL AND problem IS NOT NULL GROUP BY account ORDER BY account
""")
OPEN = text("SELECT cause FROM handoff.notices WHERE kind = 'webhook' AND closed_at IS NULL ORDER BY cause")


async def take_up_deliveries(sweep: Sweep) -> None:
    """Record the deliveries that wait, also those that could not be recorded before, and tell of what is left."""

    async def rules_of(source: str, account: str) -> Sequence[Rule]:
        return [rule for rule in sweep.rules if (rule.source, rule.conn_id) == (source, account)]

    async with sweep.engine.begin() as connection:
        await deliveries.again(connection)
    await take_in(sweep.engine, rules_of)
    async with sweep.engine.begin() as connection:
        stuck = {f"webhook/{row.account}": row for row in await connection.execute(PROBLEMS)}
        for cause, row in stuck.items():
            words = (
                f"pushes to {row.account} were accepted and cannot be recorded ({row.problem}); they are tried again "
                "by every sweep and kept for some days; look for the error in the log of the sweep"
            )
            await notices.stands(connection, cause, "webhook", words, row.number)
        for cause in set((await connection.execute(OPEN)).scalars()) - stuck.keys():
            await notices.close(connection, cause)
