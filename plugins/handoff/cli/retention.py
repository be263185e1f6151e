"""``handoff retention``: how long data is kept, and what is older now."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import asdict

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.cli.command import Command
from handoff.cli.ledger import add_json, add_ledger, with_ledger
from handoff.cli.table import as_json, table
from handoff.ledger import retention
from handoff.ledger.retention import Periods


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--apply", action="store_true", help="remove it now instead of showing how much it is")
    add_ledger(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    periods = Periods.from_environment()

    async def look(engine: AsyncEngine) -> dict[str, int]:
        async with engine.connect() as connection:
            return await retention.due(connection, periods)

    async def remove(engine: AsyncEngine) -> dict[str, int]:
        removed: Counter[str] = Counter(dict.fromkeys(asdict(periods), 0))
        while True:
            async with engine.begin() as connection:
                some = await retention.apply(connection, periods)
            if not any(some.values()):
                return dict(removed)
            removed.update(some)

    found = with_ledger(arguments, remove if arguments.apply else look)
    rows = [(kind, days, found[kind]) for kind, days in asdict(periods).items()]
    if arguments.json:
        kinds = [dict(zip(("kind", "days", "rows"), row, strict=True)) for row in rows]
        print(as_json({"applied": arguments.apply, "kinds": kinds}))
    else:
        head = ("KIND", "KEPT FOR DAYS", "REMOVED" if arguments.apply else "OLDER NOW")
        print(table(head, rows))
    return 0


RETENTION = Command("retention", "Show how long data is kept, or remove what is older.", _add_options, _run)
