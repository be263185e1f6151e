"""The DAG that watches one source account: wait for news, record it, again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, BaseAsyncOperator

from hooks.vendor_hook import VendorHook
from operators.next_poll import NextPollOperator
from sensors.next_poll import NextPollSensor


def watch_dag(hook: type[VendorHook], account: str, *, description: str, doc: str) -> DAG:
    """Return the DAG without its tasks; a run that ends is followed by the next one at once.

    :param hook: the source's, whose connection type is the source's name. :param account: Airflow connection.
    :param doc: Markdown.
    """
    default = account == hook.default_conn_name
    return DAG(
        dag_id=f"watch_{hook.conn_type}" if default else f"watch_{account}",
        dag_display_name=f"Watch {hook.hook_name} ({account})",
        description=description,
        doc_md=doc,
        tags={"handoff", hook.conn_type, "source"},
        schedule="@continuous",
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        default_args={"owner": "handoffs", "retries": 2, "retry_delay": timedelta(seconds=10)},
    )


def polling_dag(
    hook: type[VendorHook],
    account: str,
    recorder: Callable[..., BaseAsyncOperator],
    *,
    requests: int,
    description: str,
    doc: str,
) -> DAG:
    """Return the DAG that polls one account: wait for the next poll, poll and record.

    :param recorder: polls once and records what it brings. :param requests: how many a poll takes.
    """
    with watch_dag(hook, account, description=description, doc=doc) as dag:
        plan = NextPollOperator(task_id="next_poll", hook=hook, account=account, requests=requests)
        due = NextPollSensor(task_id="wait_for_poll", source=hook.conn_type, account=account, plan=plan.output)
        plan >> due >> recorder(task_id="record", **{hook.conn_name_attr: account})
    return dag
