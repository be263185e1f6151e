"""``handoff resolve``: decide about something held, or drop what was refused or waits."""

from __future__ import annotations

import argparse
import re

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.cli.command import Command
from handoff.cli.ledger import add_json, add_ledger, with_ledger
from handoff.cli.table import as_json
from handoff.ledger import decisions
from handoff.ledger.decisions import Decided, Decision, Subject


def _subject(text: str) -> Subject:
    found = re.fullmatch(r"(?:(effect|batch|lane):)?([1-9][0-9]{0,17})", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no effect such as 4711, and no batch:12 or lane:17")
    return Subject(found[1] or "effect", int(found[2]))


def _add_options(parser: argparse.ArgumentParser) -> None:
    help_ = "what is decided about: the id of an effect, or batch:ID, or lane:ID (see handoff held, replay, pending)"
    parser.add_argument("subjects", nargs="+", type=_subject, metavar="EFFECT", help=help_)
    choice = parser.add_mutually_exclusive_group(required=True)
    for option, decision, words in (
        ("--sent", Decision.SENT, "it did have its effect; go on with the next step"),
        ("--send-again", Decision.SEND_AGAIN, "send it, however late it is; if it was sent before, it comes twice"),
        ("--drop", Decision.DROP, "leave it and the later steps of this handoff; a batch that waits too"),
    ):
        choice.add_argument(option, dest="decision", action="store_const", const=decision, help=words)
    add_ledger(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    async def decide(engine: AsyncEngine) -> list[Decided]:
        async with engine.begin() as connection:
            return await decisions.decide(connection, arguments.subjects, arguments.decision)

    decided = with_ledger(arguments, decide)
    if arguments.json:
        print(as_json({"decision": arguments.decision, "resolved": list(map(_document, decided))}))
    else:
        print("\n".join(map(_words, decided)))
    return 0


def _document(one: Decided) -> dict[str, object]:
    return {
        "kind": one.subject.kind, "id": one.subject.id, "changed": one.changed, "state": one.state, "rest": one.rest,
    }  # fmt: skip


def _words(one: Decided) -> str:
    if not one.changed:
        return f"{one.subject.kind} {one.subject.id}: decided before, nothing to do; it is {one.state}"
    steps = f"; {one.rest} later step{'' if one.rest == 1 else 's'} of the handoff with it" if one.rest else ""
    return f"{one.subject.kind} {one.subject.id}: {one.state} now{steps}"


RESOLVE = Command("resolve", "Decide about something held: sent, send again, or drop.", _add_options, _run)
