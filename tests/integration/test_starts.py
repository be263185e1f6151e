"""Measured starts: one for each run that a bell began, however often its task is tried."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from operators.deliver import DeliverOperator
from tests.support.domain import a_rule
from tests.support.rows import rows
from tests.support.targets import MemoryTarget
from tests.support.tasks import Vendors, context_of

RULE = a_rule()


async def deliver(try_number: int, rung_ago: float | None) -> None:
    context: Any = context_of(RULE)
    context["ti"].try_number = try_number
    if rung_ago is not None:
        event = SimpleNamespace(extra={"payload": {"rung_at": time.time() - rung_ago}})
        context["triggering_asset_events"] = {"doorbell": [event]}
    await DeliverOperator(task_id="deliver", rule=RULE.model_dump(mode="json")).aexecute(context)


async def test_a_task_that_is_tried_again_records_no_second_start(
    ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Vendors(monkeypatch, ledger_url, MemoryTarget(), None)
    await deliver(1, rung_ago=3.0)
    await deliver(2, rung_ago=300.0)
    await deliver(1, rung_ago=None)
    [(rule_id, seconds)] = await rows(ledger, "SELECT rule_id, seconds FROM handoff.starts")
    assert (rule_id, float(seconds)) == (RULE.id, pytest.approx(3.0, abs=2.0))
