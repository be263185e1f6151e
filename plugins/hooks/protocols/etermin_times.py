"""How eTermin writes times: local times of the account without an offset, with twins in UTC (etermin.md 2.3, 2.4)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache
from zoneinfo import ZoneInfo

from babel.core import get_global

from handoff.times.timing import known_zone

ZONE = "Europe/Berlin"
COMPACT = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})\s*([0-9]{2})([0-9]{2})([0-9]{2})?")
"""``yyyyMMdd HHmmss``, the variables form of the Web Push; readers strip the blank (2.4)."""
NEVER_YEAR = 1
"""``0001-01-01T00:00:00`` is the empty time of the vendor's platform."""


def moment_of(local: str, utc: str, zone: str) -> datetime | None:
    """Return the moment (UTC) of a time, ``None`` when neither of its two forms is given.

    The UTC twin decides: only it says which of two hours of the same name is meant. Without it, a local time that
    comes twice is the first of the two, and one that the clocks skip is moved forward by the gap.

    :param local: local time of the account, or with an offset of its own. :param utc: the same in UTC.
    :param zone: IANA name, see :func:`zone_of`. :raises ValueError: a form that counts cannot be read.
    """
    told = _read(utc)
    if told is not None:
        return _in_utc(told, UTC)
    found = _read(local)
    return None if found is None else _in_utc(found, ZoneInfo(zone))


def zone_of(name: str) -> str:
    """Return the IANA name of a time zone. :param name: IANA or Windows name, as on eTermin's booking pages (2.4).

    :raises ValueError: it is neither.
    """
    given = " ".join(name.split())
    found = _windows_zones().get(given.casefold(), given)
    if not known_zone(found):
        raise ValueError("neither an IANA time zone such as Europe/Zurich nor a Windows one")
    return found


def day_text(day: date) -> str:
    """Return a day as queries want it, ``yyyy-mm-dd``."""
    return day.isoformat()


def local_day(moment: datetime, zone: str, later: int = 0) -> date:
    """Return the day of an aware moment in the account's zone, or one so many days later."""
    return moment.astimezone(ZoneInfo(zone)).date() + timedelta(days=later)


def local_minute(moment: datetime, zone: str) -> str:
    """Return an aware moment as writing calls want it, ``yyyy-mm-dd HH:MM`` in the account's zone (2.3)."""
    return moment.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")


@cache
def _windows_zones() -> dict[str, str]:
    return {name.casefold(): zone for name, zone in get_global("windows_zone_mapping").items()}


def _read(text: str) -> datetime | None:
    words = text.strip()
    if not words:
        return None
    compact = COMPACT.fullmatch(words)
    found = _iso("{}-{}-{}T{}:{}:{}".format(*compact.groups("00")) if compact else words)
    return None if found.year == NEVER_YEAR else found


def _iso(words: str) -> datetime:
    if not words.isascii():
        raise ValueError("not a time")
    return datetime.fromisoformat(words)


def _in_utc(found: datetime, zone: tzinfo) -> datetime:
    try:
        # fold=0: the first of two times, and within a gap the offset from before it.
        aware = found if found.tzinfo else found.replace(tzinfo=zone, fold=0)
        return aware.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time outside the calendar") from error
