"""One mailbox server: connections that are kept open, and what each of its answers means.

What a reply says about the effect (RFC 5321, 4.2.1 and 4.5.3.2): until the message itself has
begun to leave, nothing can have been sent; a reply after it is final; no reply after it is an
unknown outcome.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import cast

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPConnectError,
    SMTPException,
    SMTPResponse,
    SMTPResponseException,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)
from airflow.providers.smtp.hooks.smtp import SmtpHook
from airflow.sdk import Connection

from handoff.errors import Refused, TargetError, Transient, UnknownOutcome, WrongCredentials

SENDING = "send e-mail"
KEPT_OPEN = 4
IDLE_SECONDS = 30.0
WRONG_CREDENTIALS = {530, 534, 535, 538}
"""RFC 4954, 6: authentication required, too weak, not accepted, or encryption required for it."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message as it goes over the wire.

    :param content: the complete message neither dot-stuffed nor ended.
    :param international: the addresses or headers need SMTPUTF8 (RFC 6531).
    :param private: words that the server may repeat and that must not reach a log.
    """

    sender: str
    recipient: str
    content: bytes
    international: bool = False
    private: tuple[str, ...] = ()


class Mailbox:
    """A few open connections to the server of one connection of type ``smtp``; one send at a time on each.

    Host, port, login, password and the extras ``timeout`` (seconds, default 30), ``disable_ssl``,
    ``disable_tls`` and ``ssl_context`` mean what they mean to the SMTP provider's own hook.

    :ivar slots: as many as it may hold open.
    """

    def __init__(self, conn_id: str, connection: Connection) -> None:
        self.account = conn_id
        self._settings = self._read(connection)
        self.from_email = str(self._settings.from_email or "")
        self.slots = asyncio.Semaphore(KEPT_OPEN)
        self._idle: list[tuple[SMTP, float]] = []

    @asynccontextmanager
    async def session(self) -> AsyncIterator[SMTP]:
        """Lend a logged-in connection; it is kept open afterwards if it still works.

        Who sends several mails at a time takes one of the ``slots`` first.

        :raises WrongCredentials: when the login or the connection's settings are not accepted.
        :raises Transient: when the server cannot be reached or has no time; nothing was done.
        """
        client = await self._reuse() or await self._connect()
        try:
            yield client
        except Refused:
            await self._keep(client, reset=True)
            raise
        except BaseException:
            client.close()
            raise
        await self._keep(client)

    async def send(self, client: SMTP, envelope: Envelope) -> str:
        """Hand one message to the server, once, and return its own words of acceptance.

        :raises TargetError: the subclass says whether the message may have been accepted.
        """
        try:
            await self._announce(client, envelope)
        except (SMTPException, OSError, ValueError) as error:
            raise self._before_data(error, envelope.private) from None
        try:
            return clean(_words(await _transmit(client, envelope.content)), envelope.private)
        except SMTPResponseException as error:
            raise self._after_data(error, envelope.private) from None
        except (SMTPException, OSError) as error:
            words = f"the connection ended before the server's reply: {type(error).__name__}"
            raise UnknownOutcome(self.account, SENDING, words) from None

    async def close(self) -> None:
        """End all idle connections; safe to call twice."""
        while self._idle:
            client, _ = self._idle.pop()
            try:
                await client.quit()
            except (SMTPException, OSError):
                client.close()

    async def _reuse(self) -> SMTP | None:
        while self._idle:
            client, since = self._idle.pop()
            if client.is_connected and (time.monotonic() - since < IDLE_SECONDS or await _alive(client)):
                return client
            client.close()
        return None

    async def _keep(self, client: SMTP, reset: bool = False) -> None:
        try:
            if reset:
                await client.rset()
        except (SMTPException, OSError):
            client.close()
        if client.is_connected:
            self._idle.append((client, time.monotonic()))

    async def _connect(self) -> SMTP:
        hook = self._settings
        client = SMTP(
            hostname=hook.host,
            port=hook.port or None,
            username=hook.smtp_user or None,
            password=hook.smtp_password or None,
            timeout=self._timeout,
            use_tls=hook.use_ssl,
            start_tls=hook.smtp_starttls and not hook.use_ssl,
            tls_context=self._tls(),
        )
        try:
            await client.connect()
            await client.ehlo()
        except (SMTPException, OSError) as error:
            client.close()
            raise self._at_connect(error) from None
        return client

    def _read(self, connection: Connection) -> SmtpHook:
        hook = SmtpHook(smtp_conn_id=self.account)
        try:
            # Not the connection itself: its extra_dejson may not be used in async tasks.
            values = {name: getattr(connection, name) for name in ("host", "port", "login", "password")}
            values["extra_dejson"] = dict(json.loads(connection.extra or "{}"))
            hook.smtp_connection = cast("Connection", SimpleNamespace(**values))
            self._timeout = max(float(hook.timeout), 1.0)
        except (TypeError, ValueError):
            raise self._misconfigured("its Extra is not a JSON object with a number as timeout") from None
        if not hook.host.strip():
            raise self._misconfigured("it names no mail server; put the server's name into Host")
        if hook.auth_type != "basic":
            raise self._misconfigured(f"auth_type {hook.auth_type!r} is not supported; use 'basic' in its Extra")
        return hook

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._settings.ssl_context == "none":
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    async def _announce(self, client: SMTP, envelope: Envelope) -> None:
        options = ("SMTPUTF8", "BODY=8BITMIME") if envelope.international else ()
        encoding = "utf-8" if envelope.international else "ascii"
        await client.mail(envelope.sender, options=options, encoding=encoding)
        await client.rcpt(envelope.recipient, encoding=encoding)
        reply = await client.execute_command(b"DATA")
        if reply.code != 354:
            raise SMTPResponseException(reply.code, reply.message)

    def _at_connect(self, error: Exception) -> TargetError:
        if isinstance(error, SMTPResponseException):
            refused = isinstance(error, SMTPAuthenticationError) and error.code >= 500
            kind = WrongCredentials if refused or error.code in WRONG_CREDENTIALS else Transient
            return kind(self.account, "log in to the mail server", clean(_words(error), (self._settings.smtp_user,)))
        if isinstance(error, (SMTPConnectError, SMTPServerDisconnected, SMTPTimeoutError, OSError)):
            host, port = self._settings.host, self._settings.port
            return Transient(self.account, "connect to the mail server", f"{host}:{port}: {_cause(error)}")
        return self._misconfigured(f"{error}; see Login, disable_ssl and disable_tls")

    def _misconfigured(self, words: str) -> WrongCredentials:
        return WrongCredentials(self.account, "open the mailbox", words)

    def _before_data(self, error: Exception, private: Sequence[str]) -> TargetError:
        if not isinstance(error, SMTPResponseException):
            if isinstance(error, (SMTPServerDisconnected, OSError)):
                return Transient(self.account, SENDING, f"before the message: {_cause(error)}")
            return Refused(self.account, SENDING, "the address cannot be written in an SMTP command")
        kind: type[TargetError] = Refused if error.code >= 500 else Transient
        kind = WrongCredentials if error.code in WRONG_CREDENTIALS else kind
        return kind(self.account, SENDING, clean(_words(error), private))

    def _after_data(self, error: SMTPResponseException, private: Sequence[str]) -> TargetError:
        kinds: dict[int, type[TargetError]] = {4: Transient, 5: Refused}
        kind = kinds.get(error.code // 100, UnknownOutcome)
        return kind(self.account, SENDING, clean(_words(error), private))


async def _alive(client: SMTP) -> bool:
    try:
        await client.noop()
    except (SMTPException, OSError):
        return False
    return True


async def _transmit(client: SMTP, content: bytes) -> SMTPResponse:
    protocol = client.protocol
    if protocol is None:
        raise SMTPServerDisconnected("connection lost")
    # Not client.data(): that cannot tell a loss before the message from one after it.
    lines = re.sub(rb"\r\n|\r|\n", b"\r\n", content.rstrip(b"\r\n"))
    protocol.write(re.sub(rb"(?m)^\.", b"..", lines) + b"\r\n.\r\n")
    reply = await protocol.read_response(timeout=client.timeout)
    if not 200 <= reply.code < 300:
        raise SMTPResponseException(reply.code, reply.message)
    return reply


def _words(reply: SMTPResponse | SMTPResponseException) -> str:
    return f"{reply.code} {reply.message}"


def _cause(error: BaseException) -> str:
    """Return the innermost cause in words that name no contact: kind and system message."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return type(error).__name__


def clean(words: str, private: Sequence[str] = ()) -> str:
    """Return a server's words as one short line without addresses and without the ``private`` words."""
    words = " ".join(words.encode("utf-8", "replace").decode("utf-8").split())
    words = re.sub(r"[^\s<>\"'(),;:]*@[^\s<>\"'(),;:]*", "<address>", words)
    for word in filter(None, private):
        words = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", "<private>", words, flags=re.IGNORECASE)
    return words[:200]
