"""The tasks of a rule's DAG, run one after the other as Airflow would, without Airflow's processes."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time.context import OutletEventAccessors
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.by_hand import ByHand
from handoff.delivery.desk import LimiterOf
from handoff.ledger.connect import open_ledger_async
from handoff.messages import Templates
from handoff.rule import Rule
from handoff.source import Source
from handoff.target import Target
from hooks.ledger import LedgerHook
from operators import work
from operators.certify import CertifyOperator
from operators.deliver import DeliverOperator
from operators.gather import GatherOperator
from operators.settle import SettleOperator

FORM = {
    "mode": "due_now", "email": None, "first_name": None, "last_name": None, "language": "de",
    "recipients": None, "occasion_title": "Test", "occasion_start": None, "occasion_end": None,
}  # fmt: skip


class Vendors:
    """The accounts that the tasks of a test find behind their connections.

    :ivar opened: connection ids of targets, in the order in which they were opened.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, ledger_url: str, target: Target, source: Source | None) -> None:
        self.target, self.source, self.opened = target, source, list[str]()
        self._ledger_url = ledger_url
        monkeypatch.setattr(LedgerHook, "open", self._open_ledger)
        monkeypatch.setattr(work, "open_target", self._open_target)
        monkeypatch.setattr(work, "open_source", self._open_source)

    async def _open_ledger(self, ledger_conn_id: str, *, connections: int = 4) -> AsyncEngine:
        return open_ledger_async(self._ledger_url, connections=connections)

    async def _open_target(self, step: str, account: str, templates: Templates, limiter_of: LimiterOf) -> Target:
        limiter_of(None)
        self.opened.append(account)
        return self.target

    async def _open_source(self, source: str, account: str, engine: AsyncEngine) -> Source:
        if source == "manual":
            return ByHand()
        if self.source is None:
            raise AssertionError("no source was expected to be asked")
        return self.source


def context_of(rule: Rule, run_id: str = "run-1", form: Mapping[str, Any] | None = None) -> Any:
    """Return what the tasks read of Airflow's context."""
    return {
        "dag": SimpleNamespace(dag_id=f"handoff_{rule.id}"),
        "run_id": run_id,
        "params": {**FORM, **(form or {})},
        "triggering_asset_events": {},
        "outlet_events": OutletEventAccessors(),
        "ti": SimpleNamespace(try_number=1, get_dag=lambda dag_id: SimpleNamespace(is_paused=False)),
    }


async def run_dag(rule: Rule, run_id: str = "run-1", **form: Any) -> list[dict[str, Any]]:
    """Run gather, every shard of deliver, settle and certify; return the certificates."""
    context, spec = context_of(rule, run_id, form), rule.model_dump(mode="json")
    for shard in await GatherOperator(task_id="gather", rule=spec).aexecute(context):
        await DeliverOperator(task_id="deliver", rule=spec, shard=shard).aexecute(context)
    await SettleOperator(task_id="settle", rule=spec).aexecute(context)
    return await CertifyOperator(task_id="certify", rule=spec).aexecute(context)
