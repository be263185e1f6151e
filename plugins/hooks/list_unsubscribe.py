"""The headers by which a mail program offers to unsubscribe with one click (RFC 8058)."""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import Policy

HEADER = "List-Unsubscribe"


class _Unfolded(str):
    """A header's value that is written as it is: folding would encode a long address, and no program would read it."""

    name = HEADER

    def fold(self, *, policy: Policy) -> str:
        """Return the header as one line."""
        return f"{self.name}: {self}{policy.linesep}"


def offer_one_click(mail: EmailMessage, url: str) -> None:
    """Add ``List-Unsubscribe`` with exactly this one address, and ``List-Unsubscribe-Post``.

    The signature (DKIM) that the mail server adds must cover both: email_and_consent, 8.1.

    :param url: ASCII without spaces and angle brackets, see :class:`handoff.texts.links.Links`.
    """
    mail[HEADER] = _Unfolded(f"<{url}>")
    mail[f"{HEADER}-Post"] = "List-Unsubscribe=One-Click"
