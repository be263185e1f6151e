"""How source accounts are polled, as their connections say: kept for those who look ahead and see no connection."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Self

from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.ledger import cursors


@dataclass(frozen=True, slots=True)
class PollPlan:
    """How an account is polled.

    :param next_at: when the next poll is due, unix seconds; 0 for at once.
    :param pace_seconds: polls are at least so far apart for the day's requests to last; 0 without a limit of them.
    :param per_day: requests a day, ``None`` without a limit. :param polling: share of them for polling.
    """

    next_at: float
    pace_seconds: float
    per_day: int | None
    polling: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what :func:`keep` wrote."""
        return cls(**json.loads(text))

    @property
    def next_poll_at(self) -> datetime:
        """When the next poll is due (UTC)."""
        return datetime.fromtimestamp(self.next_at, UTC)


async def keep(connection: AsyncConnection, source: str, account: str, plan: PollPlan) -> None:
    """Remember how an account is polled, instead of what was planned before."""
    await cursors.write(connection, f"{source}.plan", account, json.dumps(asdict(plan)))
