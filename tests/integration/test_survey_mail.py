"""The mail of a survey as it arrives: what it shows, and that its links lead to its own page."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from airflow.sdk import Connection
from httpx import ASGITransport, AsyncClient
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger.connect import open_ledger_async
from handoff.ledger.keys import signing_key
from handoff.rules.lint import lint
from handoff.texts.links import Links, survey_effect
from handoff.texts.messages import Templates
from handoff.times.timing import Language
from hooks.ledger import LedgerHook
from hooks.mail_target import MailTarget
from tests.support.rows import rows
from tests.support.surveys import ask, effect_keys, survey_rule
from web.app import create_app
from web.ledger import close_ledger

BASE = "https://airflow.example.org/base"


class Inbox:
    """A real SMTP server that keeps what it accepts."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        mail = message_from_bytes(envelope.original_content or b"", policy=default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"

    def parts(self, number: int = 0) -> tuple[str, str]:
        """Return text and HTML of a mail."""
        text, html = (part.get_content() for part in self.mails[number].iter_parts())
        return text, html


class Anchors(HTMLParser):
    """The links of a document, with what is written on them and the table cell they are in."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str, bool]] = []
        self._open: list[str] = []
        self._href = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open.append(tag)
        if tag == "a":
            self._href = str(dict(attrs)["href"])

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "a":
            self.found.append((data, self._href, "td" in self._open))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass


@asynccontextmanager
async def sending(links: Links | None, templates: Path) -> AsyncIterator[tuple[Inbox, MailTarget]]:
    inbox = Inbox()
    listener = await asyncio.get_running_loop().create_server(lambda: SMTP(inbox, hostname="mail.test"), "127.0.0.1", 0)
    extra = json.dumps({"from_email": "Team <team@sender.test>", "disable_ssl": True, "disable_tls": True})
    port = listener.sockets[0].getsockname()[1]
    connection = Connection(conn_id="smtp_default", conn_type="smtp", host="127.0.0.1", port=port, extra=extra)
    target = MailTarget.from_connection("smtp_default", connection, Templates(templates, links))
    try:
        yield inbox, target
    finally:
        await target.close()
        listener.close()
        await asyncio.sleep(0)


@pytest.fixture
def templates(project: Path) -> Path:
    return project / "include" / "templates"


@pytest.fixture
async def links(ledger: AsyncEngine) -> Links:
    async with ledger.begin() as connection:
        return Links(BASE, await signing_key(connection))


@pytest.fixture
async def inbox(ledger: AsyncEngine, links: Links, templates: Path) -> AsyncIterator[Inbox]:
    """What arrives when two people are asked."""
    async with sending(links, templates) as (inbox, target):
        await ask(ledger, survey_rule(), count=2, target=target)  # type: ignore[arg-type]
        yield inbox


async def test_eleven_links_each_with_its_score_and_the_mail_s_own_token(
    ledger: AsyncEngine, inbox: Inbox, links: Links
) -> None:
    by_recipient = {mail["To"].addresses[0].addr_spec: number for number, mail in enumerate(inbox.mails)}
    keys = dict(zip(sorted(by_recipient), await effect_keys(ledger), strict=True))
    for recipient, number in by_recipient.items():
        _, html = inbox.parts(number)
        anchors = Anchors(html).found
        scale = [(words, url) for words, url, in_table in anchors if in_table]
        page = f"{BASE}/handoffs/survey/"
        assert [words for words, _ in scale] == [str(score) for score in range(11)]
        for score, (_, url) in enumerate(scale):
            token, _, query = url.removeprefix(page).partition("?")
            assert url.startswith(page)
            assert query == f"score={score}"
            assert survey_effect(links.secret, token) == keys[recipient]
        assert ("Zur Umfrage", scale[0][1].partition("?")[0], False) in anchors
    assert len(set(keys.values())) == 2


async def test_the_text_part_lists_the_same_links(inbox: Inbox) -> None:
    text, html = inbox.parts()
    listed = re.findall(r"^ ?(\d+): (https://\S+)\r?$", text, re.MULTILINE)
    assert listed == [(words, url) for words, url, in_table in Anchors(html).found if in_table]
    assert len(listed) == 11


async def test_it_can_be_unsubscribed_from_and_names_no_record(inbox: Inbox) -> None:
    mail = inbox.mails[0]
    text, html = inbox.parts()
    assert mail["Subject"] == "Wie zufrieden sind Sie mit uns?"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    for part in (text, html):
        assert "/handoffs/unsubscribe/" in part
        assert "Webinar" not in part
    assert "<img" not in html


async def test_in_english(ledger: AsyncEngine, links: Links, templates: Path) -> None:
    async with sending(links, templates) as (inbox, target):
        await ask(ledger, survey_rule(language="en"), target=target)  # type: ignore[arg-type]
    text, html = inbox.parts()
    assert inbox.mails[0]["Subject"] == "How satisfied are you with us?"
    assert "Open the link of a number from 0" in text
    assert sum(in_table for _, _, in_table in Anchors(html).found) == 11


@pytest.mark.parametrize(
    ("own", "by_rule", "by_step", "written"),
    [
        ("", "en", "contact", "en"),
        ("de", "en", "contact", "de"),
        ("fr", "en", "contact", "en"),
        ("fr", "de", "contact", "de"),
        ("EN", "de", "contact", "de"),
        ("de", "de", "en", "en"),
    ],
)
async def test_the_page_speaks_the_language_of_the_mail(
    ledger: AsyncEngine, links: Links, templates: Path, own: str, by_rule: Language, by_step: str, written: str
) -> None:
    rule = survey_rule(language=by_step).model_copy(update={"language": by_rule})
    async with sending(links, templates) as (inbox, target):
        await ask(ledger, rule, target=target, language=own)  # type: ignore[arg-type]
    [(on_the_page,)] = await rows(ledger, "SELECT language FROM handoff.askings")
    assert (inbox.mails[0]["Content-Language"], on_the_page) == (written, written)


async def test_without_a_public_address_nothing_is_sent_and_it_is_said_what_to_set(
    ledger: AsyncEngine, templates: Path
) -> None:
    async with sending(None, templates) as (inbox, target):
        await ask(ledger, survey_rule(), target=target)  # type: ignore[arg-type]
    assert inbox.mails == []
    [(state, reason)] = await rows(ledger, "SELECT state, reason FROM handoff.effects")
    assert state != "confirmed"
    assert "HANDOFF_PUBLIC_URL" in reason


async def test_the_way_of_an_answer(
    ledger: AsyncEngine, ledger_url: str, inbox: Inbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A scanner opens every link of the mail; then the person follows one and sends the form."""

    async def opened(ledger_conn_id: str, *, connections: int = 4) -> AsyncEngine:
        return open_ledger_async(ledger_url, connections=connections)

    monkeypatch.setattr(LedgerHook, "open", opened)
    monkeypatch.setenv("HANDOFFS_HOME", str(tmp_path))
    _, html = inbox.parts()
    paths = [url.removeprefix(f"{BASE}/handoffs") for _, url, _ in Anchors(html).found]
    scale = [path for path in paths if "?score=" in path]
    async with AsyncClient(transport=ASGITransport(create_app()), base_url="http://airflow") as browser:
        assert {(await browser.get(path)).status_code for path in paths} == {200}
        assert await rows(ledger, "SELECT count(*) FROM handoff.answers") == [(0,)]
        page = (await browser.get(scale[9])).text
        assert 'value="9" checked' in page
        # The form's address is "?": the page's own, without the query.
        await browser.post(scale[9].partition("?")[0], data={"rating": "9", "comment": "gern wieder"})
    await close_ledger()
    assert await rows(ledger, "SELECT rating, comment FROM handoff.answers") == [(9, "gern wieder")]


@pytest.mark.parametrize(
    ("step", "wrong"),
    [("{step: survey, survey: nps}", ""), ("{step: email, template: survey}", "unknown variable 'scores'"),
     ("{step: survey, survey: nps, template: survy}", "did you mean 'survey'?")],
)  # fmt: skip
def test_lint_knows_what_a_survey_s_template_may_use(templates: Path, tmp_path: Path, step: str, wrong: str) -> None:
    head = "id: r\ntitle: R\nwhen: {minutes: 1, after: end}\nwho: attended\npurpose: survey\nlegal_basis: consent\n"
    (tmp_path / "r.yaml").write_text(f"{head}steps:\n  - {step}\n")
    problems = [str(problem) for problem in lint([tmp_path], templates).problems]
    assert bool(problems) == bool(wrong)
    assert all(wrong in problem for problem in problems[:1])
