"""How far a Webinaris account's dates have been recorded, as it is kept in the ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from hooks.last_poll import LastPoll


@dataclass(slots=True)
class DatesCursor:
    """How far an account's dates have been recorded.

    :param since: the newest change that is recorded, unix seconds of the source's clock; 0 before the first one.
    :param polled_at: when the account was last polled (UTC). :param heeded: see :class:`hooks.last_poll.LastPoll`,
        which reads both from the same text.
    """

    since: float = 0.0
    polled_at: datetime | None = None
    heeded: str = ""

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Read what :meth:`text` wrote, or a number alone, as cursors once were."""
        data, last = json.loads(text) if text else {}, LastPoll.parse(text)
        since = data.get("since", 0.0) if isinstance(data, dict) else data
        return cls(float(since), last.polled_at, last.heeded)

    def text(self) -> str:
        """Return the cursor as text for the ledger."""
        return json.dumps({
            "since": self.since,
            "polled_at": self.polled_at.isoformat() if self.polled_at else None,
            "heeded": self.heeded,
        })  # fmt: skip
