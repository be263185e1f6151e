"""Whether batches will be on time: what they need of each account, against what the account allows."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from handoff.ledger.quotas import SPACING, AccountNow, next_day
from handoff.rules.steps import Step

LONGEST_EARLY = timedelta(hours=1)
"""Sending starts at most so long before the moment: much earlier, and the audience would be another one."""
LONGEST_LOOK_DAYS = 366
NOTHING = timedelta()


@dataclass(frozen=True, slots=True)
class Need:
    """One batch, or what is open already.

    :param moment: aware; when it is to start, or to be done if ``start_early``.
    :param requests: by account, for all contacts together.
    """

    contacts: int
    moment: datetime
    requests: Mapping[str, int]
    start_early: bool = False


@dataclass(frozen=True, slots=True)
class Outlook:
    """What becomes of a batch. All moments are in UTC.

    :param account: the account that takes longest, empty when none is limited.
    :param seconds: how long it takes there, without waiting for others or for the next day.
    :param ends_at: when its last request leaves; ``None``: not within a year.
    :param used_up_at: when the first daily quota ends in the middle of it, and ``moved`` contacts go on later.
    """

    need: Need
    begins_at: datetime
    ends_at: datetime | None
    account: str
    rate: float | None
    seconds: float
    used_up_at: datetime | None = None
    moved: int = 0

    @property
    def early(self) -> timedelta:
        """How long before its moment sending starts."""
        return max(NOTHING, self.need.moment - self.begins_at)

    @property
    def late(self) -> timedelta:
        """How long after its moment the last one is done; a year when that cannot be foreseen."""
        return max(NOTHING, self.ends_at - self.need.moment) if self.ends_at else timedelta(days=LONGEST_LOOK_DAYS)

    def in_words(self) -> str:
        """Return the sentence for people; times of day in this machine's zone."""
        if not self.rate:
            took = f"{self.need.contacts:,} contacts, no limit a second"
        else:
            asked = self.need.requests[self.account]
            more = f" ({asked:,} requests)" if asked != self.need.contacts else ""
            took = f"{self.need.contacts:,} contacts{more} at {self.rate:g}/s take {math.ceil(self.seconds):,} s"
        if self.early:
            took += f": starting {math.ceil(self.early.total_seconds()):,} s early"
        elif self.rate and self.ends_at:
            took += f": done at {_clock(self.ends_at, self.need.moment)}"
        if self.used_up_at is None:
            return took
        tomorrow = next_day(self.used_up_at)
        then = "tomorrow" if tomorrow == next_day(datetime.now(UTC)) else f"{tomorrow:%Y-%m-%d}"
        ends = _clock(self.used_up_at, self.need.moment)
        return f"{took}; the daily quota ends at {ends}, {self.moved:,} handoffs move to {then}"


def requests_of(steps: Sequence[Step], contacts: int, accounts: Mapping[str, AccountNow]) -> dict[str, int]:
    """Return how many requests the steps need for so many contacts, by account."""
    requests: defaultdict[str, int] = defaultdict(int)
    identified: set[str] = set()
    for step in steps:
        bulk_from = accounts.get(step.conn_id, AccountNow()).bulk_from
        if bulk_from and contacts >= bulk_from and step.at_once and getattr(step, "bulk", "auto") == "auto":
            # One request hands an import over, another one asks what became of it.
            requests[step.conn_id] += 2 * math.ceil(contacts / step.at_once)
            continue
        asks = step.needs_id and step.conn_id not in identified
        requests[step.conn_id] += contacts * (step.requests + asks)
        identified.add(step.conn_id)
    return dict(requests)


def forecast(needs: Iterable[Need], accounts: Mapping[str, AccountNow], now: datetime) -> list[Outlook]:
    """Return what becomes of each batch, each after those before it, which are to be given in order of their moments.

    Accounts that are not known have no limit.
    """
    diaries = {name: _Diary(account, now) for name, account in accounts.items()}
    return [_outlook(need, diaries, now) for need in needs]


