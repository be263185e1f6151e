"""The last task of a rule's DAG: count everybody, and write the certificates."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from handoff.ledger import certificates
from handoff.rules.rule import Rule
from operators.assets import CERTIFICATE_NEWS, publish
from operators.rule_operator import RuleOperator
from operators.work import open_engine


class CertifyOperator(RuleOperator):
    """Writes a certificate for each batch that has none, or one that was not complete yet.

    Each that is news becomes an event of the asset ``handoff_certificates``.

    :returns: the certificates' figures: counts only, no contact data.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"outlets": [CERTIFICATE_NEWS], **kwargs})
        self._failed: list[str] = []

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Certify; then fail if an earlier task failed, so that the run shows it."""
        run_id = context["run_id"]
        states = context["ti"].get_task_states(dag_id=self.dag_id, run_ids=[run_id])[run_id]
        # The events of a failed task are lost, so the sweep publishes in its place.
        self._failed = sorted(task_id for task_id, state in states.items() if state in {"failed", "upstream_failed"})
        figures: list[dict[str, Any]] = super().execute(context)  # type: ignore[no-untyped-call]
        if self._failed:
            words = "what is left stays in the ledger and is taken up by the next bell"
            raise AirflowFailException(f"{', '.join(self._failed)} failed, see there; {words}")
        return figures

    async def aexecute(self, context: Context) -> list[dict[str, Any]]:
        """Count, write and publish; somebody unaccounted for is told as a notice, and judged by the sweep."""
        rule = Rule.model_validate(self.rule)
        counted = []
        async with open_engine(self.ledger_conn_id) as engine, engine.begin() as connection:
            for batch_id in await certificates.to_certify(connection, rule.id):
                counted.append(await certificates.count(connection, batch_id))
                await certificates.write(connection, counted[-1])
            if not self._failed:
                publish(context["outlet_events"], await certificates.publish(connection, rule.id))
        for one in counted:
            (self.log.info if one.even else self.log.error)("%s", one)
        return [one.figures() for one in counted]
