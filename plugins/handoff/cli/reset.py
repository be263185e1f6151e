"""``handoff reset``: let a contact pass through a rule again."""

from __future__ import annotations

import argparse

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.cli.command import Command
from handoff.cli.ledger import add_json, add_ledger, with_ledger
from handoff.cli.rules import rule_named
from handoff.cli.table import as_json
from handoff.cli.whom import HELP, whole_key
from handoff.errors import HandoffError
from handoff.ledger import resets


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("contact", metavar="CONTACT", help=HELP)
    parser.add_argument("rule", metavar="RULE", help="id of the rule")
    parser.add_argument("--by", default="handoff reset", metavar="NAME", help="who decides so (default: handoff reset)")
    parser.add_argument("--because", default="", metavar="TEXT", help="why, for those who find it later")
    add_ledger(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    rule = rule_named(arguments.rule)

    async def work(engine: AsyncEngine) -> tuple[str, int]:
        async with engine.begin() as connection:
            key = await whole_key(connection, arguments.contact)
            before = await resets.handed_over(connection, key, rule.id)
            by, because = arguments.by.strip(), arguments.because.strip()
            if not await resets.add(connection, [key], rule.id, by=by, because=because):
                raise HandoffError("not reset: the person's data was erased, and nobody erased is handed over again")
            return key, before

    key, before = with_ledger(arguments, work)
    if arguments.json:
        print(as_json({"contact": key, "rule": rule.id, "handed_over_before": before, "again": rule.again}))
        return 0
    print(f"{key}: passes through {rule.id} again; {before} earlier handovers do not count any more")
    if rule.again == "per_occasion":
        print("The rule hands over once per occasion anyway, and never twice at the same one.")
    return 0


RESET = Command("reset", "Let a contact pass through a rule again (zurücksetzen).", _add_options, _run)
