"""``handoff thaw``: let go on what was frozen; everything is judged again before it goes out."""

from __future__ import annotations

import argparse

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.cli.command import Command
from handoff.cli.ledger import add_json, add_ledger, with_ledger
from handoff.cli.table import as_json
from handoff.errors import HandoffError
from handoff.ledger import freezes


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scope", metavar="SCOPE", help="what was frozen: all, rule:RULE_ID or account:CONNECTION_ID")
    add_ledger(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    async def let_go(engine: AsyncEngine) -> list[str]:
        async with engine.begin() as connection:
            if not await freezes.thaw(connection, arguments.scope):
                raise HandoffError(f"{arguments.scope} is not frozen; see: handoff frozen")
        async with engine.connect() as connection:
            return [found.scope for found in await freezes.frozen(connection)]

    left = with_ledger(arguments, let_go)
    if arguments.json:
        print(as_json({"thawed": arguments.scope, "still_frozen": left}))
    else:
        print(f"Thawed: {arguments.scope}. " + (f"Still frozen: {', '.join(left)}." if left else "Nothing is frozen."))
    return 0


THAW = Command("thaw", "Let go on what was frozen.", _add_options, _run)
