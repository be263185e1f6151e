"""The mails that were accepted."""

from __future__ import annotations

import time
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from email.policy import default

from sandbox.addresses import normal_address
from sandbox.effects import Effects


@dataclass(frozen=True, slots=True)
class Mail:
    """One accepted mail.

    :param at: unix seconds.
    :param recipients: from the envelope, not from the headers.
    """

    number: int
    at: float
    sender: str
    recipients: tuple[str, ...]
    subject: str
    raw: bytes

    def message(self) -> EmailMessage:
        """Return the mail parsed."""
        return message_from_bytes(self.raw, policy=default)


class Mailbox:
    """Mails in order of acceptance, numbered from 1."""

    def __init__(self, effects: Effects) -> None:
        self._effects = effects
        self.mails: list[Mail] = []

    def accept(self, sender: str, recipients: list[str], raw: bytes) -> Mail:
        """Keep a mail and record effect ``mail`` for each of its recipients."""
        headers = BytesHeaderParser(policy=default).parsebytes(raw)
        subject = _one_line(headers.get("Subject", ""))
        mail = Mail(len(self.mails) + 1, time.time(), sender, tuple(recipients), subject, raw)
        self.mails.append(mail)
        for recipient in recipients:
            self._effects.record(
                "email", "mail", normal_address(recipient),
                message_id=_one_line(headers.get("Message-ID", "")), subject=subject, sender=sender,
                number=mail.number, size=len(raw),
            )  # fmt: skip
        return mail

    def mail(self, number: int) -> Mail | None:
        """Return the mail with this number."""
        return self.mails[number - 1] if 1 <= number <= len(self.mails) else None


def _one_line(header: object) -> str:
    return " ".join(str(header).split())
