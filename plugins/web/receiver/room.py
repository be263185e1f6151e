"""How much of bodies a process holds at once, whoever sends them: its memory is that of Airflow's API server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from web.receiver.body import Hold
from web.receiver.journal import RETRY_SECONDS
from web.receiver.refusal import Refusal

MOST_HELD = 64 * 1024 * 1024


class Room:
    """Room for bodies in this process. :param most: bytes."""

    def __init__(self, most: int = MOST_HELD) -> None:
        self._most, self._held = most, 0

    @contextmanager
    def for_one(self) -> Iterator[Hold]:
        """Give what takes room for each piece of one body, by its length; the end of the block gives all of it back.

        It raises a :class:`Refusal` when there is no more room.
        """
        taken = 0

        def hold(length: int) -> None:
            nonlocal taken
            if self._held + length > self._most:
                raise Refusal("unavailable", retry_after=RETRY_SECONDS)
            self._held += length
            taken += length

        try:
            yield hold
        finally:
            self._held -= taken
