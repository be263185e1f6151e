"""A target in memory that keeps its own list of effects and can fail in every way there is."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext

from handoff.errors import TargetError, UnknownOutcome
from handoff.rules.steps import Step
from handoff.target import Call, Promise, Proof

Fault = Callable[[Call], TargetError | None]


class MemoryTarget:
    """Keeps effects in the order in which they took place.

    :param lag: seconds until an effect can be read back.
    :param before: error raised before anything is done; :param after: raised after it was done.
    """

    def __init__(
        self,
        *,
        latency: float = 0.0,
        before: Fault = lambda call: None,
        after: Fault = lambda call: None,
        readable: bool = True,
        settling: float = 0.0,
        lag: float = 0.0,
    ) -> None:
        self.promise = Promise.SETTLED_BY_READING if readable else Promise.AT_MOST_ONCE
        self.settling_seconds = settling
        self.effects: list[tuple[str, str]] = []
        self.calls = 0
        self.in_flight, self.most_in_flight = Counter[str](), Counter[str]()
        self._lag, self._done_at = lag, dict[tuple[str, str], float]()
        self._latency, self._before, self._after = latency, before, after

    async def prepare(self, step: Step) -> None:
        """Need nothing."""

    def coalesces(self, call: Call) -> bool:
        """Every call is its own."""
        return False

    def slot(self) -> AbstractAsyncContextManager[None]:
        """Any number of calls at once."""
        return nullcontext()

    async def send(self, call: Call) -> Proof:
        """Do it once, or fail as told."""
        self.calls += 1
        contact = call.contact.email
        self.in_flight[contact] += 1
        self.most_in_flight[contact] = max(self.most_in_flight[contact], self.in_flight[contact])
        try:
            if error := self._before(call):
                raise error
            await asyncio.sleep(self._latency)
            self.effects.append((contact, call.key))
            self._done_at[contact, call.key] = time.monotonic()
            if error := self._after(call):
                raise error
        finally:
            self.in_flight[contact] -= 1
        return {"number": len(self.effects)}

    async def seen(self, call: Call) -> Proof | None:
        """Look into the list, which shows an effect only some time after it took place."""
        if time.monotonic() - self._done_at.get((call.contact.email, call.key), 0.0) < self._lag:
            return None
        return {"seen": True} if (call.contact.email, call.key) in self.effects else None

    async def close(self) -> None:
        """Hold nothing open."""


def lost_answers(share: float, seed: int) -> Fault:
    """Return a fault: in this share of calls the answer is lost."""
    dice = random.Random(seed)
    return lambda call: UnknownOutcome(call.step.conn_id, "test") if dice.random() < share else None
