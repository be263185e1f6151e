"""The three ways in which Insightly writes times (insightly.md 1.5 and 1.9)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

NONE = "0000-00-00"
"""What a date begins with that was never set (1.5)."""
WEBHOOK = re.compile(r"/Date\((-?\d{1,15})(?:[+-]\d{4})?\)/")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment_of(text: str | None) -> datetime | None:
    """Return the moment (UTC) of a record's time, ``YYYY-MM-DD HH:MM:SS`` without a zone; ``None`` for none.

    :raises ValueError: it cannot be read.
    """
    found = _read(text)
    if found is None:
        return None
    try:
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError("a time outside the calendar") from error


def day_of(text: str | None) -> date | None:
    """Return the day of a record's date, which is written like a time whose zone is not known; ``None`` for none.

    :raises ValueError: it cannot be read.
    """
    found = _read(text)
    return found.date() if found else None


def query_text(moment: datetime) -> str:
    """Return an aware moment as query strings want it, ``2026-04-09T16:58:14Z``; fractions of a second are left out.

    :raises ValueError: the moment has no zone.
    """
    if moment.tzinfo is None:
        raise ValueError("a moment without a zone")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def webhook_moment(text: str) -> datetime:
    """Return the moment (UTC) of ``/Date(1489132800000-0800)/``: milliseconds UTC, the offset is for display only.

    :raises ValueError: it cannot be read.
    """
    found = WEBHOOK.fullmatch(text.strip())
    if found is None:
        raise ValueError("not a time like /Date(1489132800000-0800)/")
    try:
        return EPOCH + timedelta(milliseconds=int(found[1]))
    except OverflowError as error:
        raise ValueError("a time outside the calendar") from error


def _read(text: str | None) -> datetime | None:
    if text is None or not text.strip() or text.strip().startswith(NONE):
        return None
    return datetime.fromisoformat(text.strip())
