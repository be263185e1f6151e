"""The page behind a survey's mail: over the app and the real ledger, after a mail that really went out."""

from __future__ import annotations

import html
import os
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient, Response
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.contact import Contact
from handoff.ledger import retention
from handoff.ledger.connect import open_ledger_async
from handoff.ledger.erasure import erase
from handoff.ledger.keys import signing_key
from handoff.texts.links import Links
from handoff.texts.tokens import sign
from hooks.ledger import LedgerHook
from tests.support import half_sent
from tests.support.rows import change, rows
from tests.support.surveys import ask, effect_keys, survey_rule
from web.app import create_app
from web.ledger import close_ledger
from web.receiver import body as bodies

STORED = "SELECT rating, comment, version FROM handoff.answers ORDER BY id"
EVENTS = "SELECT count(*) FROM handoff.inbox WHERE source = 'survey'"
HOSTILE = '</textarea><script>alert("1")</script> & <b>Grüße</b> 🎉👩‍👩‍👧 \' "'


class Page(HTMLParser):
    """What a browser without scripts sees of the form."""

    def __init__(self, answer: Response) -> None:
        super().__init__()
        self.radios: dict[str, bool] = {}
        self.comment, self.forms, self.tags = "", [], list[str]()  # type: ignore[var-annotated]
        self._in_comment = False
        self.feed(answer.text)
        self.comment = self.comment.removeprefix("\n")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        if tag == "form":
            self.forms.append(given)
        if tag == "input":
            self.radios[str(given["value"])] = "checked" in given
        self._in_comment = self._in_comment or tag == "textarea"

    def handle_endtag(self, tag: str) -> None:
        self._in_comment = self._in_comment and tag != "textarea"

    def handle_data(self, data: str) -> None:
        if self._in_comment:
            self.comment += data

    @property
    def chosen(self) -> list[str]:
        return [value for value, checked in self.radios.items() if checked]


