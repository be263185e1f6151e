"""Records of which only their history says what they mean, and whose turn it is to be asked for it.

A poll of both kinds takes two requests where each fits one page; what is left of three goes to a history. The rest
wait for some polls, so that an hour of many edits costs no more than any other. Then the day's requests decide.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

from handoff.ledger.quotas import Quota
from hooks.protocols.insightly_records import Record

AT_ONCE = 20
"""Histories that one poll asks for at most."""
PATIENCE = 3
"""So many polls a doubt waits for a request that is left over."""
TRIES = 7
"""So many times a history is asked for that cannot be read."""
FIRST_PAUSE = timedelta(minutes=1)
"""Then it rests, and each further time four times as long: it is given up after most of a day, however often webhooks
let the account be polled."""
MOST = 1000
"""So many doubts are kept."""
POLLS_A_DAY = 1440
"""Webhooks may let an account be polled all the time: what a poll may spend has to last for one in every minute."""


@dataclass(slots=True, eq=False)
class Doubt:
    """A closed record that may have been closed now, again, or long ago.

    :param urgent: nothing but its history will say that it was closed, so it does not wait.
    :param waited: for how many polls. :param failed: how often its history could not be read.
    :param rests_until: before this (aware) it is not asked for again, ``None`` when it may be.
    """

    record: Record
    urgent: bool = False
    waited: int = 0
    failed: int = 0
    rests_until: datetime | None = None

    @property
    def given_up(self) -> bool:
        """Whether it is not asked for any more."""
        return self.failed >= TRIES

    def fail(self, now: datetime) -> None:
        """Note that its history could not be read. :param now: aware."""
        self.rests_until = now + FIRST_PAUSE * 4**self.failed
        self.failed += 1

    def rests(self, now: datetime) -> bool:
        """Whether it is too early to ask once more. :param now: aware."""
        return self.rests_until is not None and now < self.rests_until


def affordable(quota: Quota | None, spent: int) -> int:
    """Return how many histories a poll may ask for that has made so many requests."""
    if quota is None:
        return AT_ONCE
    return max(0, min(AT_ONCE, quota.most("polling") // POLLS_A_DAY - spent))


def to_ask(doubts: Collection[Doubt], spare: int, most: int) -> list[Doubt]:
    """Return whose history is asked for now.

    :param spare: so many cost nothing extra. :param most: so many the day has requests for.
    """
    pressing = [doubt for doubt in doubts if doubt.urgent or doubt.waited >= PATIENCE]
    kinds = sorted({_rank(doubt) for doubt in doubts})
    turns = chain.from_iterable(_in_turn([one for one in doubts if _rank(one) == kind]) for kind in kinds)
    return list(turns)[: max(spare, min(most, len(pressing)))]


def surplus(doubts: Collection[Doubt]) -> list[Doubt]:
    """Return what is more than can be kept: that which changed longest ago."""
    return _newest_first(doubts)[MOST:]


def _rank(doubt: Doubt) -> tuple[bool, bool]:
    return doubt.failed > 0, not doubt.urgent


def _in_turn(doubts: Collection[Doubt]) -> Iterator[Doubt]:
    """Yield the newest, the oldest, the second newest and so on; every other poll begins with the oldest.

    An edit of thousands of old records must not keep one that was just won waiting, nor be kept waiting for ever.
    """
    newest = _newest_first(doubts)
    sides = (newest, newest[::-1]) if newest[-1].waited % 2 == 0 else (newest[::-1], newest)
    yield from dict.fromkeys(chain.from_iterable(zip(*sides, strict=True)))


def _newest_first(doubts: Collection[Doubt]) -> list[Doubt]:
    return sorted(doubts, key=lambda doubt: doubt.record.updated_at, reverse=True)
