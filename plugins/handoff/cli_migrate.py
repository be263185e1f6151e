"""``handoff migrate``: create the ledger's tables, or bring them up to date."""

from __future__ import annotations

import argparse
import os

from handoff.cli_command import Command
from handoff.errors import LedgerError
from handoff.ledger.connect import migrate

VARIABLE = "HANDOFF_LEDGER_URL"


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", metavar="URL", help=f"postgresql://... of the ledger (default: ${VARIABLE})")


def _run(arguments: argparse.Namespace) -> int:
    url = arguments.url or os.environ.get(VARIABLE)
    if not url:
        raise LedgerError(f"which ledger? Give --url, or set {VARIABLE}")
    migrate(url)
    print("The ledger is up to date.")
    return 0


MIGRATE = Command("migrate", "Create the ledger's tables or bring them up to date.", _add_options, _run)
