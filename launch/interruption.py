"""Signals that end a run, noticed where something is waited for, so that no started process is missed."""

from __future__ import annotations

import os
import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """Somebody wants the run to end; ``number`` is the signal, 0 when the parent process has gone."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"ended by signal {number}" if number else "ended with its parent")


class Interruption:
    """Remembers the first signal.

    :param with_parent: also end when the parent process goes.
    """

    def __init__(self, with_parent: bool = False) -> None:
        self._parent = os.getppid() if with_parent else None
        self._number: int | None = None
        for number in SIGNALS:
            signal.signal(number, self._remember)

    def check(self) -> None:
        """Do nothing while the run may go on. :raises Interrupted: it shall end."""
        if self._number is not None:
            raise Interrupted(self._number)
        if self._parent is not None and os.getppid() != self._parent:
            raise Interrupted(0)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        if self._number is None:
            self._number = number
