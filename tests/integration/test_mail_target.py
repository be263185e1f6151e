"""What a contact's mail looks like on the wire, and what each answer of a real SMTP server means."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, message_from_string
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from airflow.sdk import Connection

from handoff.contact import Contact
from handoff.errors import Refused, TargetError, Transient, UnknownOutcome, WrongCredentials
from handoff.occasion import Occasion
from handoff.rules.steps import Email
from handoff.target import Call, Promise
from handoff.texts.messages import Templates
from handoff.texts.templates import RuleFacts
from hooks import mail
from hooks.mail_target import MailTarget
from hooks.transport import Throttle

TEMPLATES = Templates(Path(__file__).parents[2] / "include" / "templates")
pytestmark = pytest.mark.integration
START = datetime(2026, 3, 24, 18, tzinfo=UTC)
WEBINAR = Occasion("webinaris", "webinaris_default", "d1", "Mehr Termine", {"start": START, "end": START})
EVA = Contact("eva@example.org", "Eva", "Müller")


class Server:
    """A real SMTP server that keeps what it accepts, or misbehaves as told."""

    def __init__(self, **faults: Any) -> None:
        self.faults = faults
        self.mails: list[bytes] = []
        self.recipients: list[str] = []
        self.connections = 0
        self.commands: list[str] = []

    async def handle_RCPT(self, server: Any, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if reply := self.faults.get("rcpt"):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.faults.get("data") == "hang":
            await asyncio.sleep(5)
        self.mails.append(bytes(envelope.content or b""))
        self.recipients += envelope.rcpt_tos
        if self.faults.get("data") == "drop":
            server.transport.abort()
        return self.faults.get("reply", "250 2.0.0 Ok: queued as 4XyZ")

    def protocol(self) -> SMTP:
        self.connections += 1
        options: dict[str, Any] = {"enable_SMTPUTF8": self.faults.get("utf8", False), "hostname": "mail.test"}
        if self.faults.get("login"):
            options |= {"auth_required": True, "auth_require_tls": False, "authenticator": _authenticator}
        return Recorder(self, **options)


class Recorder(SMTP):
    """Notes the commands, and can break off before the message."""

    def __init__(self, server: Server, **options: Any) -> None:
        super().__init__(server, **options)
        self.owner = server

    async def smtp_DATA(self, arg: str) -> None:
        if self.owner.faults.get("data") == "drop before":
            self.transport.abort()
        else:
            await super().smtp_DATA(arg)

    async def smtp_NOOP(self, arg: str) -> None:
        self.owner.commands.append("NOOP")
        await super().smtp_NOOP(arg)


def _authenticator(server: SMTP, session: Session, envelope: Envelope, mechanism: str, auth: Any) -> AuthResult:
    right = isinstance(auth, LoginPassword) and (auth.login, auth.password) == (b"sender", b"secret")
    return AuthResult(success=right, handled=False)


@asynccontextmanager
async def running(server: Server, throttle: Throttle | None = None, **connection: Any) -> AsyncIterator[MailTarget]:
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(server.protocol, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    target = MailTarget.from_connection("smtp_default", smtp(port, **connection), TEMPLATES, throttle)
    try:
        yield target
    finally:
        await target.close()
        listener.close()
        await asyncio.sleep(0)


def smtp(port: int, login: str | None = None, password: str | None = None, **extra: Any) -> Connection:
    extra = {"from_email": "Webinar Team <team@sender.test>", "disable_ssl": True, "disable_tls": True, **extra}
    return Connection(
        conn_id="smtp_default", conn_type="smtp", host="127.0.0.1", port=port, login=login, password=password,
        extra=json.dumps(extra),
    )  # fmt: skip


def call(contact: Contact = EVA, key: str = "ab12", **step: Any) -> Call:
    return Call(key, Email(step="email", template="webinar_attended", **step), contact, WEBINAR)


def parsed(content: bytes) -> EmailMessage:
    mail = message_from_bytes(content, policy=default)
    assert isinstance(mail, EmailMessage)
    return mail


async def test_a_contact_gets_text_and_html_with_a_traceable_id() -> None:
    server = Server()
    async with running(server) as target:
        proof = await target.send(call())
    received = parsed(server.mails[0])
    assert server.recipients == ["eva@example.org"]
    assert received["From"] == "Webinar Team <team@sender.test>"
    assert received["To"] == "Eva Müller <eva@example.org>"
    assert received["Subject"] == "Schön, dass Sie dabei waren: Mehr Termine"
    assert received["Message-ID"] == "<handoff.ab12@sender.test>"
    assert received["Auto-Submitted"] == "auto-generated"
    assert received["X-Handoff-Effect"] == "ab12"
    assert received["Date"].datetime.tzinfo is not None
    assert [part.get_content_type() for part in received.iter_parts()] == ["text/plain", "text/html"]
    text, html = (part.get_content() for part in received.iter_parts())
    assert "Guten Tag Eva Müller," in text
    assert '<p style="' in html
    assert proof["message_id"] == "<handoff.ab12@sender.test>"
    assert proof["reply"] == "250 2.0.0 Ok: queued as 4XyZ"
    assert "eva" not in json.dumps(dict(proof))


async def test_the_wire_form_is_seven_bit_crlf_lines() -> None:
    server = Server()
    async with running(server) as target:
        await target.send(call())
    content = server.mails[0]
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert b"\n" not in content.replace(b"\r\n", b"")


async def test_the_language_is_the_steps_or_the_contacts() -> None:
    server = Server()
    ada = Contact("ada@example.org", "Ada", language="en")
    async with running(server) as target:
        await target.send(call(ada, language="contact"))
        await target.send(call(ada, language="de"))
        await target.send(call(Contact("jean@example.org", language="fr")))
    assert [parsed(content)["Content-Language"] for content in server.mails] == ["en", "de", "de"]
    assert "Thank you for joining us" in parsed(server.mails[0])["Subject"]


async def test_a_contact_without_a_language_of_ours_is_written_to_in_the_rules() -> None:
    server = Server()
    told = Call("k", call().step, Contact("jean@example.org", language="fr"), WEBINAR, rule=RuleFacts(language="en"))
    async with running(server) as target:
        await target.send(told)
    assert parsed(server.mails[0])["Content-Language"] == "en"


async def test_the_throttle_comes_before_the_server() -> None:
    server = Server()
    waits: list[int] = []

    async def throttle() -> None:
        waits.append(len(server.mails))

    async with running(server, throttle) as target:
        await target.send(call())
        await target.send(call())
    assert waits == [0, 1]


async def test_a_name_cannot_add_headers() -> None:
    server = Server()
    async with running(server) as target:
        await target.send(call(Contact("eva@example.org", "Eva\r\nBcc: all@example.org", 'O"Hara, <x>')))
    received = parsed(server.mails[0])
    assert received["Bcc"] is None
    assert server.recipients == ["eva@example.org"]
    assert received["To"].addresses[0].addr_spec == "eva@example.org"
    assert received["To"].addresses[0].display_name == 'Eva Bcc: all@example.org O"Hara, <x>'


ENCODED = [
    "=?utf-8?q?a=0D=0ABcc:_x=40evil.de?=", "=?utf-8?q?E=22_=3Ce=40x=3E=0D=0A=0D=0AHallo?=", "=?=?utf-8?q?a=0D=0AX:_1?=",
    "==??utf-8?b?DQpYOiAx?=", "a" * 80 + ' <b>Hier, "bezahlen"', "Doe, Eva <x@y.de>, " * 9 + "E", "ü" * 250,
]  # fmt: skip
"""Names that spell line breaks as an encoded word (RFC 2047), and such as have to be folded."""


@pytest.mark.parametrize("utf8", [True, False])
@pytest.mark.parametrize("name", ENCODED)
async def test_nor_can_one_that_spells_them_otherwise_or_is_long(name: str, utf8: bool) -> None:
    server = Server(utf8=utf8)
    eva = Contact("jürgen@münchen.de" if utf8 else EVA.email, name, name)
    told = Call("k", call().step, eva, replace(WEBINAR, title=name))
    async with running(server) as target:
        await target.send(told)
    received = message_from_string(server.mails[0].decode(), policy=default)
    assert isinstance(received, EmailMessage)
    assert received["Bcc"] is received["X"] is None
    assert received["To"].addresses[0].addr_spec == eva.email
    # Some versions of the parser put a blank between encoded words.
    assert [one.display_name.replace(" ", "") for one in received["To"].addresses] == [f"{name}{name}".replace(" ", "")]
    assert received["Subject"].endswith(name)
    assert [part.get_content_type() for part in received.iter_parts()] == ["text/plain", "text/html"]


@pytest.mark.parametrize("local", ["=?utf-8?q?a=0d=0abcc=3ax=40y=2ede?=", "=?utf-8?q?victim=40bank=2ede=2c?="])
async def test_an_address_that_spells_more_than_itself_is_refused(local: str) -> None:
    server = Server()
    async with running(server) as target:
        with pytest.raises(Refused, match="cannot be written in a mail's header") as caught:
            await target.send(call(Contact(f"{local}@evil.de")))
    assert (server.mails, "evil" in str(caught.value)) == ([], False)


async def test_repeated_attempts_carry_the_same_id() -> None:
    server = Server(reply="451 4.3.0 try again")
    async with running(server) as target:
        for _ in range(2):
            with pytest.raises(Transient):
                await target.send(call(key="rule/7:eva"))
    ids = {parsed(content)["Message-ID"] for content in server.mails}
    assert len(server.mails) == 2
    assert ids == {"<handoff.rule%2F7%3Aeva@sender.test>"}


@pytest.mark.parametrize(
    ("faults", "error", "accepted"),
    [
        ({"rcpt": "550 5.1.1 <eva@example.org>: user eva unknown"}, Refused, 0),
        ({"rcpt": "451 4.7.1 greylisted"}, Transient, 0),
        ({"rcpt": "421 4.7.0 too many connections"}, Transient, 0),
        ({"rcpt": "530 5.7.0 authentication required"}, WrongCredentials, 0),
        ({"reply": "554 5.7.1 rejected as spam, eva@example.org"}, Refused, 1),
        ({"reply": "452 4.2.2 mailbox full"}, Transient, 1),
        ({"data": "drop before"}, Transient, 0),
        ({"data": "drop"}, UnknownOutcome, 1),
        ({"data": "hang"}, UnknownOutcome, 0),
    ],
)
async def test_each_answer_says_what_is_known(faults: dict[str, Any], error: type[TargetError], accepted: int) -> None:
    server = Server(**faults)
    async with running(server, timeout=1) as target:
        with pytest.raises(error) as caught:
            await target.send(call())
    assert type(caught.value) is error
    assert len(server.mails) == accepted
    assert "eva" not in str(caught.value).lower()
    assert caught.value.account == "smtp_default"


async def test_the_servers_own_words_are_kept() -> None:
    server = Server(rcpt="550 5.1.1 <eva@example.org>: user eva unknown")
    async with running(server) as target:
        with pytest.raises(Refused, match=r"550 5\.1\.1 <<address>>: user <private> unknown"):
            await target.send(call())


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_a_login_that_is_right_and_one_that_is_wrong() -> None:
    server = Server(login=True)
    async with running(server, login="sender", password="secret") as target:
        await target.send(call())
    async with running(server, login="sender", password="wrong") as target:
        with pytest.raises(WrongCredentials, match="535") as caught:
            await target.send(call())
    assert len(server.mails) == 1
    assert "wrong" not in str(caught.value)


async def test_nobody_listening_is_transient() -> None:
    target = MailTarget.from_connection("smtp_default", smtp(1), TEMPLATES)
    with pytest.raises(Transient, match=r"127\.0\.0\.1:1: Connection refused"):
        await target.send(call())


async def test_a_server_without_tls_is_a_matter_of_the_connection() -> None:
    server = Server()
    async with running(server, disable_tls=False) as target:
        with pytest.raises(WrongCredentials, match="disable_tls"):
            await target.send(call())
    assert server.mails == []


async def in_turn(target: MailTarget, mail: Call) -> None:
    async with target.slot():
        await target.send(mail)


async def test_few_connections_are_kept_open_and_shared() -> None:
    server = Server()
    async with running(server) as target:
        await asyncio.gather(*(in_turn(target, call(key=f"k{n}")) for n in range(30)))
    assert len(server.mails) == 30
    assert 1 <= server.connections <= mail.KEPT_OPEN


async def test_a_refused_contact_does_not_cost_the_connection() -> None:
    server = Server(rcpt="550 5.1.1 unknown")
    async with running(server) as target:
        with pytest.raises(Refused):
            await target.send(call())
        server.faults.clear()
        await target.send(call())
    assert server.connections == 1
    assert len(server.mails) == 1


async def test_an_idle_connection_is_asked_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    monkeypatch.setattr(mail, "IDLE_SECONDS", 0.0)
    async with running(server) as target:
        await target.send(call())
        await target.send(call())
    assert server.commands == ["NOOP"]
    assert server.connections == 1


@pytest.mark.parametrize("offered", [True, False])
async def test_an_international_domain_is_written_in_its_ascii_form(offered: bool) -> None:
    server = Server(utf8=offered)
    async with running(server) as target:
        await target.send(call(Contact("eva@straße-münchen.de", "Eva")))
    assert server.recipients == ["eva@xn--strae-mnchen-o9a32b.de"]
    assert server.mails[0].isascii()


async def test_an_international_local_part_needs_the_servers_help() -> None:
    server = Server(utf8=True)
    async with running(server) as target:
        await target.send(call(Contact("jürgen@münchen.de", "Jürgen")))
        assert server.recipients == ["jürgen@münchen.de"]
        assert "jürgen@münchen.de" in server.mails[0].decode("utf-8")
    async with running(Server(utf8=False)) as target:
        with pytest.raises(Refused, match="SMTPUTF8"):
            await target.send(call(Contact("jürgen@münchen.de", "Jürgen")))


async def test_a_mailbox_cannot_be_read() -> None:
    target = MailTarget.from_connection("smtp_default", smtp(1), TEMPLATES)
    assert target.promise is Promise.AT_MOST_ONCE
    with pytest.raises(UnknownOutcome, match="cannot be read"):
        await target.seen(call())


@pytest.mark.parametrize("sender", ["", "nobody", "a@b@c", "=?utf-8?q?a=0d=0a?=@evil.de"])
def test_a_connection_without_a_sender_says_where_to_set_it(sender: str) -> None:
    with pytest.raises(WrongCredentials, match="set from_email in the Extra"):
        MailTarget.from_connection("smtp_default", smtp(25, from_email=sender), TEMPLATES)


@pytest.mark.parametrize("host", ["", " ", None])
def test_a_connection_without_a_server_says_where_to_set_it(host: str | None) -> None:
    connection = smtp(25)
    connection.host = host
    with pytest.raises(WrongCredentials, match="put the server's name into Host"):
        MailTarget.from_connection("smtp_default", connection, TEMPLATES)


@pytest.mark.parametrize("extra", [{"timeout": "soon"}, {"auth_type": "oauth2"}])
def test_a_connection_that_cannot_be_used_says_why(extra: dict[str, str]) -> None:
    with pytest.raises(WrongCredentials, match=next(iter(extra))):
        MailTarget.from_connection("smtp_default", smtp(25, **extra), TEMPLATES)


async def test_a_missing_template_is_refused_by_name() -> None:
    server = Server()
    async with running(server) as target:
        with pytest.raises(Refused, match="did you mean 'webinar_attended'"):
            await target.send(Call("k", Email(step="email", template="webinar_atended"), EVA, WEBINAR))
    assert server.connections == 0
