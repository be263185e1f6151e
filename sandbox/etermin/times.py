"""eTermin's ways to write a moment: local without an offset, UTC without an offset, compact (contract: 2.2 to 2.4).

Local times are in the account's zone. A local time that exists twice is sent as it is; only its UTC twin tells
which one is meant. One that is received means the earlier of the two (assumed).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

WINDOWS_ZONES = {
    "W. Europe Standard Time": "Europe/Berlin",
    "Central Europe Standard Time": "Europe/Budapest",
    "Romance Standard Time": "Europe/Paris",
    "GMT Standard Time": "Europe/London",
    "Eastern Standard Time": "America/New_York",
    "UTC": "UTC",
}
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MINUTE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d")


def zone_named(name: str) -> ZoneInfo:
    """Return the zone with an IANA or one of a few Windows names.

    :raises ValueError: when there is none.
    """
    try:
        return ZoneInfo(WINDOWS_ZONES.get(name, name))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone {name!r}") from error


def iso_text(moment: float, zone: tzinfo = UTC) -> str:
    """Return e.g. ``2026-05-10T10:00:00``: no offset, whatever the zone."""
    return datetime.fromtimestamp(int(moment), zone).replace(tzinfo=None).isoformat(timespec="seconds")


def compact_text(moment: float, zone: tzinfo = UTC) -> str:
    """Return e.g. ``20260510 100000``."""
    return datetime.fromtimestamp(int(moment), zone).strftime("%Y%m%d %H%M%S")


def parse_minute(text: str, zone: tzinfo) -> int:
    """Return the second (unix) of a local ``yyyy-mm-dd HH:MM``.

    :raises ValueError: when it is none.
    """
    if not _MINUTE.fullmatch(text):
        raise ValueError(f"{text!r} is not yyyy-mm-dd HH:MM")
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp())


def parse_day(text: str, zone: tzinfo) -> int:
    """Return the second (unix) in which a local day ``yyyy-mm-dd`` begins.

    :raises ValueError: when it is none.
    """
    if not _DAY.fullmatch(text):
        raise ValueError(f"{text!r} is not yyyy-mm-dd")
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp())
