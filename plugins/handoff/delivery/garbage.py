"""Keeping Python's garbage collector out of a batch's way."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = 50_000, 20, 100


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Let the collector look seldom, and never at what was there before.

    A task has hundreds of thousands of objects from its imports, and a batch keeps as many alive: each full
    collection walks them all, tens of milliseconds in which nothing goes out, and finds nothing.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
