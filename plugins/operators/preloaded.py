"""What the files in ``dags/`` import: loaded once where Airflow forks its tasks from, instead of in each of them."""

from operators import (
    rule_dag,
    sweep_dag,
    watch_callexa_dag,
    watch_etermin_dag,
    watch_insightly_dag,
    watch_webinaris_dag,
)

__all__ = [
    "rule_dag",
    "sweep_dag",
    "watch_callexa_dag",
    "watch_etermin_dag",
    "watch_insightly_dag",
    "watch_webinaris_dag",
]
