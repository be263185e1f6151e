"""The sweep's DAG."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param, TriggerRule

from hooks.ledger import LedgerHook
from operators.sweep import SweepOperator
from operators.sweep_outcome import SweepOutcomeOperator
from operators.tell import TellOperator

EVERY_FIVE_MINUTES = "*/5 * * * *"

DOC = """
Every five minutes:

- **leftovers**: moments that passed and lanes that are ready although nobody came, also after a crash; their rules'
  bells are rung from here
- **certificates**: `listed = handled + excluded + pending` for each rule and occasion; anything else is red
- **notices**: what is held, late, red or failing is told to the team, one message for each cause
- **retention**: what was kept long enough is removed

At least once an hour each source's own list is **compared** with the ledger: what was never heard is recorded, and
whoever is missing is judged now. Lists of participants are read where no other list tells of them. Red certificates
are compared at once. Every certificate that is news is an event of the asset `handoff_certificates`.

A part that fails hinders none of the others; the task `outcome` is red then and names what failed.

*Der Abgleich: holt nach, was liegen blieb, und vergleicht die Listen der Quellen mit dem, was übergeben wurde.*
"""


def build_sweep_dag(ledger_conn_id: str = LedgerHook.default_conn_name) -> DAG:
    """Return the DAG that sweeps every five minutes."""
    with DAG(
        dag_id="sweep",
        dag_display_name="Sweep (Abgleich)",
        description="Takes up what was left over, compares sources with the ledger, writes certificates",
        doc_md=DOC,
        tags={"handoff"},
        schedule=EVERY_FIVE_MINUTES,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        params={
            "compare_now": Param(
                False,
                type="boolean",
                title="Compare every list now (Jetzt alles abgleichen)",
                description="Otherwise at least once an hour, and at once where a certificate is red.",
            )
        },
        default_args={"owner": "handoffs", "retries": 1, "retry_delay": timedelta(seconds=10)},
    ) as dag:
        sweep = SweepOperator(
            task_id="sweep",
            doc_md="Rings for what is due and unheard, certifies, compares.",
            ledger_conn_id=ledger_conn_id,
            execution_timeout=timedelta(minutes=30),
        )
        tell = TellOperator(
            task_id="tell",
            doc_md="Tells the team what is held, late, red or failing: one message for each cause.",
            ledger_conn_id=ledger_conn_id,
            trigger_rule=TriggerRule.ALL_DONE,
            execution_timeout=timedelta(minutes=5),
        )
        outcome = SweepOutcomeOperator(
            task_id="outcome",
            doc_md="Red when parts of the sweep failed, all of them named; the other parts were done.",
            swept=sweep.output,
        )
        sweep >> [tell, outcome]
    return dag
