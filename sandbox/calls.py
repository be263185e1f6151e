"""How often each system was called, how it answered, and how fast the calls came."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from typing import Any


class SlidingSecond:
    """How many calls came within the last second."""

    def __init__(self) -> None:
        self._moments: deque[float] = deque()

    def count(self) -> int:
        """Return the number of calls in the second that ends now."""
        horizon = time.monotonic() - 1.0
        while self._moments and self._moments[0] <= horizon:
            self._moments.popleft()
        return len(self._moments)

    def add(self) -> int:
        """Count one more call and return the number in the second that ends with it."""
        self._moments.append(time.monotonic())
        return self.count()

    def seconds_until_free(self) -> float:
        """Return after how many seconds the oldest counted call leaves the window."""
        return max(self._moments[0] + 1.0 - time.monotonic(), 0.0) if self._moments else 0.0


class Day:
    """How many requests a day are accepted and were; it ends at midnight UTC (assumed of every vendor)."""

    def __init__(self, limit: int, used: int = 0) -> None:
        self.limit = limit
        self._day, self._used = _today(), used

    @property
    def used(self) -> int:
        """Return how many were accepted today."""
        return self._used if self._day == _today() else 0

    @property
    def left(self) -> int:
        """Return how many more will be accepted today."""
        return max(self.limit - self.used, 0)

    def add(self) -> None:
        """Count one more."""
        self._used, self._day = self.used + 1, _today()


def _today() -> int:
    return int(time.time() // 86400)


class Calls:
    """Counts of requests by system, path and outcome, and each system's busiest second."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything counted so far."""
        self._outcomes: Counter[tuple[str, str, str]] = Counter()
        self._windows: defaultdict[str, SlidingSecond] = defaultdict(SlidingSecond)
        self._peaks: Counter[str] = Counter()

    def arrived(self, system: str) -> None:
        """Count a request on its arrival."""
        rate = self._windows[system].add()
        if rate > self._peaks[system]:
            self._peaks[system] = rate

    def ended(self, system: str, path: str, outcome: str) -> None:
        """Count how a request ended.

        :param path: method and path with its parameters by name, e.g. ``GET /tag/{id}``.
        :param outcome: the status, or ``dropped`` or ``hung`` when there was no answer.
        """
        self._outcomes[system, path, outcome] += 1

    def as_json(self) -> dict[str, Any]:
        """Return ``{system: {total, max_per_second, paths: {path: {outcome: count}}}}``."""
        report: dict[str, Any] = {}
        for (system, path, outcome), count in self._outcomes.items():
            entry = report.setdefault(system, {"total": 0, "max_per_second": self._peaks[system], "paths": {}})
            entry["total"] += count
            entry["paths"].setdefault(path, {})[outcome] = count
        return report
