"""``handoff forecast``: whether the coming batches will be on time."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.cli.command import Command
from handoff.cli.ledger import add_json, add_ledger, with_ledger
from handoff.cli.table import as_json, moment, table
from handoff.delivery.looking_ahead import Prospect, look

DAYS = 7
HEAD = ("BATCH", "RULE", "OCCASION", "DUE", "LISTED", "FORECAST")


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rule", nargs="?", metavar="RULE", help="id of one rule (all)")
    parser.add_argument("--days", type=int, default=DAYS, metavar="N", help=f"how far to look ahead ({DAYS})")
    add_ledger(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    async def read(engine: AsyncEngine) -> list[Prospect]:
        async with engine.connect() as connection:
            return await look(connection, timedelta(days=max(1, arguments.days)))

    found = [one for one in with_ledger(arguments, read) if arguments.rule in {None, one.ahead.rule.id}]
    if arguments.json:
        print(as_json({"batches": [_document(one) for one in found]}))
    elif found:
        print(table(HEAD, map(_row, found)))
    else:
        print(f"No batch waits for a moment in the next {arguments.days} days.")
    return 1 if any(one.outlook.moved for one in found) else 0


def _row(one: Prospect) -> tuple[object, ...]:
    listed: object = one.ahead.listed if one.ahead.read_at else "not read yet"
    return (
        one.ahead.batch_id, one.ahead.rule.id, one.ahead.known.occasion.title, moment(one.ahead.due_at), listed,
        _words(one),
    )  # fmt: skip


def _words(one: Prospect) -> str:
    if one.ahead.read_at is None:
        return "not known before the list is read, a day ahead at the earliest"
    unknown = f"; limits not known yet of {', '.join(one.unknown)}" if one.unknown else ""
    return one.outlook.in_words() + unknown


def _document(one: Prospect) -> dict[str, Any]:
    ahead, outlook = one.ahead, one.outlook
    return {
        "batch_id": ahead.batch_id,
        "rule_id": ahead.rule.id,
        "occasion": ahead.known.occasion.key,
        "title": ahead.known.occasion.title,
        "due_at": ahead.due_at,
        "listed": ahead.listed if ahead.read_at else None,
        "read_at": ahead.read_at,
        "requests": dict(outlook.need.requests),
        "account": outlook.account,
        "rate": outlook.rate,
        "seconds": outlook.seconds,
        "begins_at": outlook.begins_at,
        "ends_at": outlook.ends_at,
        "early_seconds": outlook.early.total_seconds(),
        "late_seconds": outlook.late.total_seconds() if outlook.ends_at else None,
        "quota_ends_at": outlook.used_up_at,
        "moved": outlook.moved,
        "limits_not_known": list(one.unknown),
        "words": _words(one),
    }


FORECAST = Command("forecast", "Foresee whether the coming batches will be on time.", _add_options, _run)
