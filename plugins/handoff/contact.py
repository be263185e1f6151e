"""A person who may be handed over, identified by a normalised e-mail address."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

from handoff.errors import HandoffError
from handoff.spellings import left_out


class UnusableAddress(HandoffError):
    """A contact cannot be handed over; ``reason`` is the verdict's reason: ``no_email`` or ``invalid_email``."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"contact left out: {reason}")


@dataclass(frozen=True, slots=True)
class Contact:
    """A person as the source describes them.

    :param email: normalised address (see :func:`normalise_email`).
    :param language: ``"de"`` or ``"en"``; other languages are written to in the rule's language.
    :param timezone: IANA name of the contact's own zone, or empty when the source does not know it.
    """

    email: str
    first_name: str = ""
    last_name: str = ""
    phone: str = ""
    language: str = "de"
    timezone: str = ""

    @property
    def key(self) -> str:
        """The contact's name in logs, lanes and XComs: 32 hex digits that do not show the address."""
        return hashlib.sha256(f"handoff-contact:{self.email}".encode()).hexdigest()[:32]

    def left_out_of(self, words: str) -> str:
        """Return words for a log or an error without this contact's address, names and number.

        They are found in either case and percent-encoded too, as vendors repeat them from what they were asked.
        """
        words = left_out(self.email, words) if self.email else words
        for private in filter(None, (self.first_name, self.last_name, self.phone)):
            words = left_out(private, words, alone=True)
        return words


def normalise_email(text: str | None) -> str:
    """Return the one spelling of an address by which a contact is known.

    Trimmed, Unicode NFC, lower case throughout: mailbox providers ignore the case of the
    local part, and KlickTipp and ActiveCampaign both key contacts by it. No DNS query is made.

    :raises UnusableAddress: with reason ``no_email`` or ``invalid_email``.
    """
    if not text or not text.strip():
        raise UnusableAddress("no_email")
    try:
        return validate_email(text.strip(), check_deliverability=False, test_environment=True).normalized.lower()
    except EmailNotValidError as error:
        raise UnusableAddress("invalid_email") from error


def comparable(address: str) -> str:
    """Return the spelling by which addresses of two systems are compared; of what is no address its lower case.

    Systems show a domain with umlauts as it is written or as its ASCII form (``xn--``), and in either Unicode form.
    """
    folded = address.strip().casefold()
    if folded.isascii() and "xn--" not in folded:
        # Nearly all are: long lists of them are compared.
        return folded
    try:
        return normalise_email(address)
    except UnusableAddress:
        return folded


def same_address(one: str, other: str) -> bool:
    """Whether two systems mean the same address, see :func:`comparable`."""
    return comparable(one) == comparable(other)
