"""Notes of Insightly's contacts: made through the parent, changed with If-Match (insightly.md 1.2, 1.4, 1.8)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from handoff.errors import Transient
from hooks.protocols.answers import Denied, unreadable
from hooks.protocols.insightly import InsightlyProtocol
from hooks.protocols.insightly_errors import Stale
from hooks.protocols.insightly_records import Link, UnreadableRow, id_in, links_of
from hooks.protocols.shared import Conversation

NOTES = "/Notes"
CHANGING = "change note"


@dataclass(frozen=True, slots=True)
class Note:
    """A note.

    :param links: what it is linked to; ``None`` when the answer does not say.
    """

    id: int
    title: str = field(default="", repr=False)
    body: str = field(default="", repr=False)
    links: tuple[Link, ...] | None = None


class InsightlyNotes:
    """One account's notes."""

    def __init__(self, protocol: InsightlyProtocol) -> None:
        self._protocol = protocol

    def of_contact(self, contact_id: int) -> Conversation[tuple[Note, ...]]:
        """Return a contact's notes by ascending id; those that cannot be read are left out.

        :raises Denied: there is no such contact.
        """
        path = f"/Contacts/{contact_id}{NOTES}"
        rows = yield from self._protocol.all_of(path, "read notes of contact", "NOTE_ID")
        notes = {note.id: note for note in map(_readable, rows) if note}
        return tuple(notes[number] for number in sorted(notes))

    def add(self, contact_id: int, title: str, body: str) -> Conversation[Note]:
        """Add a note to a contact; the same call again adds another one. :raises Denied: Insightly says no."""
        path = f"/Contacts/{contact_id}{NOTES}"
        content = {"TITLE": title, "BODY": body}
        request = self._protocol.request("POST", path, "add note", json=content)
        return self._protocol.parsed(request, (yield request), note_of)

    def change(self, note_id: int, title: str, body: str) -> Conversation[None]:
        """Replace title and body of a note; one that changed since its ETag was read is read again once.

        :raises Transient: it is gone, or changed again; nothing was done.
        """
        content = {"NOTE_ID": note_id, "TITLE": title, "BODY": body}
        words = "the note keeps changing"
        for _ in range(2):
            try:
                etag = yield from self._etag(note_id)
                # The id stands in the body and not in the path, as for other things (1.6).
                condition = {"If-Match": etag} if etag else {}
                yield from self._protocol.change("PUT", NOTES, CHANGING, content, **condition)
                return
            except Stale:
                continue
            except Denied as error:
                if error.status != 404:
                    raise
                words = "the note was deleted meanwhile"
                break
        raise Transient(self._protocol.account, CHANGING, words)

    def links(self, note: Note) -> Conversation[tuple[Link, ...]]:
        """Return what a note is linked to, asking for it only where the note does not say."""
        if note.links is not None:
            return note.links
        return (yield from self._protocol.links("note", note.id))

    def _etag(self, note_id: int) -> Conversation[str]:
        """Read a note's ETag, empty when it has none."""
        request = self._protocol.request("GET", f"{NOTES}/{note_id}", "read note")
        response = yield request
        if not isinstance(self._protocol.accepted(request, response), dict):
            raise unreadable(self._protocol.account, request, "the answer is no note")
        return response.headers.get("etag", "").strip()


def note_of(row: Any) -> Note:
    """Read a note. :raises UnreadableRow: it has no id, or its links are no links."""
    number = id_in(row, "NOTE_ID")
    links = None if row.get("LINKS") is None else tuple(links_of(row["LINKS"]))
    return Note(number, str(row.get("TITLE") or ""), str(row.get("BODY") or ""), links)


def _readable(row: Any) -> Note | None:
    try:
        return note_of(row)
    except UnreadableRow:
        return None
