"""``handoff rehearse``: what a changed rule would have done differently."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.cli.command import Command
from handoff.cli.ledger import add_json, add_ledger, with_ledger
from handoff.cli.table import SHORT_KEY, as_json, moment, table
from handoff.planning.hindsight import NOT_REHEARSED, Hindsight, rehearse
from handoff.rules.file import load

PEOPLE = ("newly_included", "no_longer_included", "same")
LONGEST_DAYS = 3_650


def _days(given: str) -> int:
    if not given.isdecimal() or not 1 <= int(given) <= LONGEST_DAYS:
        raise argparse.ArgumentTypeError(f"{given!r} is no number of days from 1 to {LONGEST_DAYS}")
    return int(given)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="RULE_FILE", help="the changed rule; its id says which rule it was")
    parser.add_argument("--days", type=_days, required=True, metavar="N", help="moments of the last N days")
    parser.add_argument("--show-contacts", action="store_true", help="also print the keys of the people")
    add_ledger(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    rule = load(arguments.file).rule

    async def work(engine: AsyncEngine) -> list[Hindsight]:
        return await rehearse(engine, rule, arguments.days)

    found = with_ledger(arguments, work)
    if arguments.json:
        occasions = [_document(one, arguments.show_contacts) for one in found]
        totals = {name: sum(one[name] for one in occasions) for name in PEOPLE}
        print(as_json({
            "rule": rule.id, "days": arguments.days, "occasions": occasions, "totals": totals,
            "not_rehearsed": NOT_REHEARSED,
        }))  # fmt: skip
    else:
        print(_words(found, arguments.show_contacts))
    return 0


def _document(one: Hindsight, show_contacts: bool) -> dict[str, Any]:
    document = asdict(one) | {name: len(getattr(one, name)) for name in PEOPLE}
    moved = one.due_before and one.due_after and (one.due_after - one.due_before).total_seconds()
    people = {name: list(getattr(one, name)) for name in PEOPLE}
    return document | {"moved_seconds": moved} | ({"contacts": people} if show_contacts else {})


def _words(found: list[Hindsight], show_contacts: bool) -> str:
    if not found:
        return "No occasion of these days is known; there is nothing to compare."
    head = ("OCCASION", "THEN", "DUE THEN", "DUE NOW", "NEW", "NO LONGER", "SAME")
    rows = [
        (
            one.title or one.occasion,
            one.state,
            moment(one.due_before),
            moment(one.due_after) or "does not match",
            *(len(getattr(one, name)) for name in PEOPLE),
        )
        for one in found
    ]
    lines = [table(head, rows)]
    for one in found:
        lines += [f"{one.title or one.occasion}: {words}" for words in (*_steps(one), *one.missing)]
        if show_contacts:
            lines += [f"  {name.replace('_', ' ')}: {_keys(getattr(one, name))}" for name in PEOPLE]
    return "\n".join([*lines, f"Not rehearsed: {NOT_REHEARSED}."])


def _keys(keys: list[str]) -> str:
    return " ".join(key[:SHORT_KEY] for key in keys) or "nobody"


def _steps(one: Hindsight) -> list[str]:
    if one.steps is None:
        return []
    lines = [f"step added: {step}" for step in one.steps.added]
    lines += [f"step removed: {step}" for step in one.steps.removed]
    return lines + (["the steps come in another order"] if one.steps.reordered else [])


REHEARSE = Command(
    "rehearse", "Show what a changed rule would have done differently; nothing is sent.", _add_options, _run
)
