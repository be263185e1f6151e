"""The operators as Airflow handles them: templates, names, and the bell that started a run."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException

from handoff.errors import WrongCredentials
from hooks.webinaris import WebinarisHook
from operators.certify import CertifyOperator
from operators.deliver import DeliverOperator, _rung_at, fail_if_stopped
from operators.gather import GatherOperator
from operators.settle import SettleOperator
from operators.webinaris import NextWebinarPollOperator, RecordWebinarsOperator
from operators.work import run_owner, worker_owner
from tests.support.domain import a_rule
from tests.support.targets import MemoryTarget
from tests.support.tasks import Vendors, context_of

RULE = a_rule().model_dump(mode="json")


@pytest.mark.parametrize("operator", [GatherOperator, DeliverOperator, SettleOperator, CertifyOperator])
def test_every_template_field_is_an_attribute_of_the_same_name(operator: Any) -> None:
    made = operator(task_id="task", rule=RULE, ledger_conn_id="my_ledger")
    assert {"rule", "ledger_conn_id"} <= set(operator.template_fields)
    assert {name: getattr(made, name) for name in ("rule", "ledger_conn_id")} == {
        "rule": RULE, "ledger_conn_id": "my_ledger"
    }  # fmt: skip
    assert operator.template_fields_renderers == {"rule": "json"}


def test_watching_operators_name_their_connections() -> None:
    made: Any = RecordWebinarsOperator(task_id="task", webinaris_conn_id="w", ledger_conn_id="l")
    assert [getattr(made, name) for name in made.template_fields] == ["w", "l"]
    made = NextWebinarPollOperator(task_id="task", hook=WebinarisHook, account="w", ledger_conn_id="l")
    assert [getattr(made, name) for name in made.template_fields] == ["webinaris", "w", "l"]


def test_a_shard_is_a_template_field_so_that_the_ui_shows_it() -> None:
    assert "shard" in DeliverOperator.template_fields
    assert DeliverOperator(task_id="deliver", rule=RULE, shard=3).shard == 3


def test_the_tasks_of_a_run_share_its_name_and_no_two_workers_share_one() -> None:
    context: Any = {"dag": SimpleNamespace(dag_id="handoff_r"), "run_id": "run-1"}
    assert run_owner(context) == run_owner(dict(context)) == "run/handoff_r/run-1"
    assert len({worker_owner() for _ in range(100)}) == 100


def events(*payloads: Any) -> Any:
    return {"triggering_asset_events": {"asset": [SimpleNamespace(extra=extra) for extra in payloads]}}


@pytest.mark.parametrize(
    ("context", "rung_at"),
    [
        ({}, None),
        ({"triggering_asset_events": None}, None),
        (events(), None),
        (events({}), None),
        (events({"payload": None}), None),
        (events({"from_trigger": True, "payload": {"rule_id": "r", "rung_at": 7.5}}), 7.5),
        (events({"payload": {"rung_at": 9.0}}, {"payload": {"rung_at": 8.0}}, {"payload": {}}), 8.0),
        (events({"payload": {"rung_at": 9.0}}) | {"ti": SimpleNamespace(try_number=1)}, 9.0),
        (events({"payload": {"rung_at": 9.0}}) | {"ti": SimpleNamespace(try_number=2)}, None),
    ],
)
def test_when_the_bell_of_a_run_rang(context: Any, rung_at: float | None) -> None:
    assert _rung_at(context) == rung_at


def test_wrong_credentials_fail_the_task_by_name() -> None:
    stopped = {"klicktipp_default": WrongCredentials("klicktipp_default", "log in")}
    worker: Any = SimpleNamespace(stopped=stopped)
    with pytest.raises(AirflowFailException, match="klicktipp_default: log in: the credentials"):
        fail_if_stopped(worker)
    fail_if_stopped(SimpleNamespace(stopped={}))  # type: ignore[arg-type]


@pytest.mark.parametrize(("state", "fails"), [("success", False), ("failed", True), ("upstream_failed", True)])
def test_the_last_task_shows_that_an_earlier_one_failed(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch, state: str, fails: bool
) -> None:
    Vendors(monkeypatch, ledger_url, MemoryTarget(), None)
    states = {"run-1": {"gather": "success", "deliver_0": state, "settle": "success", "certify": "running"}}
    task_instance = SimpleNamespace(get_task_states=lambda **_: states)
    context = context_of(a_rule()) | {"ti": task_instance, "task_instance": task_instance}
    dag = DAG("handoff_r", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC))
    operator = CertifyOperator(task_id="certify", rule=RULE, dag=dag)
    # Without a loop of its own Airflow takes one that nobody closes.
    with asyncio.Runner() as runner, pytest.raises(AirflowFailException, match="deliver_0") if fails else nullcontext():
        asyncio.set_event_loop(runner.get_loop())
        assert operator.execute(context) == []
