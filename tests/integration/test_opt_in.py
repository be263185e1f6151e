"""Double opt-in from the mail to the first advertising: real SMTP, the real ledger, the page over the app."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pytest
from httpx import ASGITransport, AsyncClient
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.consent import Subject
from handoff.contact import Contact
from handoff.delivery.by_hand import ByHand, hand_over
from handoff.ledger import consents, suppressions
from handoff.ledger.connect import open_ledger_async
from handoff.ledger.consents import Entry
from handoff.ledger.erasure import erase
from handoff.ledger.keys import signing_key
from handoff.ledger.retention import Periods, apply
from handoff.ledger.unsubscribing import unsubscribe
from handoff.rules.lint import lint
from handoff.texts.links import Links
from handoff.texts.tokens import sign
from hooks.ledger import LedgerHook
from hooks.mail_target import MailTarget
from tests.integration.test_survey_mail import BASE, Anchors, Inbox, sending
from tests.support.delivery import desk_of, judge_due, work
from tests.support.opt_ins import PERSON, WORDING, ends, newsletter, opt_in_rule, sign_up
from tests.support.rows import change, rows
from tests.support.targets import MemoryTarget
from web.app import create_app
from web.ledger import close_ledger

AGENT = {"user-agent": "Browser/1.0 (Xenia)"}
LOG = """
    SELECT what, purpose, wording, wording_hash, source, ip, user_agent, evidence, at
    FROM handoff.consents ORDER BY id
