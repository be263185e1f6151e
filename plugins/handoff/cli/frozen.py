"""``handoff frozen``: what is frozen, and what each freeze holds."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.cli.command import Command
from handoff.cli.ledger import add_json, add_ledger, with_ledger
from handoff.cli.table import as_json, moment, table
from handoff.ledger import freezes
from handoff.ledger.freezes import Frozen


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_ledger(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    async def read(engine: AsyncEngine) -> list[Frozen]:
        async with engine.connect() as connection:
            return await freezes.frozen(connection)

    found = with_ledger(arguments, read)
    print(as_json(found) if arguments.json else as_text(found))
    return 1 if found else 0


def as_text(found: Sequence[Frozen]) -> str:
    """Return freezes and what they hold for people."""
    return "\n\n".join(map(_freeze, found)) if found else "Nothing is frozen."


def _freeze(found: Frozen) -> str:
    rows = [(row["rule_id"], "", f"{row['batches']} waiting batches") for row in found.batches]
    rows += [(row["rule_id"], row["account"], f"{row['effects']} effects") for row in found.effects]
    holds = table(("RULE", "ACCOUNT", "HOLDS"), rows) if rows else "It holds nothing now."
    return f"Frozen: {found.scope}, since {moment(found.at)}: {found.reason}\n{holds}"


FROZEN = Command("frozen", "Show what is frozen and what waits because of it.", _add_options, _run)
