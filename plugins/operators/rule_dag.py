"""One rule, one DAG: gather -> deliver -> settle -> certify."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Asset, AssetWatcher, TriggerRule, literal

from handoff.rules.file import RuleFile
from handoff.rules.page import dag_id, doc_md
from handoff.rules.rule import Rule
from hooks.ledger import LedgerHook
from operators.assets import rule_asset
from operators.certify import CertifyOperator
from operators.deliver import DeliverOperator
from operators.gather import GatherOperator
from operators.rule_form import rule_form
from operators.settle import SettleOperator
from triggers.doorbell import DoorbellTrigger

START = datetime(2026, 1, 1, tzinfo=UTC)
RUNS_AT_ONCE = 16
"""Runs may overlap: what each does is claimed in the ledger, so none waits for another."""


def build_dag(file: RuleFile, ledger_conn_id: str = LedgerHook.default_conn_name) -> DAG:
    """Return the rule's DAG. It is started by its doorbell, or by hand with a form."""
    rule = file.rule
    # Literal: the templates in a rule's steps are rendered for each contact, not by Airflow.
    shared: dict[str, Any] = {"rule": literal(rule.model_dump(mode="json")), "ledger_conn_id": ledger_conn_id}
    with DAG(
        dag_id=dag_id(rule),
        dag_display_name=rule.title,
        description=rule.description or f"{rule.audience()}, {rule.when.describe('en')}",
        doc_md=f"{doc_md(rule)}\nRule file: `{file.path.name}`",
        tags={"handoff", rule.source, *rule.tags},
        schedule=[_doorbell(rule, ledger_conn_id)],
        start_date=START,
        catchup=False,
        max_active_runs=RUNS_AT_ONCE,
        params=rule_form(rule),
        default_args={
            "owner": rule.owner,
            "retries": 2,
            "retry_delay": timedelta(seconds=5),
        },
    ) as dag:
        gather = GatherOperator(task_id="gather", doc_md="Claims what is due soon and reads its lists.", **shared)
        deliver = DeliverOperator.partial(
            task_id="deliver",
            doc_md="Waits for the exact moment, judges the audience for it, and sends in order.",
            **shared,
        ).expand(shard=gather.output)
        settle = SettleOperator(
            task_id="settle",
            doc_md="Reads what became of doubtful effects; nothing is repeated blindly.",
            trigger_rule=TriggerRule.ALL_DONE,
            **shared,
        )
        certify = CertifyOperator(
            task_id="certify",
            doc_md="Counts everybody: listed = handled + excluded + pending.",
            trigger_rule=TriggerRule.ALL_DONE,
            **shared,
        )
        deliver >> settle >> certify
    return dag


def _doorbell(rule: Rule, ledger_conn_id: str) -> Asset:
    trigger = DoorbellTrigger(rule_id=rule.id, order_group=rule.order_group, ledger_conn_id=ledger_conn_id)
    watcher = AssetWatcher(name=f"doorbell_{rule.id}", trigger=trigger)
    return rule_asset(rule.id, [watcher])
