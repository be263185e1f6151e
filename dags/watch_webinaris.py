"""Watches Webinaris: a deferrable sensor waits for the next change, then records it; next run.

Airflow looks for its own name and the word DAG in a file before it reads it.
"""

from __future__ import annotations

from operators.watch_webinaris_dag import build_watch_dags

for dag in build_watch_dags():
    globals()[dag.dag_id] = dag
