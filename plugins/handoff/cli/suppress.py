"""``handoff suppress``: let somebody get no survey and no advertising any more, or lift that."""

from __future__ import annotations

import argparse

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.cli.command import Command
from handoff.cli.ledger import add_json, add_ledger, with_ledger
from handoff.cli.table import as_json
from handoff.cli.whom import HELP, whole_key
from handoff.consent import ALL, CHANNELS, REASONS
from handoff.errors import HandoffError
from handoff.ledger import suppressions


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("contact", metavar="CONTACT", help=HELP)
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--reason", choices=[reason for reason in REASONS if reason != "erased"], help="why")
    choice.add_argument("--lift", action="store_true", help="let the person get messages again; needs --because")
    parser.add_argument("--channel", choices=[*CHANNELS, ALL], help="default: all; with --lift every one")
    parser.add_argument("--because", default="", metavar="TEXT", help="who decided so, and why")
    add_ledger(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    because = arguments.because.strip()
    if arguments.lift and not because:
        raise HandoffError("give --because: who decided to lift it, and why; it is kept as the proof")

    async def decide(engine: AsyncEngine) -> tuple[str, int]:
        async with engine.begin() as connection:
            key = await whole_key(connection, arguments.contact)
            if arguments.lift:
                return key, await suppressions.lift(connection, key, because, channel=arguments.channel)
            channel, source = arguments.channel or ALL, because or "handoff suppress"
            return key, int(await suppressions.add(connection, key, channel, arguments.reason, source))

    key, changed = with_ledger(arguments, decide)
    if arguments.json:
        print(as_json({"contact": key, "lifted" if arguments.lift else "suppressed": changed}))
    else:
        print(f"{key}: {_words(arguments, changed)}")
    return 1 if arguments.lift and not changed else 0


def _words(arguments: argparse.Namespace, changed: int) -> str:
    if not arguments.lift:
        return f"suppressed ({arguments.reason})" if changed else "was suppressed so already"
    return f"lifted: {changed}" if changed else "there was nothing to lift"


SUPPRESS = Command("suppress", "Let somebody get no survey and no advertising, or lift that.", _add_options, _run)
