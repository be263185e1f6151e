"""How Webinaris writes times: ``dd.mm.yyyy hh:mm`` in German local time (webinaris.md 1.1)."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

ZONE = "Europe/Berlin"
FORMAT = "%d.%m.%Y %H:%M"


def moment_of(text: str, zone: str = ZONE) -> datetime:
    """Return the moment (UTC) of a local time.

    A local time says nothing about daylight saving. One that comes twice, such as 02:30 on 25.10.2026,
    is taken as the first of the two; one that the clocks skip, such as 02:30 on 28.03.2027, is moved
    forward by the gap, to 03:30.

    :param zone: IANA name (see :func:`handoff.times.timing.known_zone`).
    :raises ValueError: when the text cannot be read.
    """
    try:
        # fold=0 does both: the first of two times, and within a gap the offset from before it.
        return datetime.strptime(text.strip(), FORMAT).replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time outside the calendar") from error


def local_text(moment: datetime, zone: str = ZONE) -> str:
    """Return an aware moment as Webinaris writes it."""
    return moment.astimezone(ZoneInfo(zone)).strftime(FORMAT)
