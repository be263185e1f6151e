"""How many pushes of an account are taken: a token bucket for each, in the memory of this process."""

from __future__ import annotations

import time
from collections.abc import Callable

from web.receiver.refusal import Refusal

PER_SECOND, AT_ONCE = 500.0, 1000.0


class Floods:
    """The buckets of all known accounts; several API servers have one each.

    :param per_second: so many tokens flow in. :param at_once: so many a bucket holds.
    :param clock: monotonic seconds.
    """

    def __init__(
        self,
        per_second: float = PER_SECOND,
        at_once: float = AT_ONCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_second, self._at_once, self._clock = per_second, at_once, clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, account: str) -> None:
        """Take one token. :raises Refusal: there is none; it says when there will be one."""
        now = self._clock()
        tokens, at = self._buckets.get(account, (self._at_once, now))
        tokens = min(self._at_once, tokens + (now - at) * self._per_second)
        if tokens < 1:
            self._buckets[account] = tokens, now
            raise Refusal("too_many", retry_after=(1 - tokens) / self._per_second)
        self._buckets[account] = tokens - 1, now
