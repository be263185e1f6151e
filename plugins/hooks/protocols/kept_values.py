"""Whether a field's value that an account shows is the one that it was given."""

from __future__ import annotations

import re
from datetime import datetime

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d\S*")


def same(sent: str, kept: object) -> bool:
    """Compare by content: line ends and outer blanks do not count, and a moment is the same in every zone."""
    one, other = plain(sent), plain(kept)
    if one == other:
        return True
    moment = moment_of(one)
    return moment is not None and moment == moment_of(other)


def plain(value: object) -> str:
    """Return a value as text without outer blanks and carriage returns; nothing is the empty text."""
    return str("" if value is None else value).strip().replace("\r\n", "\n")


def moment_of(text: str) -> datetime | None:
    """Return the moment (aware) that an ISO 8601 text with an offset names, ``None`` for every other text."""
    if not MOMENT.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
