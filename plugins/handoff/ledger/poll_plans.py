"""How source accounts are polled, as their connections say: kept for those who look ahead and see no connection.

How many requests a day they are allowed stands with their other limits, see :func:`handoff.ledger.quotas.declare`.
"""

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
    :param polling: share of the day's requests for polling.
    """

    next_at: float
    pace_seconds: float
    polling: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what :func:`keep` wrote, also that of another version of this program."""
        data = json.loads(text)
        return cls(data["next_at"], data["pace_seconds"], data["polling"])

    @property
    def next_poll_at(self) -> datetime:
        """When the next poll is due (UTC)."""
        return datetime.fromtimestamp(self.next_at, UTC)


async def keep(connection: AsyncConnection, source: str, account: str, plan: PollPlan) -> None:
    """Remember how an account is polled, instead of what was planned before."""
    await cursors.write(connection, f"{source}.plan", account, json.dumps(asdict(plan)))
