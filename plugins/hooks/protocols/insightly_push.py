"""What a webhook of Insightly's workflow automation says (insightly.md 1.9).

Known: an HTTP POST with an ``entity`` whose fields have upper-case names and whose times look like
``/Date(1489116850787-0800)/``. **Assumed**, because the vendor's page breaks off: the content type, and that the entity
has the same field names as the API. So a push only says *that* something changed; what it means is read from the API.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hooks.protocols.insightly_records import FIELDS, LARGEST_ID, UPDATED, Fields, RecordKind, Row
from hooks.protocols.insightly_times import webhook_moment

CONTENT_TYPES = frozenset({"application/json", "text/json", "text/plain", ""})
"""Assumed; empty: none was sent."""
LONGEST_STATE = 40


@dataclass(frozen=True, slots=True)
class Pushed:
    """A record that changed.

    :param state: upper case; empty when it is not said. :param updated_at: UTC, ``None`` when it cannot be read.
    """

    kind: RecordKind
    id: int
    state: str
    updated_at: datetime | None


def pushed(document: Any) -> Pushed:
    """Return what a push says; nothing else of it is kept.

    :param document: the decoded JSON.
    :raises ValueError: it is not about an opportunity or a project; the words have nothing of its content.
    """
    entity = document.get("entity") if isinstance(document, dict) else None
    if not isinstance(entity, dict):
        raise ValueError("there is no object 'entity'")
    for kind, fields in FIELDS.items():
        number = entity.get(fields.id)
        if type(number) is int and 0 < number <= LARGEST_ID:
            return Pushed(kind, number, _state(entity, fields), _updated_at(entity))
    raise ValueError("the entity is neither an opportunity nor a project")


def _state(entity: Row, fields: Fields) -> str:
    state = entity.get(fields.state)
    return state.strip().upper() if isinstance(state, str) and len(state) <= LONGEST_STATE else ""


def _updated_at(entity: Row) -> datetime | None:
    try:
        return webhook_moment(str(entity.get(UPDATED)))
    except ValueError:
        return None
