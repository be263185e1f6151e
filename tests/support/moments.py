"""A batch at its moment: planned, claimed, judged, and what arrives at its target."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.moment import attend, first_look
from handoff.ledger import batches, certificates
from handoff.ledger.batches import WaitingBatch
from handoff.ledger.certificates import Count
from handoff.occasion import Occasion
from handoff.planning.planner import record
from handoff.registration import Registration
from handoff.rules.rule import Rule
from tests.support.chaos import expire_leases
from tests.support.delivery import desk_of, judge_due, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.targets import MemoryTarget

RULE = a_rule()
VERDICTS = "SELECT ref, included, reason FROM handoff.verdicts ORDER BY ref"


def ended(minutes_ago: float = 1, **changes: Any) -> Occasion:
    """Return a webinar date that ended so long ago."""
    return an_occasion(start=datetime.now(UTC) - timedelta(minutes=60 + minutes_ago), **changes)


def listed_for(occasion: Occasion, count: int) -> tuple[Registration, ...]:
    """Return people who registered before its start."""
    return some_registrations(count, before=occasion.anchors["start"])


def somebody(occasion: Occasion, ref: str, email: str, **more: Any) -> Registration:
    """Return one who registered an hour before its start."""
    return Registration(ref, email, occasion.anchors["start"] - timedelta(hours=1), **more)


async def planned(ledger: AsyncEngine, occasion: Occasion, rule: Rule = RULE) -> None:
    """Let a batch wait for the occasion."""
    assert (await record(ledger, [occasion], [rule])).new == 1


async def claim(ledger: AsyncEngine, rule: Rule = RULE, owner: str = "run", horizon: float = 0) -> list[WaitingBatch]:
    """Claim what is due within the horizon."""
    async with ledger.begin() as connection:
        return await batches.claim(connection, rule.id, owner, horizon=horizon)


async def judge_until_killed(ledger: AsyncEngine, rule: Rule, source: FixedSource) -> None:
    """Let a run judge the first part and die, and its lease end."""

    def killed() -> None:
        raise RuntimeError("killed")

    [batch] = await claim(ledger, rule)
    await first_look(ledger, batch, source)
    with pytest.raises(RuntimeError, match="killed"):
        await attend(ledger, batch, source, killed)
    await expire_leases(ledger)


async def certificate(ledger: AsyncEngine) -> Count:
    """Count the one batch there is."""
    async with ledger.begin() as connection:
        [batch_id] = await certificates.to_certify(connection, RULE.id)
        return await certificates.count(connection, batch_id)


async def judged(ledger: AsyncEngine, occasion: Occasion, people: Sequence[Registration], rule: Rule = RULE) -> Count:
    """Plan and judge an occasion with this list; its certificate is even."""
    source = FixedSource(occasion, people)
    await planned(ledger, occasion, rule)
    assert await judge_due(ledger, rule, source) == ["judged"]
    counted = await certificate(ledger)
    assert counted.even
    return counted


async def delivered(ledger: AsyncEngine, rule: Rule = RULE) -> list[str]:
    """Let everything go out; return the addresses in the order in which they arrived."""
    target = MemoryTarget()
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}))
    return [email for email, _ in target.effects]
