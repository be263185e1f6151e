"""How far an eTermin account has been read, as it is kept in the ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from hooks.last_poll import LastPoll


@dataclass(slots=True)
class FeedCursor:
    """How far an account has been read.

    :param token: the feed's sync token; empty: everything is read.
    :param read_at: when the last reading began by eTermin's own clock (UTC), ``None`` before the first one.
    :param polled_at: the same by this machine's clock. :param heeded: see :class:`hooks.last_poll.LastPoll`, which
        reads both from the same text.
    """

    token: str = ""
    read_at: datetime | None = None
    polled_at: datetime | None = None
    heeded: str = ""

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Read what :meth:`text` wrote."""
        data, last = json.loads(text) if text else {}, LastPoll.parse(text)
        read_at = data.get("read_at")
        moment = datetime.fromisoformat(read_at) if read_at else None
        return cls(data.get("token", ""), moment, last.polled_at, last.heeded)

    def text(self) -> str:
        """Return the cursor as text for the ledger."""
        return json.dumps({
            "token": self.token,
            "read_at": self.read_at.isoformat() if self.read_at else None,
            "polled_at": self.polled_at.isoformat() if self.polled_at else None,
            "heeded": self.heeded,
        })  # fmt: skip
