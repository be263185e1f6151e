"""What is done ahead of a moment so that it need not be done after it."""

from __future__ import annotations

import asyncio
import gc
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger import batches, lanes, registrations, verdicts
from handoff.ledger.batches import WaitingBatch
from handoff.ledger.journal import Journal
from handoff.rules.rule import Rule
from handoff.times.permission import postponed

CONNECTIONS = 3


async def warm_up(engine: AsyncEngine, batch: WaitingBatch, rule: Rule) -> None:
    """Run the moment's statements with nothing to write, on as many connections as it will need.

    A statement that a connection meets for the first time costs PostgreSQL several times what it
    costs later: the tables' descriptions are read, and the text is compiled on this side as well.
    """
    # A full collection over everything that was ever imported takes longer than all that is left to do.
    gc.freeze()
    connections = [_once(engine, batch, rule) for _ in range(CONNECTIONS)]
    await asyncio.gather(*connections, asyncio.to_thread(_open_windows, batch, rule))


def _open_windows(batch: WaitingBatch, rule: Rule) -> None:
    """Work the rule's windows out once: calendars of holidays take long to load."""
    postponed(rule, len(rule.steps) - 1, batch.occasion.occasion.timezone, batch.due_at)


async def _once(engine: AsyncEngine, batch: WaitingBatch, rule: Rule) -> None:
    async with engine.connect() as connection:
        await registrations.listed(connection, batch.occasion.id)
        await batches.warm_up(connection)
        await verdicts.write(connection, batch.id, rule, [], moment=batch.due_at, read_at=datetime.now(UTC))
        await lanes.warm_up(connection)
        await Journal.warm_up(connection)
        await connection.rollback()
