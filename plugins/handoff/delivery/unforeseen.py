"""Mistakes in a program: told by their kind and place, for what they say may name a contact."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path

from psycopg import Error as DriverError
from sqlalchemy.exc import SQLAlchemyError

from handoff.errors import LedgerError
from handoff.ledger.lanes import OpenEffect

LEDGER_TROUBLE = (LedgerError, SQLAlchemyError, DriverError)
"""They concern every effect: the worker ends."""

log = logging.getLogger(__name__)


def told(error: Exception, effect: OpenEffect) -> str:
    """Log where an effect met an error that nobody foresaw, and return its kind and place in a few words."""
    return place(error, f"effect {effect.id}, {effect.step} at {effect.account}")


def place(error: Exception, where: str) -> str:
    """Log where something met an error that nobody foresaw, and return its kind and place in a few words.

    :param where: what met it, for the log.
    """
    kind, frames = type(error).__name__, traceback.extract_tb(error.__traceback__)
    way = "".join(traceback.format_list(frames))
    log.error("%s: %s; the way there:\n%s", where, kind, way)
    last = frames[-1]
    return f"{kind} in {Path(last.filename).name} line {last.lineno}; the task's log has more"
