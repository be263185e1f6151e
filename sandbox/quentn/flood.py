"""How often a visitor's address may submit: ``flood_limit`` (contract: quentn.md 4.2)."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable

HOUR = 3600.0
DEFAULT_LIMIT = 5


class Flood:
    """Submissions of the last hour by ``request_ip``; who names none is not limited."""

    def __init__(self) -> None:
        self._moments: defaultdict[str, deque[float]] = defaultdict(deque)

    def take(self, addresses: Iterable[str], limit: int, now: float) -> bool:
        """Count submissions, or none of them when one would be more than the limit in an hour.

        :param addresses: of every submission; empty ones do not count. :param limit: 0 for none.
        :param now: unix seconds.
        """
        wanted = Counter(address for address in addresses if address)
        for address in wanted:
            moments = self._moments[address]
            while moments and moments[0] <= now - HOUR:
                moments.popleft()
        if limit and any(len(self._moments[address]) + more > limit for address, more in wanted.items()):
            return False
        for address, more in wanted.items():
            self._moments[address].extend([now] * more)
        return True
