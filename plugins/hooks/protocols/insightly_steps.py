"""What Insightly's step means at the vendor: one note for each survey and contact, found again by its first line."""

from __future__ import annotations

import hashlib
import html
import re
from dataclasses import dataclass
from typing import cast

from handoff.errors import Refused
from handoff.occasion import Occasion
from handoff.rules.steps import InsightlyNote, Step
from handoff.target import Call, Proof
from hooks.protocols.answers import Denied
from hooks.protocols.insightly import InsightlyProtocol
from hooks.protocols.insightly_notes import InsightlyNotes, Note
from hooks.protocols.insightly_records import RecordKind, id_of
from hooks.protocols.shared import Conversation

NOTING = "write note"
LONGEST_TITLE, LONGEST_BODY = 250, 12_000
"""Characters before escaping. What Insightly allows is not known; a comment of 10,000 characters fits."""
CUT = "…"
MARKER = re.compile(r"\[handoff\s([0-9a-f]{16})\s([0-9a-f]{8})\]")
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
RECORD = re.compile(r"(opportunity|project)/([1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Mark:
    """What the first line of a note says.

    :param note: the same for everything that one survey writes about one contact.
    :param effect: the same for every attempt of one effect, another for a changed answer.
    """

    note: str
    effect: str

    @classmethod
    def of(cls, call: Call) -> Mark:
        """Return the mark that a call leaves."""
        series = (call.occasion.account, call.occasion.series, call.contact.key)
        return cls(_digest("\n".join(series))[:16], _digest(call.key)[:8])

    @classmethod
    def in_body(cls, body: str) -> Mark | None:
        """Return the mark of a note: the first one, for the comment after it may hold what looks like one."""
        found = MARKER.search(body)
        return cls(found[1], found[2]) if found else None

    def __str__(self) -> str:
        return f"[handoff {self.note} {self.effect}]"


@dataclass(frozen=True, slots=True)
class RecordRef:
    """The record that a note is linked to, written ``opportunity/31`` in an occasion's fact ``record``."""

    kind: RecordKind
    id: int

    @classmethod
    def of(cls, occasion: Occasion, account: str) -> RecordRef | None:
        """Return an occasion's record, ``None`` when the account has none. :raises Refused: it cannot be read."""
        text = told(occasion, account, "record")
        found = RECORD.fullmatch(text)
        if text and not found:
            raise Refused(account, NOTING, "the occasion's record must be written like opportunity/31 or project/7")
        return cls(cast(RecordKind, found[1]), int(found[2])) if found else None


class InsightlySteps:
    """Carries out the steps of one account and reads them back."""

    def __init__(self, protocol: InsightlyProtocol) -> None:
        self.protocol, self.notes = protocol, InsightlyNotes(protocol)

    def prepare(self, step: Step) -> Conversation[None]:
        """Need nothing: no name has to be resolved, and the day's requests are few."""
        yield from ()

    def send(self, call: Call) -> Conversation[Proof]:
        """Carry out one effect. :raises Refused: also for a step that Insightly does not have."""
        if isinstance(call.step, InsightlyNote):
            return self._write(call.step, call)
        raise self._foreign(call)

    def seen(self, call: Call) -> Conversation[Proof | None]:
        """Read one effect back; ``None`` when it is not there."""
        if isinstance(call.step, InsightlyNote):
            return self._written(call.step, call)
        raise self._foreign(call)

    def _write(self, step: InsightlyNote, call: Call) -> Conversation[Proof]:
        """Make the note or change it, and link it; what an earlier attempt did is not done again."""
        record = self._record(step, call)
        contact_id = yield from self._contact_id(call)
        if contact_id is None:
            words = "the account has no contact with this id or address any more; add the contact, then replay"
            raise Refused(self.protocol.account, NOTING, words)
        mark = Mark.of(call)
        title, body = title_of(step.title.strip() or call.rule.title), body_of(step.body, mark)
        note = yield from self._note(contact_id, mark)
        if note is None:
            note = yield from self.notes.add(contact_id, title, body)
        elif Mark.in_body(note.body) != mark:
            yield from self.notes.change(note.id, title, body)
        linked = record is not None and (yield from self._link(note, record))
        return _proof(contact_id, note, linked)

    def _written(self, step: InsightlyNote, call: Call) -> Conversation[Proof | None]:
        record = self._record(step, call)
        contact_id = yield from self._contact_id(call)
        mark = Mark.of(call)
        note = (yield from self._note(contact_id, mark)) if contact_id else None
        if contact_id is None or note is None or Mark.in_body(note.body) != mark:
            return None
        linked = record is not None and (yield from self._is_linked(note, record))
        return _proof(contact_id, note, linked) if linked or record is None else None

    def _note(self, contact_id: int, mark: Mark) -> Conversation[Note | None]:
        """Return the survey's note on the contact: the oldest, should there be several."""
        for note in (yield from self.notes.of_contact(contact_id)):
            found = Mark.in_body(note.body)
            if found and found.note == mark.note:
                return note
        return None

    def _contact_id(self, call: Call) -> Conversation[int | None]:
        """Return the contact of whom the occasion speaks, else the oldest one with the address."""
        known = call.known.get("contact_id")
        if isinstance(known, int):
            return known
        ref = id_of(told(call.occasion, self.protocol.account, "contact_ref"))
        contact = (yield from self.protocol.contact(ref)) if ref else None
        if contact is None:
            same = yield from self.protocol.contacts_by_email(call.contact.email)
            contact = same[0] if same else None
        return contact.id if contact else None

    def _link(self, note: Note, record: RecordRef) -> Conversation[bool]:
        """Link the note unless it is; returns whether it is now, for a record that is gone cannot be linked."""
        if note.links is not None and _leads(note, record):
            return True
        try:
            yield from self.protocol.add_link("note", note.id, record.kind, record.id)
        except Denied as error:
            if error.status == 404:
                return False
            # It may have been linked already, by an attempt whose answer was lost.
            if not (yield from self._is_linked(Note(note.id), record)):
                raise
        return True

    def _is_linked(self, note: Note, record: RecordRef) -> Conversation[bool]:
        links = yield from self.notes.links(note)
        return any(link.leads_to(record.kind, record.id) for link in links)

    def _record(self, step: InsightlyNote, call: Call) -> RecordRef | None:
        return RecordRef.of(call.occasion, self.protocol.account) if step.link else None

    def _foreign(self, call: Call) -> Refused:
        return Refused(self.protocol.account, call.step.step, "this connection is an Insightly account")


def told(occasion: Occasion, account: str, fact: str) -> str:
    """Return what an occasion says of an Insightly account; the same number means somebody else in any other."""
    of_account = occasion.facts.get("source") == "insightly" and occasion.facts.get("account") == account
    return str(occasion.facts.get(fact) or "").strip() if of_account else ""


def title_of(text: str) -> str:
    """Return a title as one line, cut at :data:`LONGEST_TITLE`."""
    return _cut(" ".join(UNPRINTABLE.sub(" ", text).split()), LONGEST_TITLE)


def body_of(text: str, mark: Mark) -> str:
    """Return a note's body, cut at :data:`LONGEST_BODY`, with the mark as its first line, which no cut takes away.

    How long a body Insightly keeps is not known, nor what it makes of HTML, so that ``&``, ``<`` and ``>`` are escaped.
    """
    lines = UNPRINTABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
    return f"{mark}\n\n{html.escape(_cut(lines, LONGEST_BODY), quote=False)}".strip()


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - len(CUT)] + CUT


def _leads(note: Note, record: RecordRef) -> bool:
    return any(link.leads_to(record.kind, record.id) for link in note.links or ())


def _proof(contact_id: int, note: Note, linked: bool) -> Proof:
    return {"contact_id": contact_id, "note_id": note.id, "linked": linked}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
