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
    :param heeded: the last poke (see :func:`handoff.ledger.cursors.poked`) that came before a poll that did not fail.
    :param resume_at: aware; that poll met a day whose requests were used up, and before this there is no other.
    :param failed: how many polls have failed since the last one that did not; pokes that came before them wait.
    """

    polled_at: datetime | None = None
    heeded: str = ""
    resume_at: datetime | None = None
    failed: int = 0

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Read it from an account's cursor: a JSON object with ``polled_at``, ``heeded`` and perhaps more.

        Moments are ISO 8601 or null. Anything else, as Webinaris' cursors once were, tells nothing of a poll.
        """
        data = json.loads(text) if text else {}
        if not isinstance(data, dict):
            return cls()
        polled_at, resume_at = _moment(data.get("polled_at")), _moment(data.get("resume_at"))
        return cls(polled_at, data.get("heeded", ""), resume_at, data.get("failed", 0))


def resting(text: str, resume_at: datetime) -> str:
    """Return an account's cursor with the moment before which it is not polled; the next poll writes it without."""
    return json.dumps({**json.loads(text), "resume_at": resume_at.isoformat()})


def failing(text: str, failed: int) -> str:
    """Return an account's cursor with how many polls have failed; the next poll writes it without."""
    return json.dumps({**json.loads(text), "failed": failed})


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
