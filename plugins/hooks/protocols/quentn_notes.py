"""The block that we keep in a contact's notes field; what people write around it stays."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from handoff.occasion import Occasion
from handoff.planning.appointments import id_of
from handoff.target import Call

LONGEST = 10_000
"""Characters of a note; what Quentn allows is not known."""
CUT = "…"
MARKER = re.compile(r"\[(?=/?handoff )")
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class NoteBlock:
    """A text between two marks, one block for each occasion, or each appointment, and contact.

    :param mark: 16 hexadecimal digits, the same for every rule that writes about the same and the contact.
    """

    mark: str
    text: str = field(repr=False)

    @classmethod
    def of(cls, call: Call, text: str) -> NoteBlock | None:
        """Return the block for a rendered note, ``None`` for an empty one."""
        lines = UNPRINTABLE.sub("", _unix(text)).strip()
        if not lines:
            return None
        lines = lines if len(lines) <= LONGEST else lines[: LONGEST - len(CUT)] + CUT
        occasion = call.occasion
        parts = (occasion.source, occasion.account, _subject(occasion), call.contact.key)
        # A customer's text must not look like the end of its own block.
        return cls(hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16], MARKER.sub("(", lines))

    def __str__(self) -> str:
        return f"[handoff {self.mark}]\n{self.text}\n[/handoff {self.mark}]"

    def is_in(self, notes: str) -> bool:
        """Whether the notes hold the block with exactly this text."""
        return str(self) in _unix(notes)

    def put_into(self, notes: str) -> str:
        """Return the notes with the block in the place of its older text, else at their end."""
        kept = _unix(notes)
        older = re.compile(rf"\[handoff {self.mark}\].*?\[/handoff {self.mark}\]", re.DOTALL)
        if older.search(kept):
            return older.sub(lambda _: str(self), kept, count=1)
        return f"{kept.rstrip()}\n\n{self}".lstrip()


def _subject(occasion: Occasion) -> str:
    """Return what is written about: booking, changes and deletion of an appointment are occasions of their own."""
    return id_of(occasion) if "appointment" in occasion.facts else occasion.key


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
