"""One DAG for each Webinaris account that rules name: wait for the next change, record it, again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG

from hooks.ledger import LedgerHook
from hooks.source_rules import accounts_of
from hooks.webinaris import WebinarisHook
from operators.webinaris import SOURCE, RecordWebinarsOperator, WebinarisCursorOperator
from sensors.webinaris import WebinarChangedSensor

POLL_SECONDS = 5.0
LONGEST_WAIT_SECONDS = 300.0
"""After this long a run ends even without a change, so that new rules are taken up."""

DOC = """
Watches the Webinaris account `{account}`: every change of a webinar date is recorded in the ledger,
and the batches of all rules that wait for it follow it. Each run waits for one change; the next
run starts at once. A run that is lost loses nothing: the cursor moves only when events are recorded.
"""


def build_watch_dags() -> Iterator[DAG]:
    """Return a DAG for every Webinaris account that a rule names, and for the default one."""
    return map(build_watch_dag, sorted(accounts_of(SOURCE) | {WebinarisHook.default_conn_name}))


def build_watch_dag(account: str, ledger_conn_id: str = LedgerHook.default_conn_name) -> DAG:
    """Return the DAG that watches one account."""
    default = account == WebinarisHook.default_conn_name
    shared: dict[str, Any] = {"webinaris_conn_id": account}
    with DAG(
        dag_id="watch_webinaris" if default else f"watch_{account}",
        dag_display_name=f"Watch Webinaris ({account})",
        description="Waits for the next change of a webinar date and records it",
        doc_md=DOC.format(account=account),
        tags={"handoff", "webinaris", "source"},
        schedule="@continuous",
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        default_args={"owner": "handoffs", "retries": 2, "retry_delay": timedelta(seconds=10)},
    ) as dag:
        cursor = WebinarisCursorOperator(task_id="cursor", ledger_conn_id=ledger_conn_id, **shared)
        changed = WebinarChangedSensor(
            task_id="wait_for_change",
            since="{{ ti.xcom_pull(task_ids='cursor') }}",
            poll_interval=POLL_SECONDS,
            at_most=LONGEST_WAIT_SECONDS,
            **shared,
        )
        record = RecordWebinarsOperator(task_id="record", ledger_conn_id=ledger_conn_id, **shared)
        cursor >> changed >> record
    return dag
