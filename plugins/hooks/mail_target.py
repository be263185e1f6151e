"""E-mail as a target: a rendered message to one contact, marked by its effect, sent at most once."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import parseaddr
from typing import Any
from urllib.parse import quote

from airflow.sdk import Connection
from email_validator import EmailNotValidError, ValidatedEmail, validate_email

from handoff.consent import SERVICE
from handoff.contact import Contact
from handoff.delivery import standing
from handoff.errors import Refused, TemplateError, UnknownOutcome, WrongCredentials
from handoff.ledger.quotas import Limits
from handoff.rules.steps import Email, OptIn, Step, Survey
from handoff.target import Call, Promise, Proof
from handoff.texts.links import VARIABLE, Links
from handoff.texts.messages import Message, Templates, one_line
from handoff.texts.opt_in_mail import opt_in_variables
from handoff.texts.survey_mail import survey_variables
from handoff.texts.templates import variables_of
from hooks.account import Account, ConnectionValues, extra_of
from hooks.list_unsubscribe import offer_one_click
from hooks.mail import SENDING, Envelope, Mailbox
from hooks.mail_headers import ENCODED_WORD, address_header, text_header
from hooks.transport import Throttle


class MailTarget:
    """One mailbox that steps of the kinds ``email``, ``survey`` and ``opt_in`` are sent from.

    Every attempt of an effect carries the same ``Message-ID: <handoff.{call.key}@{sender's domain}>``
    and ``X-Handoff-Effect: {call.key}``, so that a mail found in an inbox can be traced back.
    A rule whose purpose is not ``service`` sends nothing without a way to unsubscribe: headers and a link.
    """

    promise = Promise.AT_MOST_ONCE
    settling_seconds = 0.0

    def __init__(self, mailbox: Mailbox, templates: Templates, throttle: Throttle | None = None) -> None:
        self._mailbox, self._templates, self._throttle = mailbox, templates, throttle
        self._sender = _sender(mailbox)

    @classmethod
    def from_connection(
        cls, conn_id: str, connection: Connection, templates: Templates, throttle: Throttle | None = None
    ) -> MailTarget:
        """Build the target from an Airflow connection of type ``smtp``; nothing is connected yet.

        :param throttle: awaited before every mail (see :meth:`limits`).
        :raises WrongCredentials: when the connection has no usable ``from_email`` in its Extra.
        """
        return cls(Mailbox(conn_id, connection), templates, throttle)

    @staticmethod
    def limits(conn_id: str, connection: ConnectionValues) -> Limits:
        """Return how many mails the connection allows over all workers; any number where it does not say.

        :raises WrongCredentials: something is no number.
        """
        account = Account(conn_id, base_url="", login="", password="", extra=extra_of(conn_id, connection))
        rate = account.number("requests_per_second", 0.0, 0.01)
        return replace(account.limits, rate=rate or None)

    async def prepare(self, step: Step) -> None:
        """Connect and log in. :raises TargetError: see :class:`~handoff.target.Target`."""
        async with self.slot(), self._mailbox.session():
            pass

    def coalesces(self, call: Call) -> bool:
        """Every call is a request of its own."""
        return False

    def slot(self) -> AbstractAsyncContextManager[None]:
        """One of the few connections that are kept open, for one mail at a time."""
        return self._mailbox.slots

    async def send(self, call: Call) -> Proof:
        """Render the step's message and hand it to the server once.

        :return: ``message_id``, ``accepted_at`` (ISO, UTC) and ``reply``, the server's own words.
        :raises TargetError: the subclass says what is known about the effect.
        """
        unsubscribe = self._unsubscribe_url(call)
        message, recipient = self._message(call, unsubscribe), self._recipient(call.contact)
        if self._throttle is not None:
            await self._throttle()
        async with self._mailbox.session() as client:
            # To connect may have taken long.
            standing.check()
            utf8 = client.supports_extension("smtputf8")
            address = recipient.ascii_email or (recipient.normalized if utf8 else "")
            if not address:
                words = "the mail server does not offer SMTPUTF8, which this contact's international address needs"
                raise Refused(self._mailbox.account, SENDING, words)
            mail = self._compose(call, message, address)
            if unsubscribe:
                offer_one_click(mail, unsubscribe)
            reply = await self._mailbox.send(client, self._envelope(mail, address, call.contact))
        return {"message_id": str(mail["Message-ID"]), "accepted_at": _now(), "reply": reply}

    async def seen(self, call: Call) -> Proof | None:
        """Never asked of this target: nobody can read a contact's mailbox.

        :raises UnknownOutcome: always.
        """
        words = "a contact's mailbox cannot be read; the effect is held for a person to decide"
        raise UnknownOutcome(self._mailbox.account, "look for a sent e-mail", words)

    async def close(self) -> None:
        """End the connections; safe to call twice."""
        await self._mailbox.close()

    def _unsubscribe_url(self, call: Call) -> str:
        """Return where the contact can unsubscribe, empty for a message that is service."""
        if call.rule.purpose == SERVICE:
            return ""
        links = self._links(f"a {call.rule.purpose} mail needs a link to unsubscribe")
        return links.unsubscribe(call.contact.key, call.rule.purpose)

    def _links(self, need: str) -> Links:
        if self._templates.links is None:
            words = f"{need}: set {VARIABLE} to Airflow's public address"
            raise Refused(self._mailbox.account, SENDING, words)
        return self._templates.links

    def _message(self, call: Call, unsubscribe: str) -> Message:
        account = self._mailbox.account
        if not isinstance(call.step, Email | Survey | OptIn):
            raise Refused(account, SENDING, f"the step {call.step.step!r} is not an e-mail")
        language = call.contact.language if call.step.language == "contact" else call.step.language
        shown = variables_of(call.contact, call.occasion, call.rule)
        own = self._variables(call.step, call.key)
        variables = shown | dict(call.more) | {"unsubscribe_url": unsubscribe} | own
        try:
            message = self._templates.render(call.step.template, language, variables)
        except TemplateError as error:
            raise Refused(account, "render e-mail", str(error)) from error
        if not (unsubscribe in message.text and unsubscribe in message.html):
            words = f"{call.step.template}: shows no {{{{ unsubscribe_url }}}}, which a {call.rule.purpose} mail needs"
            raise Refused(account, "render e-mail", words)
        confirm = own.get("confirm_url", "")
        if not (confirm in message.text and confirm in message.html):
            words = f"{call.step.template}: shows no {{{{ confirm_url }}}}, which a confirmation mail needs"
            raise Refused(account, "render e-mail", words)
        return message

    def _variables(self, step: Step, effect_key: str) -> dict[str, Any]:
        """Return what only this kind of mail may show."""
        if isinstance(step, Survey):
            return survey_variables(self._links("a survey needs a link to its page"), effect_key)
        if isinstance(step, OptIn):
            return opt_in_variables(step, self._links("a confirmation mail needs a link to its page"), effect_key)
        return {}

    def _recipient(self, contact: Contact) -> ValidatedEmail:
        try:
            valid = validate_email(contact.email, check_deliverability=False, test_environment=True)
        except EmailNotValidError:
            raise Refused(self._mailbox.account, SENDING, "the contact's address is not valid") from None
        if ENCODED_WORD in valid.normalized:
            words = f"the contact's address holds {ENCODED_WORD}, which cannot be written in a mail's header"
            raise Refused(self._mailbox.account, SENDING, words)
        return valid

    def _compose(self, call: Call, message: Message, address: str) -> EmailMessage:
        mail = EmailMessage(policy=SMTP_POLICY.clone(cte_type="7bit", utf8=not address.isascii()))
        name = one_line(f"{call.contact.first_name} {call.contact.last_name}")
        mail["From"] = self._sender
        mail["To"] = address_header("To", name, address)
        mail["Subject"] = text_header("Subject", message.subject)
        mail["Date"] = datetime.now(UTC)
        mail["Message-ID"] = f"<handoff.{quote(call.key, safe='')}@{self._sender.domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Handoff-Effect"] = one_line(call.key)
        mail.set_content(message.text)
        mail.add_alternative(message.html, subtype="html")
        mail["Content-Language"] = message.language
        return mail

    def _envelope(self, mail: EmailMessage, address: str, contact: Contact) -> Envelope:
        private = (contact.email.rpartition("@")[0], contact.first_name, contact.last_name, contact.phone)
        sender = f"{self._sender.username}@{self._sender.domain}"
        return Envelope(sender, address, mail.as_bytes(), not address.isascii(), private)


def _sender(mailbox: Mailbox) -> Address:
    name, address = parseaddr(mailbox.from_email)
    try:
        valid = validate_email(address, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        valid = None
    if valid is None or not valid.ascii_email or ENCODED_WORD in valid.ascii_email:
        words = "the sender is missing or not an address; set from_email in the Extra of this connection"
        raise WrongCredentials(mailbox.account, "open the mailbox", words)
    username, _, domain = valid.ascii_email.rpartition("@")
    return Address(one_line(name), username, domain)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
