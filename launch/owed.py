"""What is owed by now; somebody's answer adds to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from handoff.rules.rule import Rule
from launch.expectation import Wanted, expected
from launch.occasions import TrueOccasion


class Owed:
    """What rules owe because of what has happened so far.

    :param customers: see :func:`launch.expectation.expected`, as for ``closed``.
    :param until: aware; what is due later is not waited for.
    """

    def __init__(
        self, rules: Sequence[Rule], customers: frozenset[str], closed: frozenset[str], until: datetime
    ) -> None:
        self._rules, self._customers, self._closed, self._until = rules, customers, closed, until
        self.now: list[Wanted] = []
        self.later: list[Wanted] = []

    def add(self, occasions: Iterable[TrueOccasion]) -> None:
        """Add what is owed because of more occasions."""
        for one in expected(self._rules, occasions, self._customers, self._closed):
            (self.now if one.due_at <= self._until else self.later).append(one)
