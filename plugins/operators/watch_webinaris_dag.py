"""One DAG for each Webinaris account that rules name: wait for the next change, record it, again."""

from __future__ import annotations

from collections.abc import Iterator

from airflow.sdk import DAG

from hooks.source_rules import accounts_of
from hooks.webinaris import WebinarisHook
from operators.watch_dag import watch_dag
from operators.webinaris import NextWebinarPollOperator, RecordWebinarsOperator
from sensors.webinaris_watch import WebinarWatchSensor

POLL_SECONDS = 5.0
LONGEST_WAIT_SECONDS = 300.0
"""After this long a run ends even without a change, so that new rules are taken up."""

DOC = """
Watches the Webinaris account `{account}`: every change of a webinar date is recorded in the ledger,
and the batches of all rules that wait for it follow it. Each run waits for one change; the next
run starts at once. A run that is lost loses nothing: the cursor moves only when events are recorded.
Where the connection limits the requests of a day (`requests_per_day`), the account is polled as often as they last for.
"""


def build_watch_dags() -> Iterator[DAG]:
    """Return a DAG for every Webinaris account that a rule names, and for the default one."""
    return map(build_watch_dag, sorted(accounts_of(WebinarisHook.conn_type) | {WebinarisHook.default_conn_name}))


def build_watch_dag(account: str) -> DAG:
    """Return the DAG that watches one account."""
    description = "Waits for the next change of a webinar date and records it"
    with watch_dag(WebinarisHook, account, description=description, doc=DOC.format(account=account)) as dag:
        plan = NextWebinarPollOperator(task_id="next_poll", hook=WebinarisHook, account=account)
        changed = WebinarWatchSensor(
            task_id="wait_for_change",
            webinaris_conn_id=account,
            plan=plan.output,
            poll_interval=POLL_SECONDS,
            at_most=LONGEST_WAIT_SECONDS,
        )
        plan >> changed >> RecordWebinarsOperator(task_id="record", webinaris_conn_id=account)
    return dag
