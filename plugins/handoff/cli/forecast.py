"""``handoff forecast``: whether the coming batches will be on time, and how the requests of the day are planned."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.cli.command import Command
from handoff.cli.ledger import add_json, add_ledger, with_ledger
from handoff.cli.table import as_json, moment, table
from handoff.delivery.looking_ahead import Prospect, look
from handoff.ledger import prospects
from handoff.ledger.prospects import AccountToday
from handoff.ledger.quotas import Purpose

DAYS = 7
HEAD = ("BATCH", "RULE", "OCCASION", "DUE", "LISTED", "FORECAST")
DAY = ("ACCOUNT", "A DAY", "WRITES", "POLLING", "RESERVE", "POLLS", "NEXT POLL")
PURPOSES: tuple[Purpose, ...] = ("writes", "polling", "reserve")


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rule", nargs="?", metavar="RULE", help="id of one rule (all)")
    parser.add_argument("--days", type=int, default=DAYS, metavar="N", help=f"how far to look ahead ({DAYS})")
    add_ledger(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    async def read(engine: AsyncEngine) -> tuple[list[Prospect], list[AccountToday]]:
        async with engine.connect() as connection:
            foreseen = await look(connection, timedelta(days=max(1, arguments.days)))
            return foreseen, [one for one in await prospects.accounts(connection) if one.quota]

    foreseen, planned = with_ledger(arguments, read)
    found = [one for one in foreseen if arguments.rule in {None, one.ahead.rule.id}]
    if arguments.json:
        print(as_json({"batches": [_document(one) for one in found], "accounts": list(map(_day, planned))}))
        return 1 if any(one.outlook.moved for one in found) else 0
    if found:
        print(table(HEAD, map(_row, found)))
    else:
        print(f"No batch waits for a moment in the next {arguments.days} days.")
    if planned:
        print(f"\nRequests of today (UTC), used of planned:\n{table(DAY, map(_day_row, planned))}")
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


def _day(one: AccountToday) -> dict[str, Any]:
    """Return an account's day as a document: the requests of each purpose, planned and used, and how it is polled."""
    shares = {name: one.quota.most(name) for name in PURPOSES} if one.quota else {}
    return {
        "account": one.account,
        "per_day": one.quota.per_day if one.quota else None,
        "planned": shares,
        "used": {name: one.used[name] for name in PURPOSES},
        "pace_seconds": one.polls.pace_seconds if one.polls else None,
        "next_poll_at": one.polls.next_poll_at if one.polls else None,
    }


def _day_row(one: AccountToday) -> tuple[object, ...]:
    day = _day(one)
    shares = [f"{day['used'][name]:,} of {day['planned'][name]:,}" for name in PURPOSES]
    pace = f"{one.polls.pace_seconds:,.0f} s apart or more" if one.polls else ""
    return one.account, f"{day['per_day']:,}", *shares, pace, _next(one)


def _next(one: AccountToday) -> str:
    if one.polls is None:
        return ""
    return moment(one.polls.next_poll_at) if one.polls.next_poll_at > datetime.now(UTC) else "now"


FORECAST = Command(
    "forecast",
    "Foresee whether the coming batches will be on time, and show how the requests of today are planned.",
    _add_options,
    _run,
)
