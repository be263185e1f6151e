"""``handoff webhooks``: what was pushed here, and what became of it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.cli.command import Command
from handoff.cli.ledger import add_json, add_ledger, with_ledger
from handoff.cli.table import as_json, moment, table
from handoff.ledger import webhook_counts
from handoff.ledger.webhook_counts import Pushed

DAYS = 7
HEAD = ("ACCOUNT", "ACCEPTED", "REPEATED", "REFUSED", "WAITING", "LAST")


def _add_options(parser: argparse.ArgumentParser) -> None:
    help_ = f"count the last so many days in UTC, today included ({DAYS})"
    parser.add_argument("--days", type=int, default=DAYS, metavar="NUMBER", help=help_)
    add_ledger(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    async def read(engine: AsyncEngine) -> list[Pushed]:
        async with engine.connect() as connection:
            return await webhook_counts.read(connection, min(max(arguments.days, 1), 36_500))

    found = with_ledger(arguments, read)
    print(as_json({"days": arguments.days, "accounts": found}) if arguments.json else as_text(found))
    return 1 if any(pushed.problems for pushed in found) else 0


def as_text(found: Sequence[Pushed]) -> str:
    """Return what was pushed, for people."""
    if not found:
        return "Nothing was pushed here."
    return table(HEAD, [_cells(pushed) for pushed in found])


def _cells(pushed: Pushed) -> Sequence[object]:
    refused = ", ".join(f"{reason}: {count}" for reason, count in sorted(pushed.refused.items()))
    waiting = f"{pushed.waiting} ({pushed.problems} cannot be recorded)" if pushed.problems else pushed.waiting
    return pushed.account, pushed.accepted, pushed.repeated, refused, waiting, moment(pushed.last_at)


WEBHOOKS = Command("webhooks", "Show what other systems pushed here, and what was refused.", _add_options, _run)
