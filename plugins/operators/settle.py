"""The third task of a rule's DAG: read what became of doubtful effects, and finish their lanes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow.sdk import Context
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.desk import Desk
from handoff.delivery.gate import Gate
from handoff.delivery.worker import Worker
from handoff.errors import TargetError
from handoff.ledger import certificates, outcomes, rule_versions
from handoff.ledger.outcomes import Outcomes
from handoff.rules.rule import Rule
from handoff.rules.steps import STEPS
from handoff.target import Promise
from operators.deliver import fail_if_stopped
from operators.pauses import pauses_of
from operators.rule_operator import RuleOperator
from operators.work import open_desk, open_engine, worker_owner

HORIZON_SECONDS = 30.0
"""Lanes that rest longer than this are taken up by a later bell instead of by this task."""


class SettleOperator(RuleOperator):
    """Goes on with lanes that had to wait: unknown outcomes are read back, transient failures tried again.

    :returns: for each target account of the run's batches which promise applies to its effects, where that of some
        steps is another one these ``steps`` with theirs, how many seconds effects take to be read back, and how many
        are in which state; no contact data.
    """

    async def aexecute(self, context: Context) -> list[dict[str, Any]]:
        """Settle; what needs longer stays in the ledger and rings the bell when it is ready."""
        rule = Rule.model_validate(self.rule)
        async with open_engine(self.ledger_conn_id, connections=6) as engine, open_desk(engine) as desk:
            async with engine.connect() as connection:
                groups = await rule_versions.order_groups(connection, rule)
            gate = Gate(engine, pauses_of(context))
            workers = [Worker(engine, group, worker_owner(), desk, gate=gate) for group in groups]
            for worker in workers:
                await worker.run(horizon=HORIZON_SECONDS)
            report = await self._report(engine, rule, desk)
        for worker in workers:
            fail_if_stopped(worker)
        return report

    async def _report(self, engine: AsyncEngine, rule: Rule, desk: Desk) -> list[dict[str, Any]]:
        async with engine.connect() as connection:
            batches = await certificates.to_certify(connection, rule.id)
            found = await outcomes.by_account(connection, batches)
        report = [await _promised(desk, account) for account in found]
        for line in report:
            self.log.info(
                "%s: promise: %s%s (settling time %s s); effects %s",
                line["account"], line["promise"], _in_words(line["steps"]), line["settling_seconds"], line["effects"],
            )  # fmt: skip
        return report


async def _promised(desk: Desk, found: Outcomes) -> dict[str, Any]:
    """Return an account's line of the report; without a promise when the account cannot be opened."""
    line: dict[str, Any] = {
        "account": found.account, "promise": None, "steps": {}, "settling_seconds": None, "effects": found.states,
    }  # fmt: skip
    try:
        target = await desk.target(found.account, found.steps[0])
    except TargetError:
        return line
    others = _unreadable(found.steps) if target.promise is Promise.SETTLED_BY_READING else ()
    promised = {"promise": target.promise.value, "settling_seconds": target.settling_seconds}
    return line | promised | {"steps": dict.fromkeys(others, Promise.AT_MOST_ONCE.value)}


def _unreadable(steps: Iterable[str]) -> tuple[str, ...]:
    """Return the steps of which no account tells afterwards whether they took place; one long gone is not named."""
    return tuple(name for name in steps if name in STEPS and not STEPS[name].readable)


def _in_words(steps: Mapping[str, str]) -> str:
    return "".join(f"; {name}: {promise}" for name, promise in steps.items())
