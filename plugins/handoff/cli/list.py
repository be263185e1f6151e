"""``handoff list``: shows which rules there are."""

from __future__ import annotations

import argparse
import sys

from handoff.cli.command import Command, add_paths
from handoff.cli.table import table
from handoff.home import rules_folder
from handoff.rules.file import load_paths
from handoff.rules.rule import Rule


def _run(arguments: argparse.Namespace) -> int:
    files, problems = load_paths(arguments.paths or [rules_folder()])
    print(table(("RULE", "WHEN", "WHO", "STEPS"), (_row(file.rule) for file in files)))
    if problems:
        print(f"{len(problems)} problems, see: handoff lint", file=sys.stderr)
    return 1 if problems else 0


def _row(rule: Rule) -> tuple[str, ...]:
    return rule.id, rule.when.describe("en"), rule.audience(), " > ".join(step.step for step in rule.steps)


LIST = Command("list", "List the rules: when, who and their steps.", add_paths, _run)
