"""``handoff migrate``: create the ledger's tables, or bring them up to date."""

from __future__ import annotations

import argparse

from handoff.cli.command import Command
from handoff.cli.ledger import add_ledger, ledger_url_of
from handoff.ledger.migrating import migrate


def _run(arguments: argparse.Namespace) -> int:
    migrate(ledger_url_of(arguments))
    print("The ledger is up to date.")
    return 0


MIGRATE = Command("migrate", "Create the ledger's tables or bring them up to date.", add_ledger, _run)
