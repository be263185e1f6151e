"""A worker's clock that goes wrong: what the delivery code takes for the time, not what the database does."""

from __future__ import annotations

import sys
import time
from datetime import datetime, timedelta, tzinfo
from typing import Any

ROOMS = ("handoff.delivery.", "handoff.planning.planner", "hooks.webinaris_source")


class _AnyDatetime(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, datetime)


class WrongClock(datetime, metaclass=_AnyDatetime):
    """A ``datetime`` whose ``now`` is off by :attr:`seconds` from :attr:`since` (unix seconds) on."""

    seconds = 0.0
    since = 0.0

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:  # type: ignore[override]
        """Return the wrong time as an ordinary ``datetime``."""
        off = cls.seconds if time.time() >= cls.since else 0.0
        return datetime.now(tz) + timedelta(seconds=off)


def go_wrong(since: float, seconds: float) -> None:
    """Let this process's delivery code read a clock that jumps at a moment (unix seconds)."""
    WrongClock.since, WrongClock.seconds = since, seconds
    for name, module in list(sys.modules.items()):
        if name.startswith(ROOMS) and getattr(module, "datetime", None) is datetime:
            module.datetime = WrongClock  # type: ignore[attr-defined]
