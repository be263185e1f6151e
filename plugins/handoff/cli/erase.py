"""``handoff erase``: remove a person's data from the ledger."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.cli.command import Command
from handoff.cli.ledger import add_json, add_ledger, with_ledger
from handoff.cli.table import as_json
from handoff.errors import HandoffError
from handoff.ledger.erasure import Erasure, erase
from handoff.ledger.people import KEY_DIGITS, address_of, key_of


def _add_options(parser: argparse.ArgumentParser) -> None:
    help_ = f"e-mail address, or contact key ({KEY_DIGITS} hex digits); this cannot be undone"
    parser.add_argument("contact", metavar="CONTACT", help=help_)
    add_ledger(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    key, email = key_of(arguments.contact), address_of(arguments.contact)
    if len(key) < KEY_DIGITS:
        raise HandoffError(f"give the whole key ({KEY_DIGITS} digits): what is erased does not come back")

    async def work(engine: AsyncEngine) -> Erasure:
        async with engine.begin() as connection:
            return await erase(connection, key, email)

    erased = with_ledger(arguments, work)
    print(as_json(asdict(erased)) if arguments.json else _words(erased))
    return 0


def _words(erased: Erasure) -> str:
    if not erased.known:
        return f"{erased.key}: not known here; the key is remembered, so that nothing about this person is taken up"
    lines = [
        f"{erased.key}: erased",
        f"  entries of lists: {erased.entries}, verdicts: {erased.verdicts}, texts with the person: {erased.texts}",
        f"  open effects that were ended: {erased.skipped}",
    ]
    if erased.answers:
        lines.append(f"  answers to surveys that are nobody's now, their ratings count on: {erased.answers}")
    if erased.consents:
        lines.append(f"  lines of the consent log without source and evidence now: {erased.consents}")
    if erased.doubtful:
        lines.append(f"  of these sent before with an unknown outcome: {erased.doubtful}")
    if erased.accounts:
        there = ", ".join(f"{account} ({effects} effects)" for account, effects in erased.accounts.items())
        lines.append(f"  these accounts have or may have the person; erase there as well: {there}")
    return "\n".join(lines)


ERASE = Command("erase", "Remove a person's data; a hashed key stays.", _add_options, _run)
