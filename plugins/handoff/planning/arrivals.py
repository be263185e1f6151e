"""From stored deliveries to the planner, for each account in the order of their arrival.

A delivery is recorded in the process that received it, right after its commit: recording takes some milliseconds, and
a booking may be due within seconds. It is not done before the answer, because the sender would wait for the planner
then, and a group of deliveries would share one long transaction and the planner's locks. What a killed server leaves is
recorded with the next delivery that arrives anywhere, or by the sweep.

In a flood one transaction for each would come to some dozens a second, beside the senders who wait for the same
process. So bookings that nobody has heard of, which is what a flood is made of, share one.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import astuple, dataclass, field

from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from handoff.ledger import deliveries
from handoff.ledger.deliveries import Waiting
from handoff.ledger.occasions import by_keys, lock
from handoff.planning.newcomers import record_new
from handoff.planning.planner import Planned, record_one
from handoff.rules.rule import Rule

log = logging.getLogger(__name__)
RulesOf = Callable[[str, str], Awaitable[Sequence[Rule]]]
"""The rules of a source (first) account (second) as they are now."""
MOST_AT_ONCE = 64


async def take_in(engine: AsyncEngine, rules_of: RulesOf) -> Planned:
    """Record the deliveries that wait, in their order; safe to run anywhere at any time.

    Those that tell of what nobody has heard of share a transaction, each other one has its own, and a group that cannot
    be recorded is halved. One that cannot be recorded alone is noted with its kind of error, and waits for
    :func:`deliveries.again`.

    :raises OperationalError: the ledger cannot be reached now; what waits goes on waiting.
    """
    planned, known, most = Planned(), dict[tuple[str, str], Sequence[Rule]](), MOST_AT_ONCE

    async def rules(source: str, account: str) -> Sequence[Rule]:
        if (source, account) not in known:
            known[source, account] = await rules_of(source, account)
        return known[source, account]

    while (step := await _next(engine, rules, most)).found:
        planned = Planned(*map(sum, zip(astuple(planned), astuple(step.planned), strict=True)))
        # As many as went well together: of more, all but these would be locked and read in vain.
        most = max(1, step.found // 2) if step.failed else min(MOST_AT_ONCE, 2 * step.found)
    return planned


@dataclass(slots=True)
class _Step:
    """Some deliveries that were taken up together. :param found: how many."""

    found: int = 0
    failed: bool = False
    planned: Planned = field(default_factory=Planned)


async def _next(engine: AsyncEngine, rules: RulesOf, most: int) -> _Step:
    step, group = _Step(), list[Waiting]()
    try:
        async with engine.begin() as connection:
            if waiting := await deliveries.next_waiting(connection, most):
                group = await _together(connection, waiting)
                await _record(connection, group, await rules(group[0].source, group[0].account), step.planned)
                await deliveries.done(connection, [one.id for one in group])
    except OperationalError:
        raise
    except Exception as error:
        if not group:
            raise
        if len(group) == 1:
            await _failed(engine, group[0], type(error).__name__)
        return _Step(len(group), failed=True)
    step.found = len(group)
    return step


async def _together(connection: AsyncConnection, waiting: list[Waiting]) -> list[Waiting]:
    """Return the first deliveries that tell of new occasions, each of another one; or else the first alone."""
    if len(waiting) == 1:
        return waiting
    events = [occasion for one in waiting for occasion in one.occasions]
    await lock(connection, events)
    seen = set(await by_keys(connection, waiting[0].source, waiting[0].account, [one.key for one in events]))
    group = list[Waiting]()
    for one in waiting:
        keys = [occasion.key for occasion in one.occasions]
        if len({*keys} - seen) < len(keys):
            break
        seen.update(keys)
        group.append(one)
    return group or waiting[:1]


async def _record(connection: AsyncConnection, group: list[Waiting], rules: Sequence[Rule], planned: Planned) -> None:
    events = [occasion for one in group for occasion in one.occasions]
    if len(group) > 1:
        await record_new(connection, events, rules, planned)
        return
    for occasion in events:
        await record_one(connection, occasion, rules, planned)


async def _failed(engine: AsyncEngine, delivery: Waiting, problem: str) -> None:
    # Not the error's words: they may quote what was pushed.
    log.error("%s: delivery %s cannot be recorded: %s", delivery.account, delivery.id, problem)
    async with engine.begin() as connection:
        await deliveries.failed(connection, delivery.id, problem)