"""
OPT_INS = "SELECT count(*), count(confirmed_at) FROM handoff.opt_ins"
SENT, YES = ("confirmed", ""), Subject(PERSON.key, "email", "marketing")


@pytest.fixture
def templates(project: Path) -> Path:
    return project / "include" / "templates"


@pytest.fixture
async def mail(ledger: AsyncEngine, templates: Path) -> AsyncIterator[tuple[Inbox, MailTarget]]:
    async with ledger.begin() as connection:
        links = Links(BASE, await signing_key(connection))
    async with sending(links, templates) as opened:
        yield opened


@pytest.fixture
async def browser(ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncClient]:
    async def opened(ledger_conn_id: str, *, connections: int = 4) -> AsyncEngine:
        return open_ledger_async(ledger_url, connections=connections)

    monkeypatch.setattr(LedgerHook, "open", opened)
    transport = ASGITransport(create_app(), raise_app_exceptions=False, client=("203.0.113.7", 4711))
    async with AsyncClient(transport=transport, base_url="http://airflow", headers=AGENT) as client:
        yield client
    await close_ledger()


def link_in(inbox: Inbox, number: int = -1) -> str:
    """Return the path of a mail's link, as it is below the app's mount; text and HTML have the same one."""
    text, html = inbox.parts(number)
    [url] = [url for _, url, _ in Anchors(html).found]
    assert url in text
    return url.removeprefix(f"{BASE}/handoffs")


async def link(ledger: AsyncEngine) -> str:
    async with ledger.begin() as connection:
        links = Links("", await signing_key(connection))
    [(key,)] = await rows(ledger, "SELECT effect_key FROM handoff.opt_ins")
    return links.opt_in(key).removeprefix("/handoffs")


async def said(ledger: AsyncEngine) -> list[str]:
    return [row[0] for row in await rows(ledger, LOG)]


async def test_advertising_goes_out_after_the_confirmation_only(
    ledger: AsyncEngine, mail: tuple[Inbox, MailTarget], browser: AsyncClient
) -> None:
    inbox, target = mail
    await sign_up(ledger, opt_in_rule(), target)
    await sign_up(ledger, newsletter(), target, key="d2")
    assert await ends(ledger, "letter") == [("skipped", "no_consent")]
    assert len(inbox.mails) == 1
    assert (await browser.get(link_in(inbox))).status_code == 200
    await sign_up(ledger, newsletter(), target, key="d3")
    assert (await ends(ledger, "letter"))[-1] == ("skipped", "no_consent")
    assert (await browser.post(link_in(inbox))).status_code == 200
    await sign_up(ledger, newsletter(), target, key="d4")
    assert (await ends(ledger, "letter"))[-1][0] == "confirmed"
    assert len(inbox.mails) == 2


@pytest.mark.parametrize(
    ("language", "subject", "lang"),
    [("de", "Bitte bestätigen Sie Ihre Einwilligung", "de"), ("en", "Please confirm your consent", "en")],
)
async def test_the_mail_shows_the_wording_and_nothing_else_than_the_link(
    ledger: AsyncEngine, mail: tuple[Inbox, MailTarget], browser: AsyncClient, language: str, subject: str, lang: str
) -> None:
    inbox, target = mail
    await sign_up(ledger, opt_in_rule(language=language), target)
    [sent] = inbox.mails
    text, html = inbox.parts()
    assert (sent["Subject"], sent["Content-Language"]) == (subject, lang)
    assert WORDING in text.replace("\r\n", "\n")
    assert WORDING.splitlines()[0] in unescape(html)
    assert sent["List-Unsubscribe"] is None
    for part in (text, html):
        assert part.count("http") == 1, "the link to the page, and nothing that could be advertising"
        assert "<img" not in part
        assert "Webinar" not in part
    page = await browser.get(link_in(inbox))
    assert f'<html lang="{lang}">' in page.text
    assert WORDING in unescape(page.text)


async def test_a_scanner_records_nothing(
    ledger: AsyncEngine, mail: tuple[Inbox, MailTarget], browser: AsyncClient
) -> None:
    inbox, target = mail
    await sign_up(ledger, opt_in_rule(), target)
    for method in ("GET", "HEAD", "OPTIONS", "GET"):
        await browser.request(method, link_in(inbox))
    assert await said(ledger) == []
    assert await rows(ledger, OPT_INS) == [(1, 0)]


async def test_the_page_has_one_button_and_allows_no_script(ledger: AsyncEngine, browser: AsyncClient) -> None:
    hostile = '<script>alert("1")</script> & "Zitat"'
    await sign_up(ledger, opt_in_rule(wording=hostile))
    answer = await browser.get(await link(ledger))
    assert answer.text.count("<form") == answer.text.count("<button") == 1
    assert "<script" not in answer.text
    assert hostile in unescape(answer.text)
    policy = {part.strip() for part in answer.headers["content-security-policy"].split(";")}
    assert policy >= {"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"}
    assert (answer.headers["referrer-policy"], answer.headers["cache-control"]) == ("no-referrer", "no-store")
    assert "set-cookie" not in answer.headers


async def test_the_proof_is_stored(ledger: AsyncEngine, mail: tuple[Inbox, MailTarget], browser: AsyncClient) -> None:
    inbox, target = mail
    await sign_up(ledger, opt_in_rule(purpose="survey"), target)
    before = datetime.now(UTC)
    await browser.post(link_in(inbox))
    [(what, purpose, wording, digest, source, ip, agent, evidence, at)] = await rows(ledger, LOG)
    assert (what, purpose, wording) == ("confirmed", "survey", WORDING)
    assert digest == hashlib.sha256(WORDING.encode()).hexdigest()
    assert (source, ip, agent) == ("double opt-in: webinaris webinaris_default d1", "203.0.113.7", AGENT["user-agent"])
    assert before <= at <= datetime.now(UTC)
    [(signed_up, sent, opt_in_id)] = await rows(
        ledger, "SELECT signed_up_at, mail_sent_at, message_id FROM handoff.opt_ins"
    )
    assert [(signed_up,)] == await rows(ledger, "SELECT registered_at FROM handoff.registrations")
    assert evidence["message_id"] == opt_in_id == inbox.mails[0]["Message-ID"]
    for name, moment in (("signed_up_at", signed_up), ("mail_sent_at", sent)):
        assert datetime.fromisoformat(evidence[name]) == moment.replace(microsecond=0), name
    assert (evidence["source"], evidence["account"], evidence["occasion"]) == ("webinaris", "webinaris_default", "d1")


async def test_pressed_again_it_stays_the_first_time(ledger: AsyncEngine, browser: AsyncClient) -> None:
    await sign_up(ledger, opt_in_rule())
    where = await link(ledger)
    first, second = await browser.post(where), await browser.post(where, headers={"user-agent": "another"})
    assert (first.status_code, second.status_code) == (200, 200)
    [row] = await rows(ledger, LOG)
    assert row[6] == AGENT["user-agent"]
    async with ledger.begin() as connection:
        await unsubscribe(connection, PERSON.key, "marketing", "page")
    again = await browser.post(where)
    assert f"({row[8].astimezone(UTC):%H:%M:%S} UTC)" in again.text
    assert await said(ledger) == ["confirmed", "withdrawn"]
    async with ledger.begin() as connection:
        assert (await consents.standings(connection, [YES]))[YES].suppressed == {"unsubscribed"}


@pytest.mark.parametrize(
    ("moment", "own", "language", "shown"),
    [
        ("2026-03-24T18:00Z", "", "de", "am 24. März 2026 um 19:00 Uhr gespeichert (18:00:00 UTC)"),
        ("2026-03-24T23:30:59Z", "", "de", "am 25. März 2026 um 00:30 Uhr gespeichert (23:30:59 UTC)"),
        ("2026-03-24T18:00Z", "America/New_York", "de", "am 24. März 2026 um 14:00 Uhr (EDT) gespeichert (18:00:00 "),
        ("2026-03-24T18:00Z", "Atlantis/Nowhere", "de", "am 24. März 2026 um 19:00 Uhr gespeichert (18:00:00 UTC)"),
        ("2026-03-24T18:00Z", "", "en", "on 24 March 2026 at 19:00 CET (18:00:00 UTC)"),
    ],
)
async def test_when_it_was_confirmed_is_told_as_the_person_reads_it(
    ledger: AsyncEngine, browser: AsyncClient, moment: str, own: str, language: str, shown: str
) -> None:
    await sign_up(ledger, opt_in_rule(language=language))
    await browser.post(await link(ledger))
    await change(ledger, "UPDATE handoff.opt_ins SET confirmed_at = CAST(:at AS timestamptz)", at=moment)
    await change(ledger, "UPDATE handoff.contacts SET timezone = :own", own=own)
    assert shown in (await browser.get(await link(ledger))).text
    await change(ledger, "UPDATE handoff.occasions SET timezone = 'Europe/Lisbon'")
    again = (await browser.get(await link(ledger))).text
    assert (shown in again) is (own == "America/New_York")


async def test_an_expired_link_says_so_and_records_nothing(ledger: AsyncEngine, browser: AsyncClient) -> None:
    await sign_up(ledger, opt_in_rule(expires_days=3))
    [(days,)] = await rows(ledger, "SELECT EXTRACT(epoch FROM expires_at - mail_sent_at) / 86400 FROM handoff.opt_ins")
    assert days == 3
    await change(ledger, "UPDATE handoff.opt_ins SET expires_at = clock_timestamp()")
    for answer in (await browser.get(await link(ledger)), await browser.post(await link(ledger))):
        assert (answer.status_code, "abgelaufen" in answer.text) == (410, True)
    assert await said(ledger) == []


async def test_forged_unknown_and_erased_are_the_same_page(ledger: AsyncEngine, browser: AsyncClient) -> None:
    await sign_up(ledger, opt_in_rule())
    where = await link(ledger)
    async with ledger.begin() as connection:
        secret = await signing_key(connection)
    [(key,)] = await rows(ledger, "SELECT effect_key FROM handoff.opt_ins")
    forged = [f"{where[:-1]}{'A' if where[-1] != 'A' else 'B'}", "/opt-in/x", "/opt-in/%F0%9F%8E%89"]
    others = [f"/opt-in/{sign(secret, 'opt_in', 'nobody')}", f"/opt-in/{sign(secret, 'survey', key)}"]
    async with ledger.begin() as connection:
        await erase(connection, PERSON.key)
    answers = [await browser.request(method, path) for path in (*forged, *others, where) for method in ("GET", "POST")]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1
    assert await rows(ledger, OPT_INS) == [(0, 0)]
    assert await said(ledger) == []


async def test_what_was_noted_in_the_second_of_an_erasure_is_no_link_either(
    ledger: AsyncEngine, browser: AsyncClient
) -> None:
    await sign_up(ledger, opt_in_rule())
    await change(ledger, "UPDATE handoff.contacts SET erased = true")
    where = await link(ledger)
    assert [(await browser.request(method, where)).status_code for method in ("GET", "POST")] == [404, 404]
    assert await said(ledger) == []


async def say(ledger: AsyncEngine, what: str, days_ago: float = 0.0) -> None:
    async with ledger.begin() as connection:
        await consents.add(connection, [Entry(YES, what, datetime.now(UTC) - timedelta(days=days_ago))])


@pytest.mark.parametrize(
    ("what", "days_ago", "end"),
    [
        ("granted", 9, ("skipped", "already_consented")),
        ("confirmed", 9, ("skipped", "already_consented")),
        ("withdrawn", 0, ("skipped", "consent_withdrawn")),
        ("objected", 0, ("skipped", "objected")),
        ("withdrawn", 9, SENT),
        ("objected", 9, SENT),
    ],
)
async def test_what_was_said_before(ledger: AsyncEngine, what: str, days_ago: float, end: tuple[str, str]) -> None:
    await say(ledger, what, days_ago)
    await sign_up(ledger, opt_in_rule())
    assert await ends(ledger) == [end]
    assert await rows(ledger, OPT_INS) == [(int(end == SENT), 0)]


@pytest.mark.parametrize(
    ("channel", "days_ago", "end"),
    [
        ("email", 9, SENT),
        ("email", 0, ("skipped", "suppressed")),
        ("all", 9, ("skipped", "suppressed")),
        ("phone", 0, SENT),
    ],
)
async def test_a_sign_up_newer_than_the_suppression_is_asked(
    ledger: AsyncEngine, channel: str, days_ago: float, end: tuple[str, str]
) -> None:
    async with ledger.begin() as connection:
        await suppressions.add(connection, PERSON.key, channel, "complaint", "test")
    await change(ledger, "UPDATE handoff.suppressions SET at = at - make_interval(days => :days)", days=int(days_ago))
    await sign_up(ledger, opt_in_rule())
    assert await ends(ledger) == [end]


async def test_whom_a_person_names_by_hand_did_not_sign_up(ledger: AsyncEngine) -> None:
    await say(ledger, "objected", 9)
    rule = opt_in_rule()
    await hand_over(ledger, rule, key="k", people=[Contact(PERSON.email)], title="Test")
    assert await judge_due(ledger, rule, ByHand()) == ["judged"]
    target = MemoryTarget(readable=False)
    await work(ledger, rule, desk_of(ledger, {"smtp_default": target}))
    assert await ends(ledger) == [("skipped", "objected")]
    assert target.effects == []


async def test_the_confirmation_lifts_older_suppressions_of_the_channel(
    ledger: AsyncEngine, browser: AsyncClient
) -> None:
    async with ledger.begin() as connection:
        for channel, reason in (("email", "unsubscribed"), ("phone", "objection")):
            await suppressions.add(connection, PERSON.key, channel, reason, "test")
    await change(ledger, "UPDATE handoff.suppressions SET at = at - interval '9 days'")
    await sign_up(ledger, opt_in_rule())
    await browser.post(await link(ledger))
    lifted = "SELECT channel, lifted_at IS NOT NULL, lifted_because FROM handoff.suppressions ORDER BY channel"
    assert await rows(ledger, lifted) == [("email", True, "double opt-in"), ("phone", False, "")]


async def test_a_reminder_goes_out_once_with_the_same_proof_behind_it(
    ledger: AsyncEngine, mail: tuple[Inbox, MailTarget], browser: AsyncClient
) -> None:
    inbox, target = mail
    reminder = opt_in_rule("again", reminder=True)
    await sign_up(ledger, reminder, target, key="early")
    assert await ends(ledger, "again") == [("skipped", "nothing_to_remind_of")]
    await sign_up(ledger, opt_in_rule(), target)
    await sign_up(ledger, opt_in_rule("other", reminder=True, wording="Etwas anderes."), target, key="other")
    assert await ends(ledger, "other") == [("skipped", "nothing_to_remind_of")]
    for key in ("d1", "later"):
        await sign_up(ledger, reminder, target, key=key)
    assert [state for state, _ in await ends(ledger, "again")] == ["skipped", "confirmed", "skipped"]
    assert [one["Subject"][:11] for one in inbox.mails] == ["Bitte bestä", "Erinnerung:"]
    assert link_in(inbox, 0) != link_in(inbox, 1)
    await browser.post(link_in(inbox, 1))
    await browser.post(link_in(inbox, 0))
    [row] = await rows(ledger, LOG)
    assert row[7]["message_id"] == inbox.mails[0]["Message-ID"]
    assert row[7]["reminder_sent_at"]
    await sign_up(ledger, reminder, target, key="much later")
    assert (await ends(ledger, "again"))[-1] == ("skipped", "already_consented")


async def test_without_a_public_address_it_is_said_what_to_set(ledger: AsyncEngine, templates: Path) -> None:
    async with sending(None, templates) as (inbox, target):
        await sign_up(ledger, opt_in_rule(), target)
    [(state, reason)] = await ends(ledger)
    assert (inbox.mails, state) == ([], "refused")
    assert "HANDOFF_PUBLIC_URL" in reason


async def test_a_template_that_hides_the_link_is_refused(ledger: AsyncEngine, tmp_path: Path) -> None:
    (tmp_path / "opt_in.de.txt.j2").write_text("{% block subject %}Hallo{% endblock %} {{ confirm_url }}")
    (tmp_path / "opt_in.de.html.j2").write_text("<p>Hallo</p>")
    async with sending(Links(BASE, b"s" * 32), tmp_path) as (inbox, target):
        await sign_up(ledger, opt_in_rule(), target)
    [(state, reason)] = await ends(ledger)
    assert (inbox.mails, state) == ([], "refused")
    assert "confirm_url" in reason


async def test_an_erasure_leaves_what_was_agreed_and_nothing_of_the_person(
    ledger: AsyncEngine, browser: AsyncClient
) -> None:
    await sign_up(ledger, opt_in_rule())
    where = await link(ledger)
    await browser.post(where)
    async with ledger.begin() as connection:
        await erase(connection, PERSON.key)
    [(what, _, wording, digest, source, ip, agent, evidence, _)] = await rows(ledger, LOG)
    assert (what, wording, len(digest)) == ("confirmed", WORDING, 64)
    assert (source, ip, agent, evidence) == ("", "", "", {})
    assert await rows(ledger, OPT_INS) == [(0, 0)]
    assert (await browser.get(where)).status_code == 404


async def test_what_was_asked_goes_weeks_after_its_link_and_the_proof_stays(
    ledger: AsyncEngine, browser: AsyncClient
) -> None:
    await sign_up(ledger, opt_in_rule())
    await browser.post(await link(ledger))
    for days, left in ((30, 1), (31, 0)):
        await change(ledger, f"UPDATE handoff.opt_ins SET expires_at = clock_timestamp() - interval '{days} days'")
        if left:
            await change(ledger, "UPDATE handoff.opt_ins SET expires_at = expires_at + interval '1 hour'")
        async with ledger.begin() as connection:
            assert (await apply(connection, Periods()))["opt_ins"] == 1 - left
        assert await rows(ledger, OPT_INS) == [(left, left)]
    assert await said(ledger) == ["confirmed"]


@pytest.mark.parametrize(
    ("head", "steps", "wrong"),
    [
        ("", "{step: opt_in, wording: Ja.}", ""),
        ("", "{step: email, template: opt_in}", "unknown variable"),
        ("", "{step: opt_in, wording: '  '}", "wording"),
        ("purpose: marketing\nlegal_basis: consent\n", "{step: opt_in, wording: Ja.}", "the consent is still to come"),
        ("purpose: marketing\nlegal_basis: consent\n", "{step: opt_in, wording: Ja.}", "let a rule of its own"),
        ("", "{step: opt_in, wording: Ja.}\n  - {step: klicktipp.tag, tag: da}", "nothing can follow an opt_in"),
        ("", "{step: opt_in, wording: Ja.}\n  - {step: klicktipp.tag, tag: da}", "make it the last step"),
    ],
)
def test_lint(templates: Path, tmp_path: Path, head: str, steps: str, wrong: str) -> None:
    text = f"id: r\ntitle: R\nwhen: {{minutes: 1, after: end}}\nwho: attended\n{head}steps:\n  - {steps}\n"
    (tmp_path / "r.yaml").write_text(text)
    problems = [str(problem) for problem in lint([tmp_path], templates).problems]
    assert bool(problems) == bool(wrong)
    assert all(wrong in problem for problem in problems[:1])
