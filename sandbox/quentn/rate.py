"""Quentn's rate limit and its headers. The names are known; numbers and meaning are ASSUMED (contract: 4.1)."""

from __future__ import annotations

import math
import time


class RateWindow:
    """So many requests in a window that begins with the first one.

    :param limit: ``None`` for any number. :param seconds: the length of a window.
    :param as_moment: whether the headers tell the end of the window as unix seconds, else the seconds until then.
    """

    def __init__(self, limit: int | None, seconds: float, *, as_moment: bool) -> None:
        self._limit, self._seconds, self._as_moment = limit, seconds, as_moment
        self._begun = -math.inf
        self._used = 0

    def take(self) -> bool:
        """Count a request, or return that there is no place for it."""
        now = time.monotonic()
        if now - self._begun >= self._seconds:
            self._begun, self._used = now, 0
        if self._limit is not None and self._used >= self._limit:
            return False
        self._used += 1
        return True

    def headers(self) -> dict[str, str]:
        """Return the headers of an answer."""
        if self._limit is None:
            return {}
        left = max(math.ceil(self._begun + self._seconds - time.monotonic()), 0)
        reset = int(time.time()) + left if self._as_moment else left
        return {"X-Rate-Limit-Limit": str(self._limit), "X-Rate-Limit-Remaining": str(self._limit - self._used),
                "X-Rate-Limit-Reset": str(reset)}  # fmt: skip
