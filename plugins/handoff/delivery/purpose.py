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

_sparing: ContextVar[bool] = ContextVar("sparing", default=False)


def purposes_now() -> Purposes:
    """Return what the calls of this task are for."""
    return _purposes.get()


@contextmanager
def spending(purposes: Purposes) -> Iterator[None]:
    """Say what the calls within a block are for."""
    before = _purposes.set(tuple(one for one in purposes if one != "reserve") if _sparing.get() else purposes)
    try:
        yield
    finally:
        _purposes.reset(before)


@contextmanager
def sparing_the_reserve() -> Iterator[None]:
    """Let nothing that is read within a block use the reserve, whatever its account was opened for."""
    before = _sparing.set(True)
    try:
        yield
    finally:
        _sparing.reset(before)
