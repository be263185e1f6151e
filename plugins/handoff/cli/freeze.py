"""``handoff freeze``: stop everything, one rule, or one target account, within seconds."""

from __future__ import annotations

import argparse

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.cli.command import Command
from handoff.cli.frozen import as_text
from handoff.cli.ledger import add_json, add_ledger, with_ledger
from handoff.cli.table import as_json
from handoff.ledger import freezes
from handoff.ledger.freezes import Frozen


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scope", metavar="SCOPE", help="all, rule:RULE_ID or account:CONNECTION_ID")
    parser.add_argument("--reason", required=True, help="why, for those who find it frozen")
    add_ledger(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    async def stop(engine: AsyncEngine) -> list[Frozen]:
        async with engine.begin() as connection:
            await freezes.freeze(connection, arguments.scope, arguments.reason)
        async with engine.connect() as connection:
            return [found for found in await freezes.frozen(connection) if found.scope == arguments.scope]

    found = with_ledger(arguments, stop)
    print(as_json(found) if arguments.json else as_text(found))
    return 0


FREEZE = Command("freeze", "Stop everything, a rule or a target account until it is thawed.", _add_options, _run)
