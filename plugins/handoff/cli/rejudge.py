"""``handoff rejudge``: plan what waits anew, with the rule as it is now."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.cli.command import Command
from handoff.cli.ledger import add_json, add_ledger, with_ledger
from handoff.cli.rules import rule_named
from handoff.cli.table import as_json, moment, table
from handoff.planning.rejudging import Change, rejudge


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rule", metavar="RULE", help="the rule's id")
    help_ = "the rule as it is to be (default: the file in include/handoffs)"
    parser.add_argument("file", nargs="?", type=Path, metavar="RULE_FILE", help=help_)
    parser.add_argument("--apply", action="store_true", help="do it; without, it is only shown")
    add_ledger(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    rule = rule_named(arguments.rule, arguments.file)

    async def work(engine: AsyncEngine) -> list[Change]:
        return [change async for change in rejudge(engine, rule, apply=arguments.apply)]

    changes = with_ledger(arguments, work)
    if arguments.json:
        print(as_json({"rule": rule.id, "applied": arguments.apply, "changes": [asdict(change) for change in changes]}))
    else:
        print(_words(changes, arguments.apply))
    return 0


def _words(changes: list[Change], applied: bool) -> str:
    rows = [
        (
            change.what,
            change.title or change.occasion,
            moment(change.due_before),
            moment(change.due_after) + (" (past)" if change.past else ""),
            change.version_before,
            change.version_after,
        )
        for change in changes
        if change.what != "unchanged"
    ]
    counts = Counter(change.what for change in changes)
    sums = ", ".join(f"{number} {what}" for what, number in sorted(counts.items())) or "nothing waits"
    last = f"{'Done' if applied else 'Nothing was changed; with --apply'}: {sums}"
    return f"{table(('WHAT', 'OCCASION', 'DUE', 'NEW', 'VERSION', 'NEW'), rows)}\n{last}" if rows else last


REJUDGE = Command("rejudge", "Plan what waits anew with the rule as it is now.", _add_options, _run)
