"""A message to the team as e-mail, through the mail server of an Airflow connection."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import parseaddr

from airflow.sdk import Connection

from handoff.errors import TargetError, WrongCredentials
from handoff.texts.messages import one_line
from hooks.mail import Envelope, Mailbox
from hooks.mail_headers import text_header
from notifications.wording import Message


class Post:
    """Sends from one mailbox.

    :raises WrongCredentials: when the connection cannot be used, or has no ``from_email`` in its Extra.
    """

    def __init__(self, conn_id: str, connection: Connection) -> None:
        self._mailbox = Mailbox(conn_id, connection)
        self._sender = parseaddr(self._mailbox.from_email)[1]
        if "@" not in self._sender:
            words = "the sender is missing or not an address; set from_email in the Extra of this connection"
            raise WrongCredentials(conn_id, "open the mailbox", words)

    async def send(self, message: Message, recipients: Sequence[str]) -> None:
        """Send it to everybody.

        :raises TargetError: when nobody could be reached; one who could is enough, so that nobody is told twice.
        """
        failures: list[TargetError] = []
        try:
            for recipient in recipients:
                try:
                    async with self._mailbox.session() as client:
                        await self._mailbox.send(client, self._envelope(message, recipient, recipients))
                except TargetError as error:
                    failures.append(error)
        finally:
            await self._mailbox.close()
        if failures and len(failures) == len(recipients):
            raise failures[0]

    def _envelope(self, message: Message, recipient: str, recipients: Sequence[str]) -> Envelope:
        mail = EmailMessage(policy=SMTP_POLICY.clone(cte_type="7bit"))
        mail["From"], mail["To"] = self._mailbox.from_email, ", ".join(recipients)
        mail["Subject"] = text_header("Subject", one_line(message.subject)[:200])
        mail["Date"] = datetime.now(UTC)
        mark = hashlib.sha256(f"{message.subject}\n{message.text}".encode()).hexdigest()[:32]
        mail["Message-ID"] = f"<handoff.notice.{mark}@{self._sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.text)
        return Envelope(self._sender, recipient, mail.as_bytes(), private=(recipient,))
