"""One DAG for each Callexa account that steps of rules name: wait for the next poll, read the answers, again."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from hooks.callexa import CallexaHook
from hooks.callexa_answers import SOURCE
from hooks.ledger import LedgerHook
from hooks.source_rules import callexa_surveys
from operators.callexa import RecordAnswersOperator
from operators.next_poll import NextPollOperator
from sensors.next_poll import NextPollSensor

DOC = """
Watches the Callexa account `{account}`: answers (Antworten) to the surveys {surveys}, which steps of rules queue
recipients for, are recorded in the ledger, and rules of the source `survey` may make something of them. It polls every
hour, or as often as the connection says (`poll_minutes`). Nothing is lost when a poll fails: each survey is read on
from where everything is recorded.
"""


def build_watch_dags() -> Iterator[DAG]:
    """Return a DAG for every Callexa account that a step of a rule names."""
    return (build_watch_dag(account, surveys) for account, surveys in sorted(callexa_surveys().items()))


def build_watch_dag(account: str, surveys: Collection[str], ledger_conn_id: str = LedgerHook.default_conn_name) -> DAG:
    """Return the DAG that watches one account. :param surveys: their names, or ids."""
    default = account == CallexaHook.default_conn_name
    with DAG(
        dag_id="watch_callexa" if default else f"watch_{account}",
        dag_display_name=f"Watch Callexa ({account})",
        description="Polls the account's surveys and records what was answered",
        doc_md=DOC.format(account=account, surveys=", ".join(f"`{name}`" for name in sorted(surveys))),
        tags={"handoff", "callexa", "source"},
        schedule="@continuous",
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        default_args={"owner": "handoffs", "retries": 2, "retry_delay": timedelta(seconds=10)},
    ) as dag:
        plan = NextPollOperator(
            task_id="next_poll",
            source=SOURCE,
            account=account,
            # One for the list of surveys, and one for each.
            requests=1 + len(surveys),
            ledger_conn_id=ledger_conn_id,
        )
        due = NextPollSensor(
            task_id="wait_for_poll", source=SOURCE, account=account, plan=plan.output, ledger_conn_id=ledger_conn_id
        )
        record = RecordAnswersOperator(task_id="record", callexa_conn_id=account, ledger_conn_id=ledger_conn_id)
        plan >> due >> record
    return dag
