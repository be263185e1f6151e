"""Recipients written by hand, one on each line: an address, with or without a name."""

from __future__ import annotations

from email.utils import parseaddr

from handoff.contact import Contact, UnusableAddress, normalise_email
from handoff.errors import HandoffError

MOST = 500
"""More than people write by hand; a longer list should come from a source."""


class UnusableLine(HandoffError):
    """A line of recipients cannot be used; it is named by its number, not by its content."""

    def __init__(self, number: int, reason: str) -> None:
        right = "write Eva Muster <eva@example.org>"
        super().__init__(f"line {number} of the recipients cannot be used: {reason}; {right}")


def recipients(text: str, language: str) -> list[Contact]:
    """Return the contacts of a text such as ``Eva Muster <eva@example.org>``, each once; empty lines are skipped.

    The last word of a name is the last name (Nachname).

    :param language: ``de`` or ``en``, for all of them.
    :raises UnusableLine: a line holds no valid address, or there are more than :data:`MOST`.
    """
    found: dict[str, Contact] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        if len(found) == MOST:
            raise UnusableLine(number, f"more than {MOST} recipients")
        name, address = parseaddr(line.strip().rstrip(",;"))
        try:
            email = normalise_email(address if address and "@" in line else line)
        except UnusableAddress as error:
            raise UnusableLine(number, error.reason) from None
        first, _, last = name.strip().rpartition(" ")
        found.setdefault(email, Contact(email, first or last, last if first else "", language=language))
    return list(found.values())
