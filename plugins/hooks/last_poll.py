"""When a source account was polled last, as the cursors of all polled accounts tell it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Self


@dataclass(frozen=True, slots=True)
class LastPoll:
    """What the next poll's moment depends on.

    :param polled_at: aware; ``None`` when the account was never polled.
    :param heeded: the last poke (see :func:`handoff.ledger.cursors.poked`) that came before that poll.
    """

    polled_at: datetime | None = None
    heeded: str = ""

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Read it from an account's cursor: a JSON object with ``polled_at`` (ISO 8601 or null) and ``heeded``."""
        data = json.loads(text) if text else {}
        polled_at = data.get("polled_at")
        return cls(datetime.fromisoformat(polled_at) if polled_at else None, data.get("heeded", ""))
