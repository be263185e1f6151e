"""Shows wrong rule files as an import error of this file, so that the other rules' DAGs stay in the UI.

Airflow looks for the word DAG in a file before it reads it.
"""

from __future__ import annotations

from handoff.home import rules_folder, templates_folder
from handoff.lint import lint
from handoff.rule_file import RuleFileError

report = lint([rules_folder()], templates_folder())
if report.problems:
    raise RuleFileError(list(report.problems))
