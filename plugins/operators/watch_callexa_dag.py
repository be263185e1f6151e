"""One DAG for each Callexa account that steps of rules name: wait for the next poll, read the answers, again."""

from __future__ import annotations

from collections.abc import Iterator

from airflow.sdk import DAG

from hooks.callexa import CallexaHook
from hooks.source_rules import callexa_surveys
from operators.callexa import RecordAnswersOperator
from operators.watch_dag import polling_dag

DOC = """
Watches the Callexa account `{account}`: answers (Antworten) to the surveys {surveys}, which steps of rules queue
recipients for, are recorded in the ledger, and rules of the source `survey` may make something of them. It polls every
hour, or as often as the connection says (`poll_minutes`). Nothing is lost when a poll fails: each survey is read on
from where everything is recorded.
"""


def build_watch_dags() -> Iterator[DAG]:
    """Return a DAG for every Callexa account that a step of a rule names."""
    for account, surveys in sorted(callexa_surveys().items()):
        yield polling_dag(
            CallexaHook,
            account,
            RecordAnswersOperator,
            # One for the list of surveys, and one for each.
            requests=1 + len(surveys),
            description="Polls the account's surveys and records what was answered",
            doc=DOC.format(account=account, surveys=", ".join(f"`{name}`" for name in sorted(surveys))),
        )
