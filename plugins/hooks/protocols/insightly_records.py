"""What is kept of Insightly's opportunities, projects and contacts, and nothing else (insightly.md 1.6 to 1.8).

Names, amounts, details and fields of one's own are not read; of a contact only what is needed to write to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

from hooks.protocols.insightly_times import day_of, moment_of

RecordKind = Literal["opportunity", "project"]
ObjectKind = Literal["opportunity", "project", "contact", "note"]
Row = Mapping[str, Any]

PATHS: dict[ObjectKind, str] = {
    "opportunity": "/Opportunities", "project": "/Projects", "contact": "/Contacts", "note": "/Notes",
}  # fmt: skip
"""Plural; another number is answered 405 (1.4)."""
LINK_NAMES: dict[ObjectKind, str] = {
    "opportunity": "Opportunity", "project": "Project", "contact": "Contact", "note": "Note",
}  # fmt: skip
"""Singular in the bodies of links (1.4)."""
UPDATED = "DATE_UPDATED_UTC"
LARGEST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Fields:
    """What the fields of a kind of record are called (1.6, 1.7)."""

    id: str
    state: str
    closed: str


FIELDS: dict[RecordKind, Fields] = {
    "opportunity": Fields("OPPORTUNITY_ID", "OPPORTUNITY_STATE", "ACTUAL_CLOSE_DATE"),
    "project": Fields("PROJECT_ID", "STATUS", "COMPLETED_DATE"),
}


class UnreadableRow(ValueError):
    """A field of a row cannot be read; the words name the field and not its content."""


@dataclass(frozen=True, slots=True)
class Record:
    """An opportunity or a project.

    :param state: upper case, e.g. ``WON`` or ``IN PROGRESS``, whatever case Insightly sends.
    :param created_at: UTC; where Insightly gives none, when it was last changed.
    :param updated_at: UTC.
    :param closed_on: the day of ``ACTUAL_CLOSE_DATE`` or ``COMPLETED_DATE``, whose zone is not known.
    :param contact_ids: the linked contacts in Insightly's order; none, one or several.
    """

    kind: RecordKind
    id: int
    state: str
    created_at: datetime
    updated_at: datetime
    closed_on: date | None = None
    tags: frozenset[str] = frozenset()
    contact_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed in an account.

    :param records: each once, in its newest form, by ascending id.
    :param problems: what could not be read, naming only kind, id or position, and field.
    :param cursor: what to ask for next (UTC); ``None`` when nothing was ever there.
    """

    records: tuple[Record, ...]
    problems: tuple[str, ...] = ()
    cursor: datetime | None = None


@dataclass(frozen=True, slots=True)
class StateChange:
    """When (UTC) an opportunity came into a state (upper case)."""

    state: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class CrmContact:
    """A contact, as little of it as is needed to write to somebody; ``email`` is as Insightly has it, or empty."""

    id: int
    email: str = field(default="", repr=False)
    first_name: str = field(default="", repr=False)
    last_name: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Link:
    """What a thing is linked to: e.g. ``Contact`` and its id."""

    object_name: str
    object_id: int

    def leads_to(self, kind: ObjectKind, object_id: int) -> bool:
        """Whether it is a link to this thing."""
        return self.object_id == object_id and self.object_name.casefold() == LINK_NAMES[kind].casefold()


def record_of(kind: RecordKind, row: Any) -> Record:
    """Read a row. :raises UnreadableRow: a field that counts cannot be read."""
    fields = FIELDS[kind]
    updated = moment_in(row, UPDATED)
    if updated is None:
        raise UnreadableRow(f"{UPDATED} is missing")
    linked = [link.object_id for link in links_of(row.get("LINKS")) if link.leads_to("contact", link.object_id)]
    return Record(
        kind=kind,
        id=id_in(row, fields.id),
        state=state_in(row, fields.state),
        created_at=moment_in(row, "DATE_CREATED_UTC") or updated,
        updated_at=updated,
        closed_on=_day_in(row, fields.closed),
        tags=frozenset(tags_of(row.get("TAGS"))),
        contact_ids=tuple(dict.fromkeys(linked)),
    )


def state_change_of(row: Any) -> StateChange:
    """Read an entry of an opportunity's history. :raises UnreadableRow: it cannot be read."""
    changed = moment_in(row, "DATE_CHANGED_UTC")
    if changed is None:
        raise UnreadableRow("DATE_CHANGED_UTC is missing")
    return StateChange(state_in(row, "FOR_OPPORTUNITY_STATE"), changed)


def contact_of(row: Any) -> CrmContact:
    """Read id, address and name of a contact. :raises UnreadableRow: it has no id."""
    number = id_in(row, "CONTACT_ID")
    email, first, last = (str(row.get(name) or "").strip() for name in ("EMAIL_ADDRESS", "FIRST_NAME", "LAST_NAME"))
    return CrmContact(number, email, first, last)


def tags_of(entries: Any) -> list[str]:
    """Return the names of ``[{"TAG_NAME": ...}]``. :raises UnreadableRow: it is something else."""
    names = (str(entry.get("TAG_NAME") or "").strip() for entry in _entries(entries, "TAGS"))
    return [name for name in names if name]


def links_of(entries: Any) -> list[Link]:
    """Return what ``LINKS`` lead to; an entry that leads nowhere is left out. :raises UnreadableRow: no such list."""
    return [
        Link(str(entry.get("LINK_OBJECT_NAME") or "").strip(), id_in(entry, "LINK_OBJECT_ID"))
        for entry in _entries(entries, "LINKS")
        if entry.get("LINK_OBJECT_ID") is not None
    ]


def id_in(row: Any, name: str) -> int:
    """Return a row's id. :raises UnreadableRow: it has none."""
    value = row.get(name) if isinstance(row, Mapping) else None
    number = id_of(value.strip()) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int) or not 0 < number <= LARGEST_ID:
        raise UnreadableRow(f"{name} is no id")
    return number


def id_of(text: str) -> int | None:
    """Return the id that a text is, ``None`` for any other text, among them one of thousands of digits."""
    number = int(text) if text.isdecimal() and len(text) <= len(str(LARGEST_ID)) else 0
    return number if 0 < number <= LARGEST_ID else None


def state_in(row: Row, name: str) -> str:
    """Return a state in upper case (1.6). :raises UnreadableRow: it is missing."""
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise UnreadableRow(f"{name} is missing")
    return " ".join(value.upper().split())


def moment_in(row: Any, name: str) -> datetime | None:
    """Return a moment of a row, ``None`` for none. :raises UnreadableRow: it cannot be read."""
    value = row.get(name) if isinstance(row, Mapping) else None
    try:
        return moment_of(_text(value))
    except ValueError:
        raise UnreadableRow(f"{name} is no time like 2026-03-02 14:22:05") from None


def _day_in(row: Row, name: str) -> date | None:
    try:
        return day_of(_text(row.get(name)))
    except ValueError:
        raise UnreadableRow(f"{name} is no date like 2026-03-02 00:00:00") from None


def _text(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError("not a text")
    return value


def _entries(value: Any, name: str) -> Iterable[Row]:
    entries = [] if value is None else value
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise UnreadableRow(f"{name} is no list of entries")
    return entries
