"""One DAG for each Insightly account that rules name: wait for the next poll, poll, again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from hooks.insightly import InsightlyHook
from hooks.insightly_poll import REQUESTS
from hooks.insightly_source import SOURCE
from hooks.ledger import LedgerHook
from hooks.source_rules import accounts_of
from operators.insightly import RecordClosingsOperator
from operators.next_poll import NextPollOperator
from sensors.next_poll import NextPollSensor

DOC = """
Watches the Insightly account `{account}`: opportunities (Chancen) and projects that come into a state that a rule
waits for are recorded in the ledger, and those that are opened again take their handoffs back. It polls every hour, or
as often as the connection says (`poll_minutes`); a webhook of Insightly's workflow automation lets it poll at once.
A poll costs one request for each page of 500 changes, and nothing is lost when one fails: the cursor moves only when
everything is recorded.
"""


def build_watch_dags() -> Iterator[DAG]:
    """Return a DAG for every Insightly account that a rule names."""
    return map(build_watch_dag, sorted(accounts_of(SOURCE)))


def build_watch_dag(account: str, ledger_conn_id: str = LedgerHook.default_conn_name) -> DAG:
    """Return the DAG that watches one account."""
    default = account == InsightlyHook.default_conn_name
    with DAG(
        dag_id="watch_insightly" if default else f"watch_{account}",
        dag_display_name=f"Watch Insightly ({account})",
        description="Polls the account and records what was closed or opened again",
        doc_md=DOC.format(account=account),
        tags={"handoff", "insightly", "source"},
        schedule="@continuous",
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        default_args={"owner": "handoffs", "retries": 2, "retry_delay": timedelta(seconds=10)},
    ) as dag:
        plan = NextPollOperator(
            task_id="next_poll", source=SOURCE, account=account, requests=REQUESTS, ledger_conn_id=ledger_conn_id
        )
        due = NextPollSensor(
            task_id="wait_for_poll", source=SOURCE, account=account, plan=plan.output, ledger_conn_id=ledger_conn_id
        )
        record = RecordClosingsOperator(task_id="record", insightly_conn_id=account, ledger_conn_id=ledger_conn_id)
        plan >> due >> record
    return dag
