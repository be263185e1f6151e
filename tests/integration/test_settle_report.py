"""What a run reports of its targets, and how its tasks learn that their DAG is paused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery import gate as gate_module
from handoff.errors import Refused, UnknownOutcome
from handoff.rules.rule import Rule
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


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Return what tasks have logged: to the standard output, unless Airflow's logging was set up otherwise."""

    def read() -> str:
        captured = capsys.readouterr()
        return captured.out + captured.err + caplog.text

    caplog.set_level("INFO")
    return read


async def ready(ledger: AsyncEngine, rule: Rule, count: int, key: str = "d1") -> FixedSource:
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61), key=key)
    source = FixedSource(occasion, some_registrations(count, before=occasion.anchors["start"]))
    await plan(ledger, source, [rule], occasion)
    return source


async def run(operator: Any, rule: Rule, context: Any, **arguments: Any) -> Any:
    return await operator(task_id="task", rule=rule.model_dump(mode="json"), **arguments).aexecute(context)


async def test_a_run_says_which_promise_applied_to_which_target(
    ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
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
    report = await run(SettleOperator, RULE, context)
    assert report == [
        {"account": "klicktipp_default", "promise": "settled by reading", "steps": {},
         "settling_seconds": 0.5, "effects": {"confirmed": 3, "refused": 1}},
        {"account": "smtp_default", "promise": "at most once; a doubtful effect is held and listed",
         "steps": {}, "settling_seconds": 0.0, "effects": {"confirmed": 2, "held": 1, "skipped": 1}},
    ]  # fmt: skip
    said = logged()
    assert "klicktipp_default: promise: settled by reading (settling time 0.5 s)" in said
    assert "example.org" not in json.dumps(report) + said


async def test_a_step_with_another_promise_than_its_account_is_named(
    ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    once = "at most once; a doubtful effect is held and listed"
    steps = [{"step": "quentn.term", "term": "Termin"}, {"step": "quentn.campaign", "campaign": 42}]
    for number, readable in enumerate((True, False)):
        rule = a_rule(id=f"rule_{number}", steps=steps)
        Vendors(monkeypatch, ledger_url, MemoryTarget(readable=readable), await ready(ledger, rule, 2, f"d{number}"))
        context = context_of(rule)
        await run(GatherOperator, rule, context)
        await run(DeliverOperator, rule, context, shard=0)
        [line] = await run(SettleOperator, rule, context)
        assert line["effects"] == {"confirmed": 4}
        promised = ("settled by reading", {"quentn.campaign": once}) if readable else (once, {})
        assert (line["promise"], line["steps"]) == promised
    assert f"quentn_default: promise: settled by reading; quentn.campaign: {once} (settling time" in logged()


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
