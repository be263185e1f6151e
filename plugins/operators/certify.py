"""The last task of a rule's DAG: count everybody, and write the certificates."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from airflow.sdk.definitions.context import Context
from airflow.sdk.exceptions import AirflowFailException

from handoff.ledger import certificates
from handoff.rule import Rule
from operators.rule_operator import RuleOperator
from operators.work import open_engine


class CertifyOperator(RuleOperator):
    """Writes a certificate for each batch that has none, or one that was not complete yet.

    :returns: the certificates' figures: counts only, no contact data.
    """

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Certify, then fail if an earlier task failed, so that the run shows it."""
        figures: list[dict[str, Any]] = super().execute(context)  # type: ignore[no-untyped-call]
        run_id = context["run_id"]
        states = context["ti"].get_task_states(dag_id=self.dag_id, run_ids=[run_id])[run_id]
        failed = sorted(task_id for task_id, state in states.items() if state in {"failed", "upstream_failed"})
        if failed:
            words = "what is left stays in the ledger and is taken up by the next bell"
            raise AirflowFailException(f"{', '.join(failed)} failed, see there; {words}")
        return figures

    async def aexecute(self, context: Context) -> list[dict[str, Any]]:
        """Count, write, and fail when somebody is unaccounted for."""
        rule = Rule.model_validate(self.rule)
        figures = []
        async with open_engine(self.ledger_conn_id) as engine, engine.begin() as connection:
            for batch_id in await certificates.to_certify(connection, rule.id):
                counted = await certificates.count(connection, batch_id)
                await certificates.write(connection, counted)
                figures.append(counted)
        for counted in figures:
            self.log.info(
                "%s: %s listed = %s handled + %s excluded + %s pending (%s); effects %s",
                counted.title, counted.listed, counted.handled, sum(counted.excluded.values()), counted.pending,
                "even" if counted.even else "NOT EVEN", counted.effects,
            )  # fmt: skip
        uneven = [counted.batch_id for counted in figures if not counted.even]
        if uneven:
            raise AirflowFailException(f"certificate not even: somebody is unaccounted for in batches {uneven}")
        return [asdict(counted) for counted in figures]
