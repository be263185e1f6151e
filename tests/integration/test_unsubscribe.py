"""Unsubscribing over HTTP, as mail programs, browsers and link scanners do it, on the real ledger."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from httpx import ASGITransport, AsyncClient
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.contact import Contact
from handoff.ledger.keys import signing_key
from handoff.texts.links import Links
from handoff.texts.tokens import sign
from tests.support import half_sent
from tests.support.rows import rows
from web.app import create_app
from web.ledger import close_ledger
from web.receiver import body as bodies

KEY = Contact("eva@example.org").key
LOG = "SELECT contact_key, what, purpose, channel, source FROM handoff.consents ORDER BY id"
SUPPRESSED = "SELECT contact_key, channel, reason, source FROM handoff.suppressions WHERE lifted_at IS NULL ORDER BY id"
DONE = [(KEY, "email", "unsubscribed", "one-click")]
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def connection_to(url: str) -> str:
    """Return the Airflow connection that names a ledger."""
    parsed = make_url(url)
    options = "&".join(f"{name}={value}" for name, value in parsed.query.items())
    return json.dumps(
        {
            "conn_type": "handoff_ledger", "host": parsed.host, "port": parsed.port, "login": parsed.username,
            "password": parsed.password, "schema": parsed.database, "extra": {"options": options},
        }
    )  # fmt: skip


@pytest.fixture
async def browser(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncClient]:
    """Somebody without cookies and login, who follows no redirect."""
    monkeypatch.setenv("AIRFLOW_CONN_HANDOFF_LEDGER", connection_to(ledger_url))
    transport = ASGITransport(create_app(), raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://airflow") as client:
        yield client
    await close_ledger()


async def path(ledger: AsyncEngine, purpose: str = "survey") -> str:
    """Return where a mail's link leads below the app's mount."""
    async with ledger.begin() as connection:
        links = Links("http://airflow", await signing_key(connection))
    return urlsplit(links.unsubscribe(KEY, purpose)).path.removeprefix("/handoffs")


async def test_following_the_link_changes_nothing(ledger: AsyncEngine, browser: AsyncClient) -> None:
    link = await path(ledger)
    for _ in range(2):
        shown = await browser.get(link)
        assert (shown.status_code, shown.text.count("<button"), shown.text.count('<form method="post">')) == (200, 1, 1)
        assert "Abmelden" in shown.text
        assert "no more surveys" in shown.text
    assert (await browser.head(link)).status_code == 200
    assert (await browser.get(f"{link}?List-Unsubscribe=One-Click")).status_code == 200
    assert await rows(ledger, LOG) == await rows(ledger, SUPPRESSED) == []


@pytest.mark.parametrize(
    "sent", [{"data": ONE_CLICK}, {"files": {"List-Unsubscribe": (None, "One-Click")}}], ids=["form", "multipart"]
)
async def test_one_click_unsubscribes_once(
    ledger: AsyncEngine, browser: AsyncClient, sent: dict[str, dict[str, object]]
) -> None:
    link = await path(ledger)
    for _ in range(3):
        answer = await browser.post(link, **sent)  # type: ignore[arg-type]
        assert (answer.status_code, "abgemeldet" in answer.text) == (200, True)
    assert await rows(ledger, SUPPRESSED) == DONE
    assert await rows(ledger, LOG) == [(KEY, "objected", "survey", "email", "one-click")]


async def test_the_button_and_an_empty_or_huge_body_unsubscribe_too(ledger: AsyncEngine, browser: AsyncClient) -> None:
    link = await path(ledger, "marketing")
    for body in (b"", b"by=page", b"x" * 1_000_000, b"\xff\0"):
        assert (await browser.post(link, content=body)).status_code == 200
    assert await rows(ledger, SUPPRESSED) == [(KEY, "email", "unsubscribed", "page")]
    assert await rows(ledger, LOG) == [(KEY, "objected", "marketing", "email", "page")]


@pytest.mark.parametrize(("piece", "source"), [(b"List-Unsubscribe=One-Click", "one-click"), (b"", "page")])
async def test_who_goes_away_or_falls_silent_in_the_middle_is_unsubscribed(
    ledger: AsyncEngine, browser: AsyncClient, monkeypatch: pytest.MonkeyPatch, piece: bytes, source: str
) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.01)
    for purpose, rest in (("survey", [half_sent.GONE]), ("marketing", [])):
        pieces = half_sent.sending(half_sent.part(piece), *rest)
        status, _, _ = await half_sent.post(create_app(), await path(ledger, purpose), pieces)
        assert status == 200
    assert await rows(ledger, SUPPRESSED) == [(KEY, "email", "unsubscribed", source)]
    assert [row[2:] for row in await rows(ledger, LOG)] == [
        ("survey", "email", source), ("marketing", "email", source)
    ]  # fmt: skip


class Document(HTMLParser):
    """What a page says in which language, and what it loads or runs."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._languages, self.said, self.tags = [""], list[tuple[str, str]](), set[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Go into an element."""
        self.tags.add(tag)
        if tag not in {"meta", "input", "br"}:
            self._languages.append(dict(attrs).get("lang") or self._languages[-1])

    def handle_endtag(self, tag: str) -> None:
        """Leave it."""
        self._languages.pop()

    def handle_data(self, data: str) -> None:
        """Note a text and its language."""
        if data.strip():
            self.said.append((self._languages[-1], data.strip()))


