"""``handoff lint``: says what is wrong in rule files before Airflow meets them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from handoff.cli.command import Command, add_paths
from handoff.home import rules_folder, templates_folder
from handoff.rules.lint import Report, lint


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_paths(parser)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--templates", type=Path, metavar="DIR", help="message templates (include/templates)")


def _run(arguments: argparse.Namespace) -> int:
    report = lint(arguments.paths or [rules_folder()], arguments.templates or templates_folder())
    print(_as_json(report) if arguments.json else _as_text(report))
    return 1 if report.problems else 0


def _as_json(report: Report) -> str:
    rules = [{"id": file.rule.id, "path": str(file.path)} for file in report.files]
    problems = [problem.as_json() for problem in report.problems]
    warnings = [warning.as_json() for warning in report.warnings]
    return json.dumps({"ok": not problems, "rules": rules, "problems": problems, "warnings": warnings}, indent=2)


def _as_text(report: Report) -> str:
    rules = _count(len(report.files), "rule")
    warnings = [f"warning: {warning}" for warning in report.warnings]
    if not report.problems:
        return "\n\n".join([*warnings, f"OK: {rules}, no problems"])
    wrong = len({problem.path for problem in report.problems})
    last = f"{_count(len(report.problems), 'problem')} in {_count(wrong, 'file')}; read as rules: {len(report.files)}"
    return "\n\n".join([*map(str, report.problems), *warnings, last])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


LINT = Command("lint", "Check rule files and the templates they name.", _add_options, _run)
