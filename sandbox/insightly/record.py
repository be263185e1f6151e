"""One record of an Insightly account, with its tags, links and states."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sandbox.insightly.kinds import Kind


@dataclass(frozen=True, slots=True)
class Link:
    """What a record is linked with: ``name`` is a kind in the singular, ``number`` that record's id."""

    id: int
    name: str
    number: int
    role: str | None = None
    details: str | None = None


@dataclass(frozen=True, slots=True)
class StateChange:
    """Since when (unix seconds) a record has been in a state."""

    at: int
    state: str


@dataclass(slots=True)
class Record:
    """One record; moments are whole unix seconds.

    :param fields: only those that were set.
    :param revision: counts every change; part of the ETag.
    :param closed: when it came into its closing state.
    """

    kind: Kind
    id: int
    created: int
    updated: int
    fields: dict[str, Any] = field(default_factory=dict)
    state: str = ""
    closed: int | None = None
    activity: int | None = None
    tags: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    history: tuple[StateChange, ...] = ()
    revision: int = 1

    @property
    def etag(self) -> str:
        """Return what ``If-Match`` must say to change the record as it is now."""
        return f'"{self.kind.number}-{self.id}-{self.revision}"'

    def linked(self, name: str) -> list[int]:
        """Return the ids of the linked records of one kind, in the order of the links."""
        return [link.number for link in self.links if link.name == name]

    def enter(self, state: str, at: int) -> None:
        """Come into a state; a record that is in it already stays as it is."""
        if state == self.state:
            return
        self.state = state
        self.history = (*self.history, StateChange(at, state))
        self.closed = at if state in self.kind.closing else None
