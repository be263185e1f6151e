"""The second task of a rule's DAG: at the exact moment judge, and let the effects go out in order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.garbage import seldom_collected
from handoff.delivery.gate import Gate
from handoff.delivery.shift import Shift
from handoff.delivery.worker import Worker
from handoff.ledger import batches, bells
from handoff.ledger.batches import WaitingBatch
from handoff.rules.rule import Rule
from hooks.source_rules import rules_of
from operators.gather import SLACK_SECONDS
from operators.pauses import pauses_of
from operators.rule_operator import RuleOperator
from operators.work import open_desk, open_engine, open_sources, run_owner, worker_owner


class DeliverOperator(RuleOperator):
    """Works in the rule's lanes until none is ready. Shard 0 also waits for the moments and judges.

    :param shard: number of this shard, from 0.
    """

    template_fields: Sequence[str] = (*RuleOperator.template_fields, "shard")

    def __init__(self, *, shard: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shard = shard

    async def aexecute(self, context: Context) -> None:
        """Deliver; fail at the end, naming it, if an account's credentials were not accepted."""
        with seldom_collected():
            await self._deliver(context)

    async def _deliver(self, context: Context) -> None:
        rule, owner = Rule.model_validate(self.rule), run_owner(context)
        async with (
            open_engine(self.ledger_conn_id, connections=6) as engine,
            open_desk(engine) as desk,
            open_sources(engine) as sources,
        ):
            gate = Gate(engine, pauses_of(context))
            await gate.refresh()
            await gate.meet({rule.id})
            worker = Worker(engine, rule.order_group, worker_owner(), desk, gate=gate)
            if self.shard == 0:
                claimed = await _claim(engine, rule, owner, _rung_at(context))
                await Shift(engine, owner, desk, gate, sources, worker, rules_of).run(claimed)
            else:
                await worker.run(more_to_come=lambda: batches.any_waiting(engine, owner))
        fail_if_stopped(worker)


async def _claim(engine: AsyncEngine, rule: Rule, owner: str, rung_at: float | None) -> list[WaitingBatch]:
    """Claim what the run has gathered and what is due soon; remember how long its start took."""
    async with engine.begin() as connection:
        if rung_at is not None:
            await bells.started(connection, rule.id, time.time() - rung_at)
        horizon = await bells.lead_seconds(connection) + SLACK_SECONDS
        return await batches.claim(connection, rule.id, owner, horizon=horizon)


def fail_if_stopped(worker: Worker) -> None:
    """Fail the task without a retry when a connection's credentials were not accepted."""
    if worker.stopped:
        raise AirflowFailException("; ".join(map(str, worker.stopped.values())))


def _rung_at(context: Context) -> float | None:
    """Return when the first bell of this run rang (unix seconds).

    ``None`` for a run started by hand, and for a task that is tried again: its start was recorded the first time.
    """
    if (task_instance := context.get("ti")) is not None and task_instance.try_number > 1:
        return None
    events = context.get("triggering_asset_events") or {}
    payloads = [event.extra.get("payload") or {} for asset in events for event in events[asset]]
    return min((payload["rung_at"] for payload in payloads if "rung_at" in payload), default=None)
