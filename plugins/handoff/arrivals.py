"""From stored deliveries to the planner, one after the other in the order of their arrival.

A delivery is recorded in the process that received it, right after its commit: recording takes some milliseconds, and
a booking may be due within seconds. It is not done before the answer, because the sender would wait for the planner
then, and a group of deliveries would share one long transaction and the planner's locks. What a killed server leaves is
recorded with the next delivery that arrives anywhere, or by the sweep.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger import deliveries
from handoff.planner import Planned, record_one
from handoff.rule import Rule

log = logging.getLogger(__name__)
RulesOf = Callable[[str, str], Awaitable[Sequence[Rule]]]
"""The rules of a source (first) account (second) as they are now."""


async def take_in(engine: AsyncEngine, rules_of: RulesOf) -> Planned:
    """Record the deliveries that wait, each in its own transaction; safe to run anywhere at any time.

    One that cannot be recorded is noted with its kind of error, and waits for :func:`deliveries.again`.

    :raises OperationalError: the ledger cannot be reached now; what waits goes on waiting.
    """
    planned, known = Planned(), dict[tuple[str, str], Sequence[Rule]]()

    async def rules(source: str, account: str) -> Sequence[Rule]:
        if (source, account) not in known:
            known[source, account] = await rules_of(source, account)
        return known[source, account]

    while await _next(engine, rules, planned):
        pass
    return planned


async def _next(engine: AsyncEngine, rules: RulesOf, planned: Planned) -> bool:
    delivery = None
    try:
        async with engine.begin() as connection:
            delivery = await deliveries.next_waiting(connection)
            if delivery is None:
                return False
            for occasion in delivery.occasions:
                await record_one(connection, occasion, await rules(delivery.source, delivery.account), planned)
            await deliveries.done(connection, delivery.id)
    except OperationalError:
        raise
    except Exception as error:
        if delivery is None:
            raise
        # Not its words: they may quote what was pushed.
        problem = type(error).__name__
        log.error("%s: delivery %s cannot be recorded: %s", delivery.account, delivery.id, problem)
        async with engine.begin() as connection:
            await deliveries.failed(connection, delivery.id, problem)
    return True
