"""One DAG for each eTermin account that rules name: wait for the next poll, poll, again."""

from __future__ import annotations

from collections.abc import Iterator

from airflow.sdk import DAG

from hooks.etermin import ETerminHook
from hooks.etermin_poll import REQUESTS
from hooks.source_rules import accounts_of
from operators.etermin import RecordAppointmentsOperator
from operators.watch_dag import polling_dag

DOC = """
Watches the eTermin account `{account}`: appointments (Termine) that are booked, changed or deleted are recorded in the
ledger, and what waits for them moves with them or ends with them. It polls every five minutes, or as often as the
connection says (`poll_minutes`); a Web Push lets it poll at once, for it is the account's own list that counts.
A poll costs two requests, and nothing is lost when one fails: the cursor moves only when everything is recorded.
"""


def build_watch_dags() -> Iterator[DAG]:
    """Return a DAG for every eTermin account that a rule names."""
    for account in sorted(accounts_of(ETerminHook.conn_type)):
        yield polling_dag(
            ETerminHook,
            account,
            RecordAppointmentsOperator,
            requests=REQUESTS,
            description="Polls the account and records what was booked, changed or deleted",
            doc=DOC.format(account=account),
        )
