"""What a run reports of its targets, and how its tasks learn that their DAG is paused."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery import gate as gate_module
from handoff.errors import Refused, UnknownOutcome
from handoff.rule import Rule
from handoff.target import Call
from operators.deliver import DeliverOperator
from operators.gather import GatherOperator
from operators.pauses import pauses_of
from operators.settle import SettleOperator
from tests.support.delivery import plan, states
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.rows import rows
from tests.support.targets import MemoryTarget
from tests.support.tasks import Vendors, context_of

RULE = a_rule(
    steps=[{"step": "klicktipp.tag", "tag": "eins"}, {"step": "email", "template": "webinar_attended"}],
)


async def ready(ledger: AsyncEngine, rule: Rule, count: int) -> FixedSource:
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61))
    source = FixedSource(occasion, some_registrations(count, before=occasion.anchors["start"]))
    await plan(ledger, source, [rule], occasion)
    return source


async def run(operator: Any, rule: Rule, context: Any, **arguments: Any) -> Any:
    return await operator(task_id="task", rule=rule.model_dump(mode="json"), **arguments).aexecute(context)


async def test_a_run_says_which_promise_applied_to_which_target(
    ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def faults(call: Call) -> Refused | UnknownOutcome | None:
        if call.contact.email.startswith("person1@"):
            return Refused(call.step.conn_id, "tag", "blocked")
        doubtful = call.step.step == "email" and call.contact.email.startswith("person2@")
        return UnknownOutcome(call.step.conn_id, "send", "no reply") if doubtful else None

    readable = MemoryTarget(before=faults, settling=0.5)
    blind = MemoryTarget(before=faults, readable=False)
    vendors = Vendors(monkeypatch, ledger_url, readable, await ready(ledger, RULE, 4))
    opening = vendors._open_target

    async def open_target(step: str, account: str, *others: Any) -> Any:
        await opening(step, account, *others)
        return blind if step == "email" else readable

    monkeypatch.setattr("operators.work.open_target", open_target)
    context = context_of(RULE)
    await run(GatherOperator, RULE, context)
    await run(DeliverOperator, RULE, context, shard=0)
    with caplog.at_level("INFO"):
        report = await run(SettleOperator, RULE, context)
    assert report == [
        {"account": "klicktipp_default", "promise": "settled by reading", "settling_seconds": 0.5,
         "effects": {"confirmed": 3, "refused": 1}},
        {"account": "smtp_default", "promise": "at most once; a doubtful effect is held and listed",
         "settling_seconds": 0.0, "effects": {"confirmed": 2, "held": 1, "skipped": 1}},
    ]  # fmt: skip
    assert "example.org" not in json.dumps(report) + caplog.text


async def test_a_run_whose_dag_is_paused_while_it_delivers_stops_and_loses_nothing(
    ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_module, "PAUSES_SECONDS", 0.1)
    rule, target = a_rule(), MemoryTarget(latency=0.3)
    Vendors(monkeypatch, ledger_url, target, await ready(ledger, rule, 1500))
    dag = SimpleNamespace(is_paused=False)
    asked: list[str] = []

    def get_dag(dag_id: str) -> Any:
        asked.append(dag_id)
        return dag

    context = context_of(rule) | {"ti": SimpleNamespace(try_number=1, get_dag=get_dag)}
    await run(GatherOperator, rule, context)
    working = asyncio.create_task(run(DeliverOperator, rule, context, shard=0))
    while len(target.effects) < 50 and not working.done():
        await asyncio.sleep(0.01)
    dag.is_paused = True
    await asyncio.wait_for(working, 8)
    found = await states(ledger)
    assert found == {"confirmed": len(target.effects), "planned": 1500 - len(target.effects)}
    assert len(target.effects) < 1500
    assert set(asked) == {"handoff_test_rule"}
    dag.is_paused = False
    await ledger.dispose()
    assert await rows(ledger, "SELECT count(*) FROM handoff.lanes WHERE ready_at IS NULL AND held IS NULL"
                              " AND id IN (SELECT lane_id FROM handoff.effects WHERE state = 'planned')") == [
        (0,)]  # fmt: skip


async def test_a_batch_of_a_paused_dag_is_not_judged(
    ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule, target = a_rule(), MemoryTarget()
    source = await ready(ledger, rule, 3)
    Vendors(monkeypatch, ledger_url, target, source)
    context = context_of(rule) | {
        "ti": SimpleNamespace(try_number=1, get_dag=lambda dag_id: SimpleNamespace(is_paused=True))
    }
    await run(GatherOperator, rule, context)
    await run(DeliverOperator, rule, context, shard=0)
    assert await rows(ledger, "SELECT state, reason, lease_owner FROM handoff.batches") == [("waiting", "frozen", None)]
    assert await states(ledger) == {}
    await run(DeliverOperator, rule, context_of(rule, run_id="run-2"), shard=0)
    assert await states(ledger) == {"confirmed": 3}


async def test_while_airflow_does_not_answer_its_last_answer_counts(caplog: pytest.LogCaptureFixture) -> None:
    answers: list[Any] = [True, None, False, None]

    def get_dag(dag_id: str) -> Any:
        answer = answers.pop(0)
        if answer is None:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={}))
        return SimpleNamespace(is_paused=answer)

    paused = pauses_of(context_of(a_rule()) | {"ti": SimpleNamespace(try_number=1, get_dag=get_dag)})
    assert [await paused("test_rule") for _ in range(4)] == [True, True, False, False]
    assert caplog.text.count("cannot be asked now") == 2