async def test_its_pages_are_german_in_nobodys_search_results_and_need_no_script(
    ledger: AsyncEngine, browser: AsyncClient
) -> None:
    link = await path(ledger)
    shown = [await browser.get(link), await browser.post(link), await browser.get(f"{link}x")]
    assert [page.status_code for page in shown] == [200, 200, 404]
    for page in shown:
        document = Document(page.text)
        languages = dict(reversed([(words, language) for language, words in document.said]))
        german = [words for words, language in languages.items() if language == "de"]
        english = [words for words, language in languages.items() if language == "en"]
        assert any(word in " ".join(german) for word in ("Möchten Sie", "Sie erhalten", "Der Link"))
        assert any(word in " ".join(english) for word in ("Do you want", "You get no more", "The link"))
        assert len(english) == 1
        assert not document.tags & {"script", "link", "img", "iframe"}
        assert "noindex" in page.headers["x-robots-tag"]
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "form-action 'self'" in policy
        assert "script-src" not in policy
        assert page.headers["referrer-policy"] == "no-referrer"


async def test_many_at_once_unsubscribe_once(ledger: AsyncEngine, browser: AsyncClient) -> None:
    link = await path(ledger)
    answers = await asyncio.gather(*(browser.post(link, data=ONE_CLICK) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert await rows(ledger, SUPPRESSED) == DONE
    assert len(await rows(ledger, LOG)) == 1


async def test_whatever_is_wrong_with_a_link_the_answer_is_the_same(ledger: AsyncEngine, browser: AsyncClient) -> None:
    good = await path(ledger)
    async with ledger.begin() as connection:
        secret = await signing_key(connection)
    forged = sign(b"x" * 32, "unsubscribe", f"{KEY}:survey")
    tokens = [forged, sign(secret, "survey", f"{KEY}:survey"), "x", "%00", f"{good.rpartition('/')[2]}A", "ü" * 9]
    shown = set()
    for token in tokens:
        for method in ("GET", "POST"):
            answer = await browser.request(method, f"/unsubscribe/{token}")
            shown.add((answer.status_code, answer.text))
    assert {status for status, _ in shown} == {404}
    assert len(shown) == 1
    assert await rows(ledger, LOG) == await rows(ledger, SUPPRESSED) == []


async def test_a_ledger_that_cannot_be_reached_is_said_and_tried_again(
    ledger: AsyncEngine, ledger_url: str, browser: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = await path(ledger)
    nowhere = {"conn_type": "handoff_ledger", "host": "127.0.0.1", "port": 1, "schema": "x"}
    for broken, status in ((nowhere, 503), (nowhere | {"schema": ""}, 503)):
        monkeypatch.setenv("AIRFLOW_CONN_HANDOFF_LEDGER", json.dumps(broken))
        answer = await browser.post(link, data=ONE_CLICK)
        assert (answer.status_code, "try again" in answer.text.lower()) == (status, True)
        await close_ledger()
    monkeypatch.setenv("AIRFLOW_CONN_HANDOFF_LEDGER", connection_to(ledger_url))
    assert (await browser.post(link, data=ONE_CLICK)).status_code == 200
    assert await rows(ledger, SUPPRESSED) == DONE
