"""Insightly's three ways to write a moment (contract: insightly.md 1.5); inside, moments are whole unix seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime

RECORD_FORMAT = "%Y-%m-%d %H:%M:%S"
DAY_FORMAT = "%Y-%m-%d 00:00:00"
_QUERY = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def record_text(moment: int) -> str:
    """Return ``YYYY-MM-DD HH:MM:SS``, UTC, as records show it."""
    return datetime.fromtimestamp(moment, UTC).strftime(RECORD_FORMAT)


def day_text(moment: int) -> str:
    """Return the UTC day with ``00:00:00`` (assumed: which zone's day it is, is not documented)."""
    return datetime.fromtimestamp(moment, UTC).strftime(DAY_FORMAT)


def webhook_text(moment: int) -> str:
    """Return ``/Date(ms-0800)/`` as workflow webhooks write it; the number is UTC whatever the suffix says."""
    return f"/Date({moment * 1000}-0800)/"


def query_moment(text: str) -> int:
    """Return the second that ``2026-04-09T16:58:14Z`` names; fractions are cut off.

    :raises ValueError: for anything else, the format of the records among it.
    """
    if _QUERY.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not ISO 8601 with T and a zone")
    return int(datetime.fromisoformat(text).timestamp())
