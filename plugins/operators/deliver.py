"""The second task of a rule's DAG: at the exact moment judge, and let the effects go out in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from airflow.sdk.definitions.context import Context
from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.desk import Desk
from handoff.delivery.garbage import seldom_collected
from handoff.delivery.gate import Gate
from handoff.delivery.moment import attend, look_again_seconds
from handoff.delivery.worker import Worker
from handoff.errors import HandoffError
from handoff.ledger import batches, bells
from handoff.ledger.batches import WaitingBatch
from handoff.rule import Rule
from operators.gather import SLACK_SECONDS
from operators.pauses import pauses_of
from operators.rule_operator import RuleOperator
from operators.work import Sources, open_desk, open_engine, run_owner, worker_owner

RENEW_SECONDS = 5.0


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
        async with open_engine(self.ledger_conn_id, connections=6) as engine, open_desk(engine) as desk:
            gate = Gate(engine, pauses_of(context))
            await gate.refresh()
            await gate.meet({rule.id})
            worker = Worker(engine, rule.order_group, worker_owner(), desk, gate=gate)
            if self.shard == 0:
                await self._judge_and_deliver(engine, rule, owner, desk, gate, worker, _rung_at(context))
            else:
                await worker.run(more_to_come=lambda: batches.any_waiting(engine, owner))
        fail_if_stopped(worker)

    async def _judge_and_deliver(
        self,
        engine: AsyncEngine,
        rule: Rule,
        owner: str,
        desk: Desk,
        gate: Gate,
        worker: Worker,
        rung_at: float | None,
    ) -> None:
        async with engine.begin() as connection:
            if rung_at is not None:
                await bells.started(connection, rule.id, time.time() - rung_at)
            horizon = await bells.lead_seconds(connection) + SLACK_SECONDS
            claimed = await batches.claim(connection, rule.id, owner, horizon=horizon)
        sources, turn = Sources(engine), asyncio.Lock()
        lease = asyncio.create_task(self._keep_leases(engine, owner))
        judging = [
            asyncio.create_task(self._attend(engine, batch, sources, desk, gate, worker, turn)) for batch in claimed
        ]

        async def more_to_come() -> bool:
            return not all(task.done() for task in judging)

        try:
            await worker.run(more_to_come=more_to_come)
            await asyncio.gather(*judging)
        finally:
            for task in (*judging, lease):
                task.cancel()
            await asyncio.gather(*judging, lease, return_exceptions=True)
            await sources.close()

    async def _attend(
        self,
        engine: AsyncEngine,
        batch: WaitingBatch,
        sources: Sources,
        desk: Desk,
        gate: Gate,
        worker: Worker,
        turn: asyncio.Lock,
    ) -> None:
        known = batch.occasion.occasion
        try:
            source = await sources.of(known.source, known.account)
            became = await attend(
                engine,
                batch,
                source,
                worker.wake,
                prepare=lambda: desk.prepare(batch.id),
                frozen=lambda: gate.frozen(batch.rule_id) is not None,
                turn=turn,
            )
        except HandoffError as error:
            self.log.warning("batch %s waits: %s", batch.id, error)
            async with engine.begin() as connection:
                await batches.postpone(connection, batch.id, look_again_seconds(batch), str(error))
        else:
            self.log.info("batch %s, due %s: %s", batch.id, batch.due_at.isoformat(), became)

    @staticmethod
    async def _keep_leases(engine: AsyncEngine, owner: str) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            async with engine.begin() as connection:
                await batches.renew(connection, owner)


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
