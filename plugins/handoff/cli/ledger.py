"""The ledger as commands reach it: where it is, and one transaction on it."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.errors import HandoffError, LedgerError
from handoff.ledger.connect import open_ledger_async

Result = TypeVar("Result")
VARIABLE = "HANDOFF_LEDGER_URL"


def add_ledger(parser: argparse.ArgumentParser) -> None:
    """Let a command be told which ledger it works on."""
    parser.add_argument("--url", metavar="URL", help=f"postgresql://... of the ledger (default: ${VARIABLE})")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Let a command print JSON."""
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def ledger_url_of(arguments: argparse.Namespace) -> str:
    """Return the ledger's address. :raises LedgerError: when neither option nor variable gives one."""
    url = arguments.url or os.environ.get(VARIABLE)
    if not url:
        raise LedgerError(f"which ledger? Give --url, or set {VARIABLE}")
    return str(url)


def with_ledger(arguments: argparse.Namespace, work: Callable[[AsyncEngine], Awaitable[Result]]) -> Result:
    """Do some work on the ledger.

    :raises LedgerError: when the ledger cannot be reached or has not been migrated.
    """
    return asyncio.run(_with_ledger(ledger_url_of(arguments), work))


async def _with_ledger(url: str, work: Callable[[AsyncEngine], Awaitable[Result]]) -> Result:
    engine = open_ledger_async(url, connections=2)
    try:
        return await work(engine)
    except HandoffError:
        raise
    except SQLAlchemyError as error:
        raise LedgerError(
            f"the ledger cannot be used ({type(error).__name__}); is its address right, and is it "
            "migrated (handoff migrate)?"
        ) from error
    finally:
        await engine.dispose()
