"""What a call is for, and so whose share of the day's requests it uses up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from handoff.ledger.quotas import Purpose

Purposes = tuple[Purpose, ...]
"""Whose requests of the day a call may use, the first one first."""
WRITING: Purposes = ("writes",)
FINISHING: Purposes = ("writes", "reserve")
SETTLING: Purposes = ("reserve", "writes")
POLLING: Purposes = ("polling",)
LOOKING: Purposes = ("polling", "reserve")

_purposes: ContextVar[Purposes] = ContextVar("purposes", default=FINISHING)
"""What was begun is finished from the reserve; nothing is begun from it: see ``Limiter.reserve``."""


def purposes_now() -> Purposes:
    """Return what the calls of this task are for."""
    return _purposes.get()


@contextmanager
def spending(purposes: Purposes) -> Iterator[None]:
    """Say what the calls within a block are for."""
    before = _purposes.set(purposes)
    try:
        yield
    finally:
        _purposes.reset(before)
