"""One DAG for each eTermin account that rules name: wait for the next poll, poll, again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from hooks.etermin import ETerminHook
from hooks.etermin_poll import REQUESTS
from hooks.etermin_source import SOURCE
from hooks.ledger import LedgerHook
from hooks.source_rules import accounts_of
from operators.etermin import RecordAppointmentsOperator
from operators.next_poll import NextPollOperator
from sensors.next_poll import NextPollSensor

DOC = """
Watches the eTermin account `{account}`: appointments (Termine) that are booked, changed or deleted are recorded in the
ledger, and what waits for them moves with them or ends with them. It polls every five minutes, or as often as the
connection says (`poll_minutes`); a Web Push lets it poll at once, for it is the account's own list that counts.
A poll costs two requests, and nothing is lost when one fails: the cursor moves only when everything is recorded.
"""


def build_watch_dags() -> Iterator[DAG]:
    """Return a DAG for every eTermin account that a rule names."""
    return map(build_watch_dag, sorted(accounts_of(SOURCE)))


def build_watch_dag(account: str, ledger_conn_id: str = LedgerHook.default_conn_name) -> DAG:
    """Return the DAG that watches one account."""
    default = account == ETerminHook.default_conn_name
    with DAG(
        dag_id="watch_etermin" if default else f"watch_{account}",
        dag_display_name=f"Watch eTermin ({account})",
        description="Polls the account and records what was booked, changed or deleted",
        doc_md=DOC.format(account=account),
        tags={"handoff", "etermin", "source"},
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
        record = RecordAppointmentsOperator(task_id="record", etermin_conn_id=account, ledger_conn_id=ledger_conn_id)
        plan >> due >> record
    return dag
