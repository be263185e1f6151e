"""Shows wrong rule files as an import error of this file, so that the other rules' DAGs stay in the UI.

Airflow looks for the word DAG in a file before it reads it.
"""

from __future__ import annotations

from handoff.home import rules_folder, templates_folder
from handoff.rules.file import RuleFileError
from handoff.rules.lint import lint

report = lint([rules_folder()], templates_folder())
if report.problems:
    raise RuleFileError(list(report.problems))
