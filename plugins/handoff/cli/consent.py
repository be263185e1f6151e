"""``handoff consent``: what somebody agreed to or objected to, and adding to it."""

from __future__ import annotations

import argparse
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.cli.command import Command
from handoff.cli.consent_report import Report, as_document, as_text, report
from handoff.cli.ledger import add_json, add_ledger, with_ledger
from handoff.cli.table import as_json
from handoff.cli.whom import HELP, whole_key
from handoff.consent import CHANNELS, PURPOSES, Subject
from handoff.consent_file import BadLine, moment_of, now, read_consents
from handoff.errors import HandoffError
from handoff.ledger import consents, suppressions
from handoff.ledger.consents import Entry

SAYINGS = {
    "grant": ("granted", "the person agreed; needs --wording and --source"),
    "withdraw": ("withdrawn", "the person took the consent back"),
    "object": ("objected", "the person objected to such messages"),
    "notice": ("notice_given", "the customer was told of the right to object; needs --wording and --source"),
}
DOUBLE_OPT_IN = "double opt-in"


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("contact", metavar="CONTACT", nargs="?", help=HELP)
    choice = parser.add_mutually_exclusive_group()
    for option, (_, words) in SAYINGS.items():
        choice.add_argument(f"--{option}", choices=PURPOSES, metavar="PURPOSE", help=f"{words}: survey or marketing")
    choice.add_argument("--import", dest="file", type=Path, metavar="FILE", help="a CSV file with consents of many")
    parser.add_argument("--wording", default="", metavar="TEXT", help="what was agreed to, or told, in full")
    parser.add_argument("--source", default="", metavar="TEXT", help="where it was said: a form, a system, a call")
    parser.add_argument("--channel", choices=CHANNELS, default="email", help="default: email")
    parser.add_argument("--at", metavar="MOMENT", help="when, as 2026-03-24T18:00:00+01:00 (default: now)")
    doi = "with --grant: confirmed by a fresh double opt-in; lifts older suppressions of the channel"
    parser.add_argument("--double-opt-in", action="store_true", help=doi)
    add_ledger(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.file:
        return _import(arguments)
    if not arguments.contact:
        raise HandoffError("whose? Give an e-mail address or a contact key, or --import FILE")
    said = next((option for option in SAYINGS if getattr(arguments, option)), None)

    async def work(engine: AsyncEngine) -> Report:
        async with engine.begin() as connection:
            key = await whole_key(connection, arguments.contact)
            if said is not None:
                entry = _entry(arguments, key, said)
                if not await consents.add(connection, [entry]):
                    raise HandoffError("not added: the log has it already, or the person was erased")
                if entry.what == "confirmed":
                    channel = entry.subject.channel
                    await suppressions.lift(connection, key, DOUBLE_OPT_IN, channel=channel, before=entry.at)
            return await report(connection, key)

    found = with_ledger(arguments, work)
    print(as_json(as_document(found)) if arguments.json else as_text(found))
    return 0 if found.known else 1


def _entry(arguments: argparse.Namespace, key: str, said: str) -> Entry:
    what, _ = SAYINGS[said]
    if arguments.double_opt_in and said != "grant":
        raise HandoffError("--double-opt-in goes with --grant")
    if said in {"grant", "notice"} and not (arguments.wording.strip() and arguments.source.strip()):
        raise HandoffError(f"--{said} needs --wording and --source: without them it proves nothing")
    try:
        at = moment_of(arguments.at) if arguments.at else now()
    except BadLine as bad:
        raise HandoffError(f"--{bad}") from None
    subject = Subject(key, arguments.channel, getattr(arguments, said))
    what = "confirmed" if arguments.double_opt_in else what
    return Entry(subject, what, at, arguments.wording.strip(), arguments.source.strip() or "handoff consent")


def _import(arguments: argparse.Namespace) -> int:
    if arguments.contact:
        raise HandoffError("--import takes no CONTACT: the file names them")
    file = read_consents(arguments.file)

    async def add(engine: AsyncEngine) -> int:
        async with engine.begin() as connection:
            return await consents.add(connection, file.entries)

    added = with_ledger(arguments, add)
    left_out = len(file.entries) - added
    if arguments.json:
        problems = [{"line": line, "words": words} for line, words in file.problems]
        print(as_json({"added": added, "left_out": left_out, "problems": problems}))
    else:
        print(f"added: {added}; left out, because the log has them or the person was erased: {left_out}")
        for line, words in file.problems:
            print(f"line {line}: {words}")
    return 1 if file.problems else 0


CONSENT = Command("consent", "Show what somebody agreed to, or add to it.", _add_options, _run)