@pytest.fixture
async def browser(
    ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[AsyncClient]:
    async def opened(ledger_conn_id: str, *, connections: int = 4) -> AsyncEngine:
        return open_ledger_async(ledger_url, connections=connections)

    monkeypatch.setattr(LedgerHook, "open", opened)
    monkeypatch.setenv("HANDOFFS_HOME", str(tmp_path))
    transport = ASGITransport(create_app(), raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://airflow") as client:
        yield client
    await close_ledger()


async def link(ledger: AsyncEngine, number: int = 0, score: int | None = None) -> str:
    """Return the path of a mail's link, as it is below the app's mount."""
    async with ledger.begin() as connection:
        links = Links("", await signing_key(connection))
    return links.survey((await effect_keys(ledger))[number], score).removeprefix("/handoffs")


async def send(browser: AsyncClient, where: str, rating: object = None, comment: str | None = None) -> Response:
    fields = {"rating": rating, "comment": comment}
    return await browser.post(where, data={name: str(value) for name, value in fields.items() if value is not None})


@pytest.fixture
async def asked(ledger: AsyncEngine) -> str:
    """The link of a mail that went out."""
    await ask(ledger, survey_rule())
    return await link(ledger)


async def test_a_click_shows_the_choice_and_records_nothing(
    ledger: AsyncEngine, browser: AsyncClient, asked: str
) -> None:
    answer = await browser.get(f"{asked}?score=9")
    page = Page(answer)
    assert answer.status_code == 200
    assert list(page.radios) == [str(score) for score in range(11)]
    assert page.chosen == ["9"]
    assert page.forms == [{"method": "post", "action": "?"}]
    assert "script" not in page.tags
    assert "set-cookie" not in answer.headers
    assert await rows(ledger, STORED) == []
    assert Page(await browser.get(asked)).chosen == []


async def test_the_page_allows_no_script_and_sends_its_form_home_only(browser: AsyncClient, asked: str) -> None:
    headers = (await browser.get(asked)).headers
    policy = {part.strip() for part in headers["content-security-policy"].split(";")}
    assert policy >= {"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"}
    assert not any(part.startswith("script-src") for part in policy)
    assert (headers["referrer-policy"], headers["cache-control"]) == ("no-referrer", "no-store")


async def test_a_scanner_that_follows_every_link_records_nothing(ledger: AsyncEngine, browser: AsyncClient) -> None:
    await ask(ledger, survey_rule(), count=3)
    for number in range(3):
        for score in (None, *range(11)):
            for method in ("GET", "HEAD", "OPTIONS"):
                await browser.request(method, await link(ledger, number, score))
    assert await rows(ledger, STORED) == []
    assert await rows(ledger, EVENTS) == [(0,)]


async def test_an_answer_is_stored_and_thanked_for(ledger: AsyncEngine, browser: AsyncClient, asked: str) -> None:
    answer = await send(browser, asked, 10, "Sehr gut!\r\nDanke.")
    page = Page(answer)
    assert answer.status_code == 200
    assert "Vielen Dank" in answer.text
    assert (page.chosen, page.comment) == (["10"], "Sehr gut!\nDanke.")
    assert await rows(ledger, STORED) == [(10, "Sehr gut!\nDanke.", 1)]
    [(contact, effect, rule, via)] = await rows(
        ledger, "SELECT contact_id, effect_id, rule_id, via FROM handoff.answers"
    )
    assert [(contact, effect)] == await rows(ledger, "SELECT contact_id, effect_id FROM handoff.askings")
    assert (rule, via) == ("ask", "own")
    again = Page(await browser.get(asked))
    assert (again.chosen, again.comment) == (["10"], "Sehr gut!\nDanke.")


async def test_a_changed_answer_is_the_next_version_and_the_same_one_twice_is_not(
    ledger: AsyncEngine, browser: AsyncClient, asked: str
) -> None:
    for rating, comment in ((3, "hm"), (3, "hm"), (8, "besser"), (8, "besser")):
        assert (await send(browser, asked, rating, comment)).status_code == 200
    assert await rows(ledger, STORED) == [(8, "besser", 2)]
    assert await rows(ledger, "SELECT split_part(key, '/', 2), cancelled FROM handoff.occasions "
                      "WHERE source = 'survey' ORDER BY key") == [("1", True), ("2", False)]  # fmt: skip


@pytest.mark.parametrize("rating", ["11", "-1", "sieben", "7.5", "<b>9</b>", "", None])
async def test_what_is_no_rating_comes_back_with_a_sentence(
    ledger: AsyncEngine, browser: AsyncClient, asked: str, rating: str | None
) -> None:
    answer = await send(browser, asked, rating, HOSTILE)
    page = Page(answer)
    assert answer.status_code == 400
    assert "Zahl von 0 bis 10" in answer.text
    assert (page.chosen, page.comment) == ([], HOSTILE)
    assert "b" not in page.tags
    assert await rows(ledger, STORED) == []


@pytest.mark.parametrize("score", ["11", "sieben", "-0", "<script>"])
async def test_a_link_with_another_score_shows_the_scale_without_a_choice(
    browser: AsyncClient, asked: str, score: str
) -> None:
    answer = await browser.get(asked, params={"score": score})
    assert (answer.status_code, Page(answer).chosen) == (400, [])
    assert "script" not in Page(answer).tags


async def test_ten_thousand_characters_with_html_and_emoji_are_kept_as_they_are(
    ledger: AsyncEngine, browser: AsyncClient, asked: str
) -> None:
    comment = (HOSTILE * 300)[: 10_000 - 1] + "🎉"
    answer = await send(browser, asked, 0, comment)
    assert (answer.status_code, len(comment)) == (200, 10_000)
    assert await rows(ledger, STORED) == [(0, comment, 1)]
    page = Page(answer)
    assert page.comment == comment
    assert not {"script", "b"} & set(page.tags)
    assert html.escape(HOSTILE) in answer.text


async def test_one_more_is_refused_and_stays_in_the_form(ledger: AsyncEngine, browser: AsyncClient, asked: str) -> None:
    comment = "ü" * 10_001
    answer = await send(browser, asked, 5, comment)
    assert answer.status_code == 400
    assert "10001 Zeichen" in answer.text
    assert (Page(answer).chosen, Page(answer).comment) == (["5"], comment)
    assert await rows(ledger, STORED) == []


async def test_line_breaks_count_once(ledger: AsyncEngine, browser: AsyncClient, asked: str) -> None:
    assert (await send(browser, asked, 5, "a\r\n" * 4_999 + "ab")).status_code == 200


@pytest.mark.parametrize(
    "body", [b"rating=9&comment=" + b"%F0%9F%8E%89" * 100_000, b"&".join([b"x=1"] * 50), b"\xff\xfe"]
)
async def test_a_body_that_is_no_form_is_no_server_error(
    ledger: AsyncEngine, browser: AsyncClient, asked: str, body: bytes
) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await browser.post(asked, content=body, headers=headers)
    assert answer.status_code in {400, 413}
    assert await rows(ledger, STORED) == []


async def test_who_goes_away_or_falls_silent_in_the_middle_stores_nothing(
    ledger: AsyncEngine, browser: AsyncClient, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.01)
    for rest in ([half_sent.GONE], []):
        pieces = half_sent.sending(half_sent.part(b"rating=9&comment="), *rest)
        status, _, text = await half_sent.post(create_app(), asked, pieces)
        assert (status, "nicht vollständig angekommen" in text) == (408, True)
    assert await rows(ledger, STORED) == []


async def test_nothing_is_read_of_whom_nobody_asked(ledger: AsyncEngine, browser: AsyncClient, asked: str) -> None:
    for where, read, told in ((f"{asked}x", 0, 404), (asked, 2, 413)):
        taken = 0

        async def large() -> AsyncIterator[half_sent.Piece]:
            nonlocal taken
            while True:
                taken += 1
                yield half_sent.part(b"x" * 1024 * 1024)

        status, _, _ = await half_sent.post(create_app(), where, large())
        assert (status, taken) == (told, read)


async def test_characters_that_postgresql_cannot_store(ledger: AsyncEngine, browser: AsyncClient, asked: str) -> None:
    assert (await send(browser, asked, 7, "a\0b")).status_code == 200
    assert await rows(ledger, STORED) == [(7, "ab", 1)]


async def test_whoever_has_no_link_of_ours_gets_one_page(ledger: AsyncEngine, browser: AsyncClient, asked: str) -> None:
    async with ledger.begin() as connection:
        secret = await signing_key(connection)
    [key] = await effect_keys(ledger)
    token = asked.rpartition("/")[2]
    strange = [
        sign(os.urandom(32), "survey", key), sign(secret, "unsubscribe", key), sign(secret, "survey", "0" * 32),
        token[:-1], token + "A", "A" + token[1:], "nonsense", "%00", "🎉",
    ]  # fmt: skip
    seen = set()
    for one in strange:
        for answer in (await browser.get(f"/survey/{one}?score=9"), await send(browser, f"/survey/{one}", 9)):
            seen.add((answer.status_code, answer.text))
    assert len(seen) == 1
    assert seen.pop()[0] == 404
    assert await rows(ledger, STORED) == []


async def test_the_contacts_language(ledger: AsyncEngine, browser: AsyncClient) -> None:
    await ask(ledger, survey_rule(language="en"))
    answer = await browser.get(await link(ledger, score=4))
    assert '<html lang="en">' in answer.text
    assert "How likely are you to recommend us?" in answer.text
    assert "whole number" in (await send(browser, await link(ledger), "sieben")).text


async def test_an_erased_person_has_no_page_any_more(ledger: AsyncEngine, browser: AsyncClient, asked: str) -> None:
    await send(browser, asked, 2, "Ich bin Person Null")
    async with ledger.begin() as connection:
        gone = await erase(connection, Contact("person0@example.org").key)
    assert gone.answers == 1
    assert (await browser.get(asked)).status_code == 404
    assert (await send(browser, asked, 9, "noch einmal")).status_code == 404
    assert await rows(ledger, "SELECT rating, comment, contact_id FROM handoff.answers ORDER BY rating NULLS LAST") == [
        (2, "", None), (None, "", None),
    ]  # fmt: skip


async def test_nor_has_one_who_never_answered(ledger: AsyncEngine, browser: AsyncClient, asked: str) -> None:
    async with ledger.begin() as connection:
        await erase(connection, Contact("person0@example.org").key)
    assert (await browser.get(asked)).status_code == 404
    assert (await send(browser, asked, 9, "doch noch")).status_code == 404
    assert await rows(ledger, STORED) == []


async def test_after_the_retention_period_the_answer_is_closed(
    ledger: AsyncEngine, browser: AsyncClient, asked: str
) -> None:
    await send(browser, asked, 6, "alt")
    await change(ledger, "UPDATE handoff.answers SET answered_at = now() - interval '400 days'")
    async with ledger.begin() as connection:
        assert (await retention.apply(connection))["answers"] == 1
    assert (await browser.get(asked)).status_code == 404
    assert (await send(browser, asked, 9)).status_code == 404
    kept: list[tuple[Any, ...]] = await rows(ledger, "SELECT rating FROM handoff.answers WHERE rating IS NOT NULL")
    assert kept == [(6,)]
