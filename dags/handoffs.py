"""One DAG for every rule file in ``include/handoffs``; wrong files are reported by ``rule_problems.py``.

Airflow looks for its own name and the word DAG in a file before it reads it.
"""

from __future__ import annotations

from handoff.home import rules_folder
from handoff.rules.file import load_folder
from operators.rule_dag import build_dag

for rule_file in load_folder(rules_folder())[0]:
    dag = build_dag(rule_file)
    globals()[dag.dag_id] = dag
