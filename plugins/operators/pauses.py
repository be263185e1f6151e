"""Whether a rule's DAG is paused, asked by a running task."""

from __future__ import annotations

import asyncio
import logging

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowRuntimeError

from handoff.delivery.gate import Paused

log = logging.getLogger(__name__)


def pauses_of(context: Context) -> Paused:
    """Return the question whether a rule's DAG is paused, asked through the task's own supervisor.

    While Airflow does not answer, its last answer counts; before the first one nothing is paused.
    """
    known: dict[str, bool] = {}

    async def paused(rule_id: str) -> bool:
        try:
            # In a thread: a cancelled question still reads its answer, which else the task's next one would get.
            dag = await asyncio.to_thread(context["ti"].get_dag, f"handoff_{rule_id}")
            known[rule_id] = dag.is_paused
        except (AirflowRuntimeError, OSError, EOFError) as error:
            log.warning("whether rule %s is paused cannot be asked now (%s)", rule_id, type(error).__name__)
        return known.get(rule_id, False)

    return paused
