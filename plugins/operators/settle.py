"""The third task of a rule's DAG: read what became of doubtful effects, and finish their lanes."""

from __future__ import annotations

from airflow.sdk.definitions.context import Context

from handoff.delivery.worker import Worker
from handoff.ledger import rule_versions
from handoff.rule import Rule
from operators.deliver import fail_if_stopped
from operators.rule_operator import RuleOperator
from operators.work import open_desk, open_engine, worker_owner

HORIZON_SECONDS = 30.0
"""Lanes that rest longer than this are taken up by a later bell instead of by this task."""


class SettleOperator(RuleOperator):
    """Goes on with lanes that had to wait: unknown outcomes are read back, transient failures tried again."""

    async def aexecute(self, context: Context) -> None:
        """Settle; what needs longer stays in the ledger and rings the bell when it is ready."""
        rule = Rule.model_validate(self.rule)
        async with open_engine(self.ledger_conn_id, connections=6) as engine, open_desk(engine) as desk:
            async with engine.connect() as connection:
                groups = await rule_versions.order_groups(connection, rule)
            workers = [Worker(engine, group, worker_owner(), desk) for group in groups]
            for worker in workers:
                await worker.run(horizon=HORIZON_SECONDS)
        for worker in workers:
            fail_if_stopped(worker)
