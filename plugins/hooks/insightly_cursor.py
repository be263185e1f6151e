"""How far an Insightly account has been read, as it is kept in the ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Self

from handoff.planning.closings import WITH_HISTORY, Watch, name_of
from hooks.insightly_doubts import Doubt
from hooks.protocols.insightly_records import Record, RecordKind

FIRST_LOOK_BACK = timedelta(hours=1)
"""What closed longer than this before an account was first polled is not handed over, like webinars of last year."""


@dataclass(slots=True)
class PollCursor:
    """How far an account has been read.

    :param since: by kind of record, where the next poll goes on (UTC).
    :param doubtful: records whose history has still to be asked, by name.
    :param polled_at: when the account was last polled (UTC), ``None`` before the first time.
    :param heeded: the last poke (see :func:`handoff.ledger.cursors.poked`) that came before that poll.
    :param watched: by kind, since when it is watched (UTC); one that is not here has still to be looked at as a whole.
    """

    since: dict[RecordKind, datetime] = field(default_factory=dict)
    doubtful: dict[str, Doubt] = field(default_factory=dict)
    polled_at: datetime | None = None
    heeded: str = ""
    watched: dict[RecordKind, datetime] = field(default_factory=dict)

    def watch(self, kind: RecordKind) -> Watch | None:
        """Return since when a kind is watched and how far it was heard, ``None`` before its first look."""
        heard_to = self.since.get(kind)
        if heard_to is None or (kind not in self.watched and kind not in WITH_HISTORY):
            return None
        # Older cursors do not say; what they know is taken for all that there was.
        oldest = min([heard_to, *(doubt.record.updated_at for doubt in self.doubtful.values())])
        return Watch(self.watched.get(kind, oldest - FIRST_LOOK_BACK), heard_to)

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Read what :meth:`text` wrote."""
        if not text:
            return cls()
        data = json.loads(text)
        return cls(
            _moments(data["since"]),
            {name_of(doubt.record): doubt for doubt in map(_doubt, data["doubtful"])},
            datetime.fromisoformat(data["polled_at"]) if data["polled_at"] else None,
            data["heeded"],
            _moments(data.get("watched", {})),
        )

    def text(self) -> str:
        """Return the cursor as text for the ledger."""
        return json.dumps({
            "since": {kind: moment.isoformat() for kind, moment in self.since.items()},
            "doubtful": list(map(_json, self.doubtful.values())),
            "polled_at": self.polled_at.isoformat() if self.polled_at else None,
            "heeded": self.heeded,
            "watched": {kind: moment.isoformat() for kind, moment in self.watched.items()},
        })  # fmt: skip


def _moments(data: dict[RecordKind, str]) -> dict[RecordKind, datetime]:
    return {kind: datetime.fromisoformat(moment) for kind, moment in data.items()}


def _json(doubt: Doubt) -> dict[str, Any]:
    record = doubt.record
    return {
        "kind": record.kind, "id": record.id, "state": record.state, "created_at": record.created_at.isoformat(),
        "updated_at": record.updated_at.isoformat(), "tags": sorted(record.tags),
        "closed_on": record.closed_on.isoformat() if record.closed_on else None,
        "urgent": doubt.urgent, "waited": doubt.waited, "failed": doubt.failed,
        "rests_until": doubt.rests_until.isoformat() if doubt.rests_until else None,
    }  # fmt: skip


def _doubt(data: dict[str, Any]) -> Doubt:
    record = Record(
        kind=data["kind"],
        id=data["id"],
        state=data["state"],
        created_at=datetime.fromisoformat(data["created_at"]),
        updated_at=datetime.fromisoformat(data["updated_at"]),
        closed_on=date.fromisoformat(data["closed_on"]) if data["closed_on"] else None,
        tags=frozenset(data["tags"]),
    )
    rests = datetime.fromisoformat(data["rests_until"]) if data.get("rests_until") else None
    return Doubt(record, data.get("urgent", False), data.get("waited", 0), data.get("failed", 0), rests)
