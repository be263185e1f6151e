"""Whether who is calling may still call: an effect of several calls asks before each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class LeaseLost(Exception):  # noqa: N818 - not an error: another worker has the lane
    """Somebody else may work in this lane now; nothing more is sent or written."""


def _always() -> bool:
    return True


_fresh: ContextVar[Callable[[], bool]] = ContextVar("fresh", default=_always)


@contextmanager
def as_long_as(fresh: Callable[[], bool]) -> Iterator[None]:
    """Let the calls within a block leave only as long as ``fresh`` says so."""
    before = _fresh.set(fresh)
    try:
        yield
    finally:
        _fresh.reset(before)


def check() -> None:
    """Ask just before a call leaves. :raises LeaseLost: the process slept, and others have taken over meanwhile."""
    if not _fresh.get()():
        raise LeaseLost
