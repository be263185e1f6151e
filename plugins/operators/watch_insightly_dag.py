"""One DAG for each Insightly account that rules name: wait for the next poll, poll, again."""

from __future__ import annotations

from collections.abc import Iterator

from airflow.sdk import DAG

from hooks.insightly import InsightlyHook
from hooks.insightly_poll import REQUESTS
from hooks.source_rules import accounts_of
from operators.insightly import RecordClosingsOperator
from operators.watch_dag import polling_dag

DOC = """
Watches the Insightly account `{account}`: opportunities (Chancen) and projects that come into a state that a rule
waits for are recorded in the ledger, and those that are opened again take their handoffs back. It polls every hour, or
as often as the connection says (`poll_minutes`); a webhook of Insightly's workflow automation lets it poll at once.
A poll costs one request for each page of 500 changes, and nothing is lost when one fails: the cursor moves only when
everything is recorded.
"""


def build_watch_dags() -> Iterator[DAG]:
    """Return a DAG for every Insightly account that a rule names."""
    for account in sorted(accounts_of(InsightlyHook.conn_type)):
        yield polling_dag(
            InsightlyHook,
            account,
            RecordClosingsOperator,
            requests=REQUESTS,
            description="Polls the account and records what was closed or opened again",
            doc=DOC.format(account=account),
        )
