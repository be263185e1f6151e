from __future__ import annotations

import asyncio
import smtplib
from collections.abc import AsyncIterator
from email.message import EmailMessage

import aiohttp
import pytest

from sandbox import SMTP_PASSWORD, SMTP_USER, Sandbox, Scenario
from sandbox.faults import FaultOrder

pytestmark = pytest.mark.integration


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(Scenario()) as running:
        yield running


def a_mail(to: str = "Max@example.org", subject: str = "Schön, dass Sie da waren 🎉") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"], mail["Message-ID"] = "wir@example.org", to, subject, "<1@example.org>"
    mail.set_content("Guten Tag <b>Max</b>")
    mail.add_alternative('<p>Guten Tag</p><script>alert("x")</script>', subtype="html")
    return mail


def send(port: int, mail: EmailMessage, password: str = SMTP_PASSWORD, timeout: float = 5) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=timeout) as server:
        server.login(SMTP_USER, password)
        server.send_message(mail)


async def sent(sandbox: Sandbox, mail: EmailMessage | None = None, **how: object) -> None:
    await asyncio.to_thread(send, sandbox.smtp_port, mail or a_mail(), **how)


async def test_a_mail_is_kept_and_recorded(sandbox: Sandbox) -> None:
    await sent(sandbox)
    (effect,) = sandbox.effects
    assert (effect.system, effect.action, effect.contact) == ("email", "mail", "max@example.org")
    assert effect.detail["message_id"] == "<1@example.org>"
    assert effect.detail["subject"] == "Schön, dass Sie da waren 🎉"


async def test_every_recipient_of_a_mail_is_one_effect(sandbox: Sandbox) -> None:
    await sent(sandbox, a_mail("a@example.org, b@example.org"))
    assert [one.contact for one in sandbox.effects] == ["a@example.org", "b@example.org"]


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_both_ways_to_log_in(sandbox: Sandbox, mechanism: str) -> None:
    def log_in(password: str) -> int:
        with smtplib.SMTP("127.0.0.1", sandbox.smtp_port, timeout=5) as server:
            server.ehlo()
            server.user, server.password = SMTP_USER, password
            ask = server.auth_plain if mechanism == "PLAIN" else server.auth_login
            return server.auth(mechanism, ask)[0]

    assert await asyncio.to_thread(log_in, SMTP_PASSWORD) == 235
    with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
        await asyncio.to_thread(log_in, "wrong")
    assert caught.value.smtp_code == 535


async def test_without_a_login_nothing_is_accepted(sandbox: Sandbox) -> None:
    def send_without_login() -> None:
        with smtplib.SMTP("127.0.0.1", sandbox.smtp_port, timeout=5) as server:
            server.send_message(a_mail())

    with pytest.raises(smtplib.SMTPSenderRefused) as caught:
        await asyncio.to_thread(send_without_login)
    assert caught.value.smtp_code == 530
    assert len(sandbox.effects) == 0


async def test_a_refused_recipient(sandbox: Sandbox) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        await sent(sandbox, a_mail("max@refused.example"))
    assert caught.value.recipients["max@refused.example"][0] == 550
    assert len(sandbox.effects) == 0


@pytest.mark.parametrize(("fault", "code"), [("500", 554), ("503", 451), ("429", 421)])
async def test_replies_that_refuse(sandbox: Sandbox, fault: str, code: int) -> None:
    sandbox.faults.order(FaultOrder.model_validate({"system": "email", "fault": fault, "count": 1}))
    with pytest.raises(smtplib.SMTPDataError) as caught:
        await sent(sandbox)
    assert caught.value.smtp_code == code
    assert len(sandbox.effects) == 0
    await sent(sandbox)
    assert len(sandbox.effects) == 1


@pytest.mark.parametrize(("fault", "kept"), [("commit_then_drop", 1), ("drop_before_commit", 0)])
async def test_a_connection_that_breaks_after_the_mail(sandbox: Sandbox, fault: str, kept: int) -> None:
    sandbox.faults.order(FaultOrder.model_validate({"system": "email", "fault": fault, "count": 1}))
    with pytest.raises(smtplib.SMTPServerDisconnected):
        await sent(sandbox)
    assert len(sandbox.effects) == kept
    assert sandbox.calls.as_json()["email"]["paths"] == {"DATA": {"dropped": 1}}


@pytest.mark.parametrize(("commit", "kept"), [(True, 1), (False, 0)])
async def test_a_server_that_hangs(sandbox: Sandbox, commit: bool, kept: int) -> None:
    sandbox.faults.order(FaultOrder(system="email", fault="hang", commit=commit))
    with pytest.raises((TimeoutError, smtplib.SMTPServerDisconnected)):
        await sent(sandbox, timeout=0.3)
    assert len(sandbox.effects) == kept


async def test_the_pages_escape_what_a_mail_brings_along(sandbox: Sandbox) -> None:
    await sent(sandbox, a_mail(subject="<script>alert(1)</script>"))
    async with aiohttp.ClientSession(sandbox.http_url) as http:
        listing = await (await http.get("/_sandbox/mails")).text()
        single = await (await http.get("/_sandbox/mails/1", headers={"Accept-Language": "en-GB,en"})).text()
        assert (await http.get("/_sandbox/mails/2")).status == 404
    assert "Angekommene E-Mails (1)" in listing
    assert "Max@example.org" in listing
    assert "All e-mails" in single
    assert "<script" not in listing + single
    assert 'srcdoc="&lt;p&gt;Guten Tag' in single
    assert "<iframe sandbox=''" in single
    assert "Guten Tag &lt;b&gt;Max&lt;/b&gt;" in single
