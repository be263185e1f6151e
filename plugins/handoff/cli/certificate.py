"""``handoff certificate``: for one occasion and each rule, listed = handled + excluded + pending."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.cli.command import Command
from handoff.cli.ledger import add_json, add_ledger, with_ledger
from handoff.cli.table import as_json, moment, table
from handoff.errors import LedgerError
from handoff.ledger import certificates
from handoff.ledger.certificates import Count, OccasionBatches

HEAD = ("RULE", "STATE", "DUE", "LISTED", "= HANDLED", "+ EXCLUDED", "+ PENDING", "EFFECTS", "COMPARED", "CERTIFICATE")

Found = list[tuple[OccasionBatches, list[Count]]]


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "occasion", metavar="OCCASION", help="the source's key of the occasion, or its id in the ledger"
    )
    add_ledger(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    async def read(engine: AsyncEngine) -> Found:
        async with engine.connect() as connection:
            found = await certificates.occasions_named(connection, arguments.occasion)
            return [(one, [await certificates.count(connection, number) for number in one.batch_ids]) for one in found]

    found = with_ledger(arguments, read)
    if not found:
        raise LedgerError(
            f"the ledger knows no occasion {arguments.occasion}; give the source's key, or the ledger's id"
        )
    print(as_json(_document(found)) if arguments.json else "\n\n".join(_text(*one) for one in found))
    return 0 if all(counted.even for _, counts in found for counted in counts) else 1


def _document(found: Found) -> dict[str, Any]:
    return {
        "even": all(counted.even for _, counts in found for counted in counts),
        "occasions": [
            {
                "id": one.id,
                "source": one.source,
                "account": one.account,
                "key": one.key,
                "title": one.title,
                "cancelled": one.cancelled,
                "certificates": [counted.figures() for counted in counts],
            }
            for one, counts in found
        ],
    }


def _text(one: OccasionBatches, counts: list[Count]) -> str:
    cancelled = ", cancelled" if one.cancelled else ""
    head = f"{one.title} ({one.source}, {one.account}, {one.key}; ledger id {one.id}{cancelled})"
    return f"{head}\n{table(HEAD, map(_row, counts)) if counts else 'No rule waits for it.'}"


def _row(counted: Count) -> tuple[object, ...]:
    excluded = f" ({_parts(counted.excluded)})" if counted.excluded else ""
    put_off = f" (put off until {moment(counted.put_off_until)})" if counted.put_off_until else ""
    red = f"RED: {counted.unaccounted} unaccounted for"
    return (
        counted.rule_id, counted.state, moment(counted.due_at), counted.listed, counted.handled,
        f"{sum(counted.excluded.values())}{excluded}", counted.pending, _parts(counted.effects),
        f"{moment(counted.compared_at)}{put_off}", "even" if counted.even else red,
    )  # fmt: skip


def _parts(figures: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(figures.items()))


CERTIFICATE = Command(
    "certificate", "Show an occasion's certificates: listed = handled + excluded + pending.", _add_options, _run
)
