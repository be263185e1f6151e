"""What a survey or marketing mail carries, on the wire, so that its recipient can unsubscribe."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from handoff.errors import Refused
from handoff.texts.links import Links, unsubscriber
from handoff.texts.messages import Templates
from handoff.texts.templates import RuleFacts
from hooks.mail_target import MailTarget
from tests.integration.test_mail_target import EVA, TEMPLATES, Server, call, parsed, running

pytestmark = pytest.mark.integration
SECRET = b"s" * 32
LINKS = Links("https://airflow.example.org/a/rather/long/prefix", SECRET)


async def sent(
    rule: RuleFacts, links: Links | None = LINKS, language: str = "de", folder: Path = TEMPLATES.folder
) -> bytes:
    """Return the mail as the server got it."""
    server = Server()
    async with running(server) as target:
        target = MailTarget(target._mailbox, Templates(folder, links))
        await target.send(replace(call(language=language), rule=rule))
    [mail] = server.mails
    return mail


@pytest.mark.parametrize("purpose", ["survey", "marketing"])
async def test_one_click_headers_with_exactly_one_address(purpose: str) -> None:
    mail = await sent(RuleFacts(purpose=purpose, legal_basis="consent"))
    lines = mail.partition(b"\r\n\r\n")[0].split(b"\r\n")
    [header] = [line.decode() for line in lines if line.lower().startswith(b"list-unsubscribe:")]
    link = re.fullmatch(r"List-Unsubscribe: <(https://[^<>, ]+)>", header)
    assert link
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in lines
    assert unsubscriber(SECRET, link[1].rpartition("/")[2]) == (EVA.key, purpose)
    assert EVA.email not in link[1]
    for part in parsed(mail).iter_parts():
        assert link[1] in part.get_content()


@pytest.mark.parametrize(
    ("address", "one_click"),
    [
        ("http://airflow.example.org", False), ("http://127.0.0.1.example.org", False),
        ("http://127.0.0.1:8080", True), ("http://[::1]:8080/airflow", True), ("http://localhost", True),
    ],
)  # fmt: skip
async def test_one_click_is_offered_where_nobody_can_read_the_link_on_its_way(address: str, one_click: bool) -> None:
    mail = parsed(await sent(RuleFacts(purpose="survey", legal_basis="consent"), Links(address, SECRET)))
    assert mail["List-Unsubscribe"].startswith(f"<{address}/handoffs/unsubscribe/")
    assert (mail["List-Unsubscribe-Post"] is not None) is one_click


async def test_service_mails_carry_nothing_of_this() -> None:
    mail = parsed(await sent(RuleFacts()))
    assert mail["List-Unsubscribe"] is mail["List-Unsubscribe-Post"] is None
    for part in mail.iter_parts():
        assert "unsubscribe/" not in part.get_content()
        assert "abmelden" not in part.get_content()


@pytest.mark.parametrize(("language", "notice"), [("de", "jederzeit widersprechen"), ("en", "You may object")])
async def test_existing_customers_are_told_each_time_that_they_may_object(language: str, notice: str) -> None:
    for basis, told in (("existing_customer", True), ("consent", False)):
        mail = parsed(await sent(RuleFacts(purpose="survey", legal_basis=basis), language=language))
        assert [notice in " ".join(part.get_content().split()) for part in mail.iter_parts()] == [told, told]


async def test_without_a_public_address_the_mail_is_refused_and_the_variable_named() -> None:
    with pytest.raises(Refused, match="HANDOFF_PUBLIC_URL"):
        await sent(RuleFacts(purpose="survey", legal_basis="consent"), links=None)
    assert await sent(RuleFacts(), links=None)


async def test_a_template_that_hides_the_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "webinar_attended.de.txt.j2").write_text("{% block subject %}Hallo{% endblock %} {{ unsubscribe_url }}")
    (tmp_path / "webinar_attended.de.html.j2").write_text("<p>Hallo</p>")
    with pytest.raises(Refused, match="webinar_attended: shows no"):
        await sent(RuleFacts(purpose="marketing", legal_basis="consent"), folder=tmp_path)
    assert await sent(RuleFacts(), folder=tmp_path)
