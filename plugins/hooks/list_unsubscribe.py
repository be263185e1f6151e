"""The headers by which a mail program offers to unsubscribe with one click (RFC 8058)."""

from __future__ import annotations

from email.message import EmailMessage

from handoff.texts.links import in_clear
from hooks.mail_headers import Written

HEADER = "List-Unsubscribe"


def offer_one_click(mail: EmailMessage, url: str) -> None:
    """Add ``List-Unsubscribe`` with exactly this one address, and ``List-Unsubscribe-Post`` for one that is https.

    The signature (DKIM) that the mail server adds must cover both: email_and_consent, 8.1.

    :param url: ASCII without spaces and angle brackets, see :class:`handoff.texts.links.Links`.
    """
    # Folding would encode a long address, and no program would read it.
    mail[HEADER] = Written(HEADER, f"<{url}>")
    if not in_clear(url):
        mail[f"{HEADER}-Post"] = "List-Unsubscribe=One-Click"
