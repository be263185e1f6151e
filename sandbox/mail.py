"""The stand-in for a mail server: SMTP with AUTH, without TLS, on loopback."""

from __future__ import annotations

import asyncio
import hmac
import logging
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from sandbox.addresses import is_address, normal_address
from sandbox.calls import Calls
from sandbox.faults import FaultOrder, Faults
from sandbox.gate import Gate
from sandbox.world import World

SYSTEM = "email"
REFUSED_DOMAIN = "refused.example"
LARGEST_MAIL = 10 * 1024 * 1024
REPLIES = {
    "500": "554 5.3.0 Transaction failed",
    "503": "451 4.3.0 Temporary failure, try again later",
    "429": "421 4.7.0 Too many messages, closing connection",
}


class MailRules:
    """What aiosmtpd asks at each step of a mail."""

    def __init__(self, world: World, gate: Gate, faults: Faults, calls: Calls) -> None:
        self._world, self._gate, self._faults, self._calls = world, gate, faults, calls

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: LoginPassword
    ) -> AuthResult:
        """Accept the configured user; answer 535 to everybody else."""
        settings = self._world.scenario.email
        user = hmac.compare_digest(given.login, settings.user.encode())
        password = hmac.compare_digest(given.password, settings.password.encode())
        return AuthResult(success=user and password, handled=False)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd finds its hooks by name
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Refuse who has not logged in."""
        if not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Refuse what is no address and everybody at ``refused.example``."""
        domain = address.rpartition("@")[2].lower()
        if domain == REFUSED_DOMAIN:
            return "550 5.1.1 User unknown"
        if not is_address(normal_address(address)):
            return "553 5.1.3 Bad recipient address syntax"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep the mail, or do what an ordered fault says."""
        self._calls.arrived(SYSTEM)
        fault = self._faults.strike(SYSTEM, "before", "DATA", "", True)
        reply = await self._refuse(server, fault) if fault else await self._accept(server, envelope)
        self._calls.ended(SYSTEM, "DATA", reply[:3])
        return reply

    async def _accept(self, server: SMTP, envelope: Envelope) -> str:
        mail = self._world.mailbox.accept(envelope.mail_from or "", list(envelope.rcpt_tos), _content(envelope))
        fault = self._faults.strike(SYSTEM, "after", "DATA", "", True)
        await asyncio.sleep(self._gate.latency[SYSTEM])
        if fault is not None and fault.fault in {"slow", "hang"}:
            await asyncio.sleep(fault.duration)
        if fault is not None and fault.fault != "slow":
            self._cut(server, "hung" if fault.fault == "hang" else "dropped")
        return f"250 2.0.0 OK: queued as {mail.number}"

    async def _refuse(self, server: SMTP, fault: FaultOrder) -> str:
        if fault.fault == "hang":
            await asyncio.sleep(fault.duration)
        if fault.fault not in REPLIES:
            self._cut(server, "hung" if fault.fault == "hang" else "dropped")
        if fault.fault == "429":
            await server.push(REPLIES["429"])
            self._cut(server, "421", politely=True)
        return REPLIES[fault.fault]

    def _cut(self, server: SMTP, outcome: str, *, politely: bool = False) -> None:
        """End the connection and the conversation on it.

        :raises asyncio.CancelledError: always; it is how aiosmtpd ends a conversation itself.
        """
        self._calls.ended(SYSTEM, "DATA", outcome)
        if isinstance(server.transport, asyncio.Transport):
            server.transport.close() if politely else server.transport.abort()
        raise asyncio.CancelledError


class MailServer:
    """Listens for SMTP in the running loop."""

    def __init__(self, rules: MailRules) -> None:
        self._rules = rules
        self._open: set[Conversation] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Return the port listened on; 0 before the start."""
        return self._server.sockets[0].getsockname()[1] if self._server and self._server.sockets else 0

    async def start(self, host: str, port: int) -> None:
        """Listen.

        :raises OSError: when the port is busy.
        """
        # aiosmtpd logs addresses, and a deprecation of its own at every login
        logging.getLogger("mail.log").setLevel(logging.ERROR)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Conversation(self._rules, self._open), host, port)

    async def stop(self) -> None:
        """Stop listening and end all conversations."""
        if self._server is None:
            return
        self._server.close()
        tasks = [task for one in list(self._open) if (task := one.abort()) is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None


class Conversation(SMTP):
    """One connection, which the server can end."""

    def __init__(self, rules: MailRules, all_open: set[Conversation]) -> None:
        # AUTH is enforced in handle_MAIL: aiosmtpd's own auth_required warns when there is no TLS.
        super().__init__(
            rules, hostname="sandbox.localhost", ident="Sandbox", enable_SMTPUTF8=True, auth_require_tls=False,
            authenticator=rules.authenticate, data_size_limit=LARGEST_MAIL,
            loop=asyncio.get_running_loop(),
        )  # fmt: skip
        self._all_open = all_open

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the open conversations."""
        self._all_open.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Leave the open conversations."""
        self._all_open.discard(self)
        super().connection_lost(error)

    def abort(self) -> asyncio.Task[None] | None:
        """Cut the connection; return the task that is ending."""
        task: asyncio.Task[None] | None = self._handler_coroutine
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()
        return task


def _content(envelope: Envelope) -> bytes:
    content: Any = envelope.original_content
    return content if isinstance(content, bytes) else b""
