"""``handoff nps``: what surveys were answered, and what the answers add up to."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from datetime import date
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.cli.command import Command
from handoff.cli.ledger import add_json, add_ledger, with_ledger
from handoff.cli.table import as_json, table
from handoff.ledger import nps
from handoff.ledger.nps import Line

COUNTS = ("ASKED", "ANSWERED", "RATE", "PROMOTERS", "PASSIVES", "DETRACTORS", "NPS")


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("survey", nargs="?", metavar="SURVEY", help="name of one survey (all)")
    parser.add_argument("--by", choices=("week", "month", "rule"), help="a line for each rule, and its weeks or months")
    parser.add_argument(
        "--since", type=date.fromisoformat, metavar="DATE", help="count from this day on, e.g. 2026-01-01"
    )
    add_ledger(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    async def read(engine: AsyncEngine) -> tuple[list[Line], list[str]]:
        async with engine.connect() as connection:
            found = await nps.lines(connection, survey=arguments.survey, by=arguments.by, since=arguments.since)
            return found, await nps.surveys(connection)

    found, surveys = with_ledger(arguments, read)
    known = arguments.survey is None or arguments.survey in surveys
    if arguments.json:
        print(as_json({"known": known, "lines": [_document(line) for line in found]}))
    elif not known:
        there = ", ".join(surveys) or "none"
        print(f"Nobody was asked by a survey {arguments.survey}; the surveys there are: {there}")
    elif not found:
        print("No answers and nobody asked.")
    else:
        print(_text(found, arguments.by))
    return 0 if known else 1


def _document(line: Line) -> dict[str, Any]:
    counted = line.figures
    return {
        "survey": line.survey,
        "rule": line.rule,
        "since": line.since.isoformat() if line.since else None,
        **asdict(counted),
        "answered": counted.answered,
        "response_rate": counted.response_rate,
        "nps": counted.nps,
    }


def _text(found: list[Line], by: str | None) -> str:
    head = ["SURVEY", *([by.upper()] if by in {"week", "month"} else []), *(["RULE"] if by else []), *COUNTS]
    return table(head, [_cells(line, by) for line in found])


def _cells(line: Line, by: str | None) -> list[object]:
    counted, rate = line.figures, line.figures.response_rate
    since = line.since.strftime("%Y-%m" if by == "month" else "%Y-%m-%d") if line.since else None
    return [
        line.survey, *([since] if since else []), *([line.rule or "(none)"] if by else []), counted.asked,
        counted.answered, "" if rate is None else f"{rate:.0%}", counted.promoters, counted.passives,
        counted.detractors, "" if counted.nps is None else f"{counted.nps:+d}" if counted.nps else "0",
    ]  # fmt: skip


NPS = Command("nps", "Show answers to surveys: response rate and NPS.", _add_options, _run)