def _outlook(need: Need, diaries: Mapping[str, _Diary], now: datetime) -> Outlook:
    limited = {name: diaries[name] for name in need.requests if name in diaries}
    seconds = {name: diary.seconds(need.requests[name]) for name, diary in limited.items()}
    account = max(seconds, key=lambda name: seconds[name], default="")
    longest = seconds.get(account, 0.0)
    early = min(timedelta(seconds=longest), LONGEST_EARLY) if need.start_early else NOTHING
    begins = max(now, need.moment - early)
    spent = {name: diary.spend(begins, need.requests[name]) for name, diary in limited.items()}
    ends = [one.ends_at for one in spent.values()]
    used_up = [one.used_up_at for one in spent.values() if one.used_up_at]
    moved = max((_contacts(one.moved, need.requests[name], need.contacts) for name, one in spent.items()), default=0)
    return Outlook(
        need=need,
        begins_at=begins.astimezone(UTC),
        ends_at=None if None in ends else max([begins, *filter(None, ends)]).astimezone(UTC),
        account=account if longest else "",
        rate=limited[account].now.rate if longest else None,
        seconds=longest,
        used_up_at=min(used_up, default=None),
        moved=moved,
    )


def _contacts(requests: int, of: int, contacts: int) -> int:
    return min(contacts, math.ceil(contacts * requests / of)) if of else 0


@dataclass(frozen=True, slots=True)
class _Spent:
    ends_at: datetime | None
    used_up_at: datetime | None
    moved: int


@dataclass(slots=True)
class _Diary:
    """When an account is free again, and what it has used of each day."""

    now: AccountNow
    free_at: datetime
    used: defaultdict[date, int] = field(default_factory=lambda: defaultdict(int))
    used_up_at: dict[date, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.used[self.free_at.astimezone(UTC).date()] = self.now.used

    def seconds(self, requests: int) -> float:
        """Return how long so many requests take."""
        return requests * SPACING / self.now.rate if self.now.rate else 0.0

    def spend(self, begins: datetime, requests: int) -> _Spent:
        """Let so many requests leave, as soon as the rate and each day's rest allow."""
        begins = begins.astimezone(UTC)
        at, left = max(begins, self.free_at.astimezone(UTC)), requests
        # Those before it may have pushed all of it to another day.
        used_up_at = self.used_up_at.get(begins.date()) if at.date() > begins.date() else None
        moved = requests if used_up_at else 0
        for _ in range(LONGEST_LOOK_DAYS):
            leaving = min(left, self._room(at))
            self.used[at.date()] += leaving
            left -= leaving
            self.free_at = at + timedelta(seconds=self.seconds(leaving))
            if not left:
                return _Spent(self.free_at, used_up_at if moved else None, moved)
            if self._rest(at.date()) == 0:
                self.used_up_at.setdefault(at.date(), self.free_at)
                if used_up_at is None:
                    used_up_at, moved = self.free_at, left
            at = next_day(at)
        return _Spent(None, used_up_at, moved)

    def _rest(self, day: date) -> int | None:
        return None if self.now.per_day is None else max(0, self.now.per_day - self.used[day])

    def _room(self, at: datetime) -> int:
        """Return how many requests can leave from a moment (UTC) to the end of its day."""
        room = [rest] if (rest := self._rest(at.date())) is not None else []
        if self.now.rate:
            room.append(math.ceil((next_day(at) - at).total_seconds() * self.now.rate / SPACING))
        return min(room, default=10**12)


def _clock(moment: datetime, seen_from: datetime) -> str:
    """Return a time of day here, with its date unless it is the same day."""
    here, there = moment.astimezone(), seen_from.astimezone()
    return f"{here:%H:%M:%S}" if here.date() == there.date() else f"{here:%Y-%m-%d %H:%M:%S}"
