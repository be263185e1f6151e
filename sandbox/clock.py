"""Moments of the sandbox's world: offsets from its start, and German wall-clock texts."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

BERLIN = ZoneInfo("Europe/Berlin")
CHICAGO_WINTER = timezone(timedelta(hours=-6))
GERMAN_MINUTE = "%d.%m.%Y %H:%M"
GERMAN_SECOND = "%d.%m.%Y %H:%M:%S"

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_OFFSET = re.compile(r"(?P<sign>[+-]?)(?P<parts>(?:\d+(?:\.\d+)?[smhd])+)")
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


class Clock:
    """Wall clock of one world; ``zero`` (unix seconds) is the moment from which its offsets count."""

    def __init__(self) -> None:
        self.zero = time.time()

    @staticmethod
    def now() -> float:
        """Return the current moment in unix seconds."""
        return time.time()

    def rebase(self) -> None:
        """Let the world begin now."""
        self.zero = time.time()

    def at(self, offset: float) -> float:
        """Return the moment (unix seconds) that lies ``offset`` seconds after the start of the world."""
        return self.zero + offset


def parse_offset(value: float | str) -> float:
    """Return seconds for a number or a text such as ``"-10m"``, ``"+25s"``, ``"1h30m"``.

    :raises ValueError: when the text is no offset.
    """
    if isinstance(value, bool):
        raise ValueError("expected seconds or a text such as '-10m'")
    if isinstance(value, int | float):
        return float(value)
    text = value.strip().replace(" ", "")
    if re.fullmatch(r"[+-]?\d+(\.\d+)?", text):
        return float(text)
    match = _OFFSET.fullmatch(text)
    if match is None:
        raise ValueError(f"{value!r} is no offset; write seconds or e.g. '-10m', '+25s', '1h30m', '-2d'")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(match["parts"]))
    return -seconds if match["sign"] == "-" else seconds


def german_minute(moment: float) -> str:
    """Return ``dd.mm.yyyy hh:mm`` in German local time."""
    return datetime.fromtimestamp(moment, BERLIN).strftime(GERMAN_MINUTE)


def german_second(moment: float) -> str:
    """Return ``dd.mm.yyyy hh:mm:ss`` in German local time."""
    return datetime.fromtimestamp(moment, BERLIN).strftime(GERMAN_SECOND)


def chicago(moment: float) -> str:
    """Return ISO 8601 with ActiveCampaign's usual offset, e.g. ``2026-03-01T10:00:00-06:00``."""
    return datetime.fromtimestamp(moment, CHICAGO_WINTER).isoformat(timespec="seconds")
