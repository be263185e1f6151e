"""The sweep: takes up what no bell rang for, compares sources with the ledger, writes certificates.

Airflow looks for its own name and the word DAG in a file before it reads it.
"""

from __future__ import annotations

from operators.sweep_dag import build_sweep_dag

dag = build_sweep_dag()
