"""The pushes that wait to be sent, and what goes wrong with them: drops, doubles, another order, delay, repeats.

Whether eTermin repeats, doubles or reorders pushes is not known; so each can be ordered (contract: etermin.md 2.4).
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, replace
from itertools import count

from sandbox.etermin.appointment import Appointment, Command
from sandbox.scenario_etermin import PushModel

OVERTAKEN_AFTER = 2.0
"""Seconds after which a push is sent that waits to be overtaken, when no other one comes."""


@dataclass(frozen=True, slots=True)
class Push:
    """One push: the appointment as it was at that moment.

    :param number: of the change that it tells of. :param copy: whether it is a double.
    :param tries: how often it has been sent.
    """

    command: Command
    appointment: Appointment
    service_text: str
    number: int
    copy: bool = False
    tries: int = 0


class Outbox:
    """Waiting pushes in the order of their moments; the same seed brings the same faults."""

    def __init__(self, model: PushModel) -> None:
        self.model = model
        self._random = random.Random(model.seed)
        self._order = count()
        self._waiting: list[tuple[float, int, Push]] = []
        self._overtaken: tuple[float, list[Push]] | None = None

    def set(self, model: PushModel) -> None:
        """Take other settings; what waits keeps waiting."""
        self.model, self._random = model, random.Random(model.seed)

    def put(self, push: Push, now: float) -> bool:
        """Take a push; return whether it will ever be sent.

        :param now: unix seconds, as below.
        """
        dropped, doubled, late = (self._random.random() < share for share in self._shares())
        if dropped:
            return False
        pushes = [push, replace(push, copy=True)] if doubled else [push]
        if late and self._overtaken is None:
            self._overtaken = now + OVERTAKEN_AFTER, pushes
            return True
        self._schedule(pushes, now + self.model.delay)
        self._release(now)
        return True

    def again(self, push: Push, now: float) -> None:
        """Send a push once more, later."""
        self._schedule([push], now + self.model.retry_seconds)

    def due(self, now: float) -> list[Push]:
        """Take out what is to be sent by now, in order."""
        if self._overtaken is not None and self._overtaken[0] <= now:
            self._release(now)
        found = []
        while self._waiting and self._waiting[0][0] <= now:
            found.append(heapq.heappop(self._waiting)[2])
        return found

    def _shares(self) -> tuple[float, float, float]:
        return self.model.drop, self.model.duplicate, self.model.reorder

    def _release(self, now: float) -> None:
        if self._overtaken is not None:
            self._schedule(self._overtaken[1], now + self.model.delay)
            self._overtaken = None

    def _schedule(self, pushes: list[Push], at: float) -> None:
        for push in pushes:
            heapq.heappush(self._waiting, (at, next(self._order), push))
