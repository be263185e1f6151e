"""How far the answers of a Callexa account have been read, as it is kept in the ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

from hooks.last_poll import LastPoll
from hooks.protocols.callexa_assumed import Answers

PATIENCE = timedelta(days=30)
"""So long answers are read again because one among them could not be read."""


@dataclass(slots=True)
class AnswersCursor:
    """How far an account's surveys have been read.

    :param since: by the survey's id, where the next poll goes on (UTC).
    :param polled_at: when the account was last polled (UTC), ``None`` before the first time.
    :param heeded: see :class:`hooks.last_poll.LastPoll`, which reads both from the same text.
    """

    since: dict[str, datetime] = field(default_factory=dict)
    polled_at: datetime | None = None
    heeded: str = ""

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Read what :meth:`text` wrote."""
        since = json.loads(text)["since"] if text else {}
        last = LastPoll.parse(text)
        known = {survey: datetime.fromisoformat(moment) for survey, moment in since.items()}
        return cls(known, last.polled_at, last.heeded)

    def text(self) -> str:
        """Return the cursor as text for the ledger."""
        return json.dumps({
            "since": {survey: moment.isoformat() for survey, moment in self.since.items()},
            "polled_at": self.polled_at.isoformat() if self.polled_at else None,
            "heeded": self.heeded,
        })  # fmt: skip

    def move(self, survey_id: str, read: Answers) -> None:
        """Go on after what was read and recorded of a survey.

        As long as an answer cannot be read, the cursor stays so far back that it is listed again, for
        :data:`PATIENCE` at most.
        """
        if read.cursor is None:
            return
        if not read.problems:
            self.since[survey_id] = read.cursor
            return
        earliest = read.cursor - PATIENCE
        self.since[survey_id] = max(self.since.get(survey_id, earliest), earliest)
