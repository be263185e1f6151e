"""``handoff pending``: what waits, for its moment or for its turn."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.cli.command import Command
from handoff.cli.ledger import add_json, add_ledger, with_ledger
from handoff.cli.table import SHORT_KEY, as_json, lateness, moment, table
from handoff.ledger import waiting
from handoff.ledger.waiting import Waiting
from handoff.reasons import end_in_words, in_words

MOST = 50
BATCHES = ("BATCH", "RULE", "OCCASION", "DUE", "LATE", "LOOKED AT", "LISTED", "REASON")
EFFECTS = ("RULE", "ACCOUNT", "STEP", "STATE", "EFFECTS", "LANES", "EARLIEST DUE", "LATE")
STANDSTILL = ("SCOPE", "SINCE", "UNTIL", "WHAT", "WHY")
LANES = ("LANE", "GROUP", "NAME", "PLANNED", "SENDING", "UNKNOWN", "HELD", "EARLIEST DUE", "LATE", "GOES ON")


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rule", nargs="?", metavar="RULE", help="id of one rule (all)")
    parser.add_argument("--most", type=int, default=MOST, metavar="N", help=f"batches and lanes to name ({MOST})")
    add_ledger(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    async def read(engine: AsyncEngine) -> Waiting | None:
        async with engine.connect() as connection:
            if arguments.rule and not await waiting.rule_known(connection, arguments.rule):
                return None
            return await waiting.waiting(connection, arguments.rule, max(1, arguments.most))

    found = with_ledger(arguments, read)
    if arguments.json:
        print(as_json(_document(found)))
    elif found is None:
        print(f"Nothing was ever planned with a rule {arguments.rule}; handoff list shows the rules there are.")
    else:
        print("\n\n".join(_text(found)))
    return 1 if found is None else 0


def _document(found: Waiting | None) -> dict[str, Any]:
    if found is None:
        return {
            "known": False,
            "batches": [],
            "batch_count": 0,
            "effects": [],
            "lanes": [],
            "lane_count": 0,
            "standstill": [],
        }
    return {
        "known": True,
        "batches": [_without_total(row) for row in found.batches],
        "batch_count": found.batch_count,
        "effects": [dict(row) for row in found.effects],
        "lanes": [_without_total(row) for row in found.lanes],
        "lane_count": found.lane_count,
        "standstill": [dict(row) for row in found.standstill],
    }


def _without_total(row: RowMapping) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "in_all"}


def _text(found: Waiting) -> Iterator[str]:
    if not found.batches and not found.effects:
        yield "Nothing waits."
        return
    if found.standstill:
        rows = map(_standstill, found.standstill)
        yield f"What stands still: {len(found.standstill)}\n{table(STANDSTILL, rows)}"
    if found.batches:
        yield _titled("Batches that wait for their moment", BATCHES, found.batches, _batch, found.batch_count)
    if found.effects:
        yield _titled("Effects that are open", EFFECTS, found.effects, _effects, len(found.effects))
        yield _titled("Their lanes", LANES, found.lanes, _lane, found.lane_count)


def _standstill(row: RowMapping) -> tuple[object, ...]:
    return row["scope"], moment(row["since"]), moment(row["until"]), row["kind"], row["reason"]


def _titled(title: str, head: tuple[str, ...], rows: list[RowMapping], cells: Any, in_all: int) -> str:
    more = f"\nand {in_all - len(rows)} more (--most N names more)" if in_all > len(rows) else ""
    return f"{title}: {in_all}\n{table(head, map(cells, rows))}{more}"


def _batch(row: RowMapping) -> tuple[object, ...]:
    looked = "now" if row["worked_on"] else moment(row["wake_at"])
    return (
        row["batch_id"], row["rule_id"], row["title"], moment(row["due_at"]), lateness(row["late_seconds"]),
        looked, row["listed"], in_words(row["reason"]),
    )  # fmt: skip


def _effects(row: RowMapping) -> tuple[object, ...]:
    return (
        row["rule_id"], row["account"], row["step"], row["state"], row["effects"], row["lanes"],
        moment(row["due_at"]), lateness(row["late_seconds"]),
    )  # fmt: skip


def _lane(row: RowMapping) -> tuple[object, ...]:
    return (
        row["lane_id"], row["order_group"], row["name"][:SHORT_KEY], row["planned"], row["sending"], row["unknown"],
        row["held_effects"], moment(row["due_at"]), lateness(row["late_seconds"]), _goes_on(row),
    )  # fmt: skip


def _goes_on(row: RowMapping) -> str:
    if row["held"]:
        return f"held: {row['held']}"
    if row["rests"]:
        return f"when {end_in_words(row['rests'])}"
    return "is worked in" if row["worked_on"] else moment(row["ready_at"])


PENDING = Command("pending", "Show what waits: batches, open effects, their lanes.", _add_options, _run)
