"""The tasks of a rule's DAG, run one after the other as Airflow would, without Airflow's processes."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import DownstreamTasksSkipped
from airflow.sdk.execution_time.context import OutletEventAccessors
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.by_hand import ByHand
from handoff.delivery.desk import LimiterOf
from handoff.ledger.connect import open_ledger_async
from handoff.rules.rule import Rule
from handoff.source import Source
from handoff.target import Target
from handoff.texts.messages import Templates
from hooks.ledger import LedgerHook
from operators import work
from operators.certify import CertifyOperator
from operators.deliver import DeliverOperator
from operators.gather import GatherOperator
from operators.rule_form import rule_form
from operators.settle import SettleOperator


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
    params = ParamsDict(rule_form(rule))
    params.update(form or {})
    return {
        "dag": SimpleNamespace(dag_id=f"handoff_{rule.id}"),
        "run_id": run_id,
        "params": params.validate(),
        "triggering_asset_events": {},
        "outlet_events": OutletEventAccessors(),
        "ti": SimpleNamespace(try_number=1, get_dag=lambda dag_id: SimpleNamespace(is_paused=False)),
    }


async def run_dag(rule: Rule, run_id: str = "run-1", **form: Any) -> list[dict[str, Any]]:
    """Run gather, every shard of deliver, settle and certify; return the certificates, none if gather was all."""
    context, spec = context_of(rule, run_id, form), rule.model_dump(mode="json")
    try:
        shards = await GatherOperator(task_id="gather", rule=spec).aexecute(context)
    except DownstreamTasksSkipped:
        return []
    for shard in shards:
        await DeliverOperator(task_id="deliver", rule=spec, shard=shard).aexecute(context)
    await SettleOperator(task_id="settle", rule=spec).aexecute(context)
    return await CertifyOperator(task_id="certify", rule=spec).aexecute(context)
