"""How far an Insightly account has been read, as it is kept in the ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Self

from handoff.closings import name_of
from hooks.protocols.insightly_records import Record, RecordKind


@dataclass(slots=True)
class PollCursor:
    """How far an account has been read.

    :param since: by kind of record, where the next poll goes on (UTC).
    :param doubtful: records whose history has still to be asked, by name.
    :param heeded: the last poke (see :func:`handoff.ledger.cursors.poked`) that came before that poll.
    :param polled_at: when the account was last polled (UTC), ``None`` before the first time.
    """

    since: dict[RecordKind, datetime] = field(default_factory=dict)
    doubtful: dict[str, Record] = field(default_factory=dict)
    polled_at: datetime | None = None
    heeded: str = ""

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Read what :meth:`text` wrote."""
        if not text:
            return cls()
        data = json.loads(text)
        return cls(
            {kind: datetime.fromisoformat(moment) for kind, moment in data["since"].items()},
            {name_of(record): record for record in map(_record, data["doubtful"])},
            datetime.fromisoformat(data["polled_at"]) if data["polled_at"] else None,
            data["heeded"],
        )

    def text(self) -> str:
        """Return the cursor as text for the ledger."""
        return json.dumps({
            "since": {kind: moment.isoformat() for kind, moment in self.since.items()},
            "doubtful": list(map(_json, self.doubtful.values())),
            "polled_at": self.polled_at.isoformat() if self.polled_at else None,
            "heeded": self.heeded,
        })  # fmt: skip


def _json(record: Record) -> dict[str, Any]:
    return {
        "kind": record.kind, "id": record.id, "state": record.state, "created_at": record.created_at.isoformat(),
        "updated_at": record.updated_at.isoformat(), "tags": sorted(record.tags),
        "closed_on": record.closed_on.isoformat() if record.closed_on else None,
    }  # fmt: skip


def _record(data: dict[str, Any]) -> Record:
    moments = {name: datetime.fromisoformat(data[name]) for name in ("created_at", "updated_at")}
    day = date.fromisoformat(data["closed_on"]) if data["closed_on"] else None
    return Record(**data | moments | {"closed_on": day, "tags": frozenset(data["tags"])})
