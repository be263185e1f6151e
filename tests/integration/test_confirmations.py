"""What begins with a confirmed consent: from the booking over the mail and its button to Quentn."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.sdk import Connection
from httpx import ASGITransport, AsyncClient
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.contact import Contact
from handoff.delivery.comparison import compare_account
from handoff.ledger.erasure import erase
from handoff.ledger.keys import signing_key
from handoff.ledger.unsubscribing import unsubscribe
from handoff.rules.rule import Rule
from handoff.texts.links import Links
from handoff.texts.messages import Templates
from hooks.accounts import VENDORS, open_source
from hooks.mail_target import MailTarget
from sandbox.credentials import SMTP_PASSWORD, SMTP_USER
from sandbox.mailbox import Mail
from tests.support.commands import handoff
from tests.support.delivery import desk_of, judge_due, work
from tests.support.etermin_world import EVA, ETermin, etermin_world
from tests.support.opt_ins import PERSON, WORDING, opt_in_rule, sign_up
from tests.support.pushing import ledger_connection
from tests.support.rows import change, rows
from tests.support.targets import MemoryTarget
from web.app import create_app
from web.ledger import close_ledger

pytestmark = pytest.mark.integration
BASE = "https://airflow.example.org"
CONFIRMED = "SELECT series, cancelled FROM handoff.occasions WHERE source = 'opt_in' ORDER BY id"
BATCHES = "SELECT state FROM handoff.batches WHERE rule_id = 'follower' ORDER BY id"
FOLLOWER: dict[str, Any] = {
    "id": "follower", "title": "Follower", "source": "opt_in", "when": {"minutes": 0, "after": "confirmed"},
    "steps": [{"step": "klicktipp.tag", "tag": "Newsletter"}],
}  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the rule ``follower``, which begins with a confirmation."""
    monkeypatch.setenv("AIRFLOW_CONN_HANDOFF_LEDGER", ledger_connection(ledger_url))
    monkeypatch.setenv("HANDOFFS_HOME", str(tmp_path))
    put_rule(tmp_path, FOLLOWER)
    return tmp_path


@pytest.fixture
async def browser(home: Path) -> AsyncIterator[AsyncClient]:
    transport = ASGITransport(create_app(), client=("203.0.113.7", 4711))
    async with AsyncClient(transport=transport, base_url="http://airflow") as client:
        yield client
    await close_ledger()


def put_rule(home: Path, rule: dict[str, Any]) -> Rule:
    folder = home / "include" / "handoffs"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{rule['id']}.yaml").write_text(json.dumps(rule))
    return Rule.model_validate(rule)


async def links(ledger: AsyncEngine) -> list[str]:
    """Return the paths of all confirmation mails' links, as they are below the app's mount, oldest first."""
    async with ledger.begin() as connection:
        made = Links("", await signing_key(connection))
    keys = await rows(ledger, "SELECT effect_key FROM handoff.opt_ins ORDER BY effect_id")
    return [made.opt_in(key).removeprefix("/handoffs") for (key,) in keys]


async def follow(ledger: AsyncEngine, target: Any, rule: Rule | None = None) -> list[str]:
    """Let a rule that begins with confirmations do what is due; return what became of its batches."""
    rule = rule or Rule.model_validate(FOLLOWER)
    source = await open_source("opt_in", "opt_in", ledger)
    became = await judge_due(ledger, rule, source)
    await work(ledger, rule, desk_of(ledger, {rule.steps[0].conn_id: target}))
    return became


async def say_no(ledger: AsyncEngine) -> None:
    async with ledger.begin() as connection:
        await unsubscribe(connection, PERSON.key, "marketing", "page")


async def compared(ledger: AsyncEngine) -> tuple[int, int, int]:
    """Compare the confirmations' list with the ledger, as the sweep does; return what was news, missing and red."""
    rules = [Rule.model_validate(FOLLOWER)]

    async def opened(source: str, account: str) -> Any:
        return await open_source(source, account, ledger)

    found = await compare_account(ledger, opened, ("opt_in", "opt_in"), rules, everything=True)
    assert found.troubles == []
    return found.recorded, found.missing, len(found.red)


class Shipped:
    """The two rules that ship, with eTermin, the mailbox and Quentn of the sandbox."""

    def __init__(self, etermin: ETermin, ledger: AsyncEngine, project: Path, secret: bytes) -> None:
        self.etermin, self._ledger = etermin, ledger
        texts = [project / "include" / "handoffs" / f"{name}.yaml" for name in ("appointment_newsletter",
                 "newsletter_confirmed")]  # fmt: skip
        self.asking, self.confirmed = etermin.rules(*(yaml.safe_load(path.read_text("utf-8")) for path in texts))
        extra = json.dumps({"from_email": "Team <team@sender.test>", "disable_ssl": True, "disable_tls": True})
        mailbox = Connection(
            conn_id="smtp_default", conn_type="smtp", host="127.0.0.1", port=etermin.sandbox.smtp_port,
            login=SMTP_USER, password=SMTP_PASSWORD, extra=extra,
        )  # fmt: skip
        templates = Templates(project / "include" / "templates", Links(BASE, secret))
        self._mail = MailTarget.from_connection("smtp_default", mailbox, templates)
        self._quentn = VENDORS["quentn"].from_connection("quentn_default", etermin.quentn(), no_wait)

    async def ask(self) -> list[str]:
        """Poll the appointments, and let whoever ticked the box be asked."""
        await self.etermin.poll()
        source = await self.etermin.source()
        became = await judge_due(self._ledger, self.asking, source)
        await source.close()
        await work(self._ledger, self.asking, desk_of(self._ledger, {"smtp_default": self._mail}))
        return became

    async def follow(self) -> list[str]:
        """Let whoever confirmed be handed over."""
        return await follow(self._ledger, self._quentn, self.confirmed)

    @property
    def mails(self) -> list[Mail]:
        return self.etermin.sandbox.world.mailbox.mails

    def link(self, number: int = -1) -> str:
        """Return the path of the link in a mail's text, as it is below the app's mount."""
        body = self.mails[number].message().get_body(("plain",))
        assert body is not None
        [url] = re.findall(rf"{BASE}/handoffs(/opt-in/\S+)", body.get_content())
        return str(url)

    def in_quentn(self) -> list[tuple[str, str]]:
        """Return who got which term."""
        done = self.etermin.sandbox.effects.since(system="quentn")
        return [(one.contact, one.detail["tag"]) for one in done if one.action == "tag"]

    async def close(self) -> None:
        await self._mail.close()
        await self._quentn.close()


@pytest.fixture
async def shipped(
    ledger: AsyncEngine, ledger_url: str, tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Shipped]:
    async with etermin_world(ledger, ledger_url, tmp_path, monkeypatch) as world:
        async with ledger.begin() as connection:
            secret = await signing_key(connection)
        opened = Shipped(world, ledger, project, secret)
        yield opened
        await opened.close()


async def no_wait() -> None:
    """Let every request go at once."""


async def test_the_shipped_rules_from_the_booking_to_the_term(
    shipped: Shipped, browser: AsyncClient, ledger: AsyncEngine, ledger_url: str
) -> None:
    await shipped.etermin.book("a1", newsletter=True)
    await shipped.etermin.book("a2", newsletter=False, email="bert@example.org")
    assert await shipped.ask() == ["judged", "judged"]
    assert [mail.recipients for mail in shipped.mails] == [(EVA["email"],)]
    assert await shipped.follow() == []
    assert (await browser.get(shipped.link())).status_code == 200
    assert await shipped.follow() == []
    assert shipped.etermin.sandbox.effects.since(system="quentn") == []
    for _ in range(2):
        assert (await browser.post(shipped.link())).status_code == 200
    assert await shipped.follow() == ["judged"]
    assert await shipped.follow() == []
    assert shipped.in_quentn() == [(EVA["email"], "Newsletter")]
    said = (await handoff(ledger_url, "explain", "bert@example.org")).out
    assert "left out: did not tick the newsletter box at the booking" in said
    said = (await handoff(ledger_url, "explain", EVA["email"])).out
    assert "handed over: confirmed the consent (Double-Opt-in)" in said
    assert "Asked by appointment_newsletter to confirm marketing at 20" in said
    assert "(mail confirmed): confirmed at 20" in said


async def test_who_does_not_confirm_is_not_handed_over_and_explain_says_why(
    shipped: Shipped, browser: AsyncClient, ledger: AsyncEngine, ledger_url: str
) -> None:
    await shipped.etermin.book("a1", newsletter=True)
    await shipped.ask()
    said = (await handoff(ledger_url, "explain", EVA["email"])).out
    assert "(mail confirmed): not confirmed; the link works until 20" in said
    [asked] = (await handoff(ledger_url, "explain", EVA["email"], "--json")).json["opt_ins"]
    assert (asked["rule"], asked["purpose"], asked["channel"]) == ("appointment_newsletter", "marketing", "email")
    assert (asked["mail"], asked["confirmed_at"], asked["reminded_at"]) == ("confirmed", None, None)
    await change(ledger, "UPDATE handoff.opt_ins SET expires_at = clock_timestamp()")
    assert "not confirmed; the link expired at 20" in (await handoff(ledger_url, "explain", EVA["email"])).out
    assert (await browser.post(shipped.link())).status_code == 410
    assert await shipped.follow() == []
    assert shipped.etermin.sandbox.effects.since(system="quentn") == []
    assert await rows(ledger, CONFIRMED) == []


async def twice(browser: AsyncClient, where: list[str]) -> None:
    for one in where:
        assert (await browser.post(one)).status_code == 200


async def at_once(browser: AsyncClient, where: list[str]) -> None:
    answers = await asyncio.gather(*map(browser.post, where))
    assert {answer.status_code for answer in answers} == {200}


@pytest.mark.parametrize("confirm", [twice, at_once])
async def test_two_mails_with_the_same_words_hand_nobody_over_twice(
    ledger: AsyncEngine, browser: AsyncClient, confirm: Callable[[AsyncClient, list[str]], Any]
) -> None:
    for key in ("d1", "d2"):
        await sign_up(ledger, opt_in_rule(), key=key)
    where = await links(ledger)
    assert len(where) == 2
    await confirm(browser, where)
    assert await rows(ledger, CONFIRMED) == [("doi", False)]
    target = MemoryTarget()
    assert await follow(ledger, target) == ["judged"]
    assert [email for email, _ in target.effects] == [PERSON.email]


async def test_other_words_are_another_confirmation(ledger: AsyncEngine, browser: AsyncClient) -> None:
    await sign_up(ledger, opt_in_rule())
    await sign_up(ledger, opt_in_rule("other", wording=f"{WORDING} Auch per Briefpost."), key="d2")
    await twice(browser, await links(ledger))
    assert await rows(ledger, CONFIRMED) == [("doi", False), ("other", False)]


async def test_a_rule_says_whose_question_and_what_was_agreed_to(
    home: Path, ledger: AsyncEngine, browser: AsyncClient
) -> None:
    put_rule(home, FOLLOWER | {"id": "asked_by_doi", "asked_by": ["doi"]})
    put_rule(home, FOLLOWER | {"id": "asked_by_other", "asked_by": ["other"]})
    put_rule(home, FOLLOWER | {"id": "surveys", "agreed_to": "survey"})
    await sign_up(ledger, opt_in_rule())
    await twice(browser, await links(ledger))
    planned = await rows(ledger, "SELECT rule_id FROM handoff.batches WHERE rule_id <> 'doi' ORDER BY rule_id")
    assert planned == [("asked_by_doi",), ("follower",)]
    await sign_up(ledger, opt_in_rule("other", purpose="survey"), key="d2")
    await twice(browser, (await links(ledger))[1:])
    planned = await rows(ledger, "SELECT rule_id FROM handoff.batches WHERE rule_id = 'surveys'")
    assert planned == [("surveys",)]


async def test_a_no_before_the_moment_ends_it_and_a_new_yes_begins_anew(
    ledger: AsyncEngine, browser: AsyncClient
) -> None:
    await sign_up(ledger, opt_in_rule())
    await twice(browser, await links(ledger))
    await say_no(ledger)
    target = MemoryTarget()
    assert await follow(ledger, target) == ["cancelled"]
    assert target.effects == []
    # Signed up again, a moment after the no.
    await change(ledger, "UPDATE handoff.consents SET at = at - interval '9 days'")
    await change(ledger, "UPDATE handoff.suppressions SET at = at - interval '9 days'")
    past = (datetime.now(UTC) - timedelta(days=10)).isoformat()
    await change(ledger, "UPDATE handoff.occasions SET anchors = jsonb_build_object('confirmed', CAST(:past AS text)) "
                         "WHERE source = 'opt_in'", past=past)  # fmt: skip
    await sign_up(ledger, opt_in_rule(), key="d2")
    await twice(browser, (await links(ledger))[1:])
    assert await follow(ledger, target) == ["judged"]
    assert len(target.effects) == 1
    assert (await compared(ledger))[1:] == (0, 0)
    assert await rows(ledger, CONFIRMED) == [("doi", True), ("doi", False)]
    assert await rows(ledger, BATCHES) == [("cancelled",), ("judged",)]
    assert await follow(ledger, target) == []
    assert len(target.effects) == 1


async def test_the_sweep_agrees_and_a_no_after_the_handover_starts_nothing(
    ledger: AsyncEngine, browser: AsyncClient
) -> None:
    await sign_up(ledger, opt_in_rule())
    await twice(browser, await links(ledger))
    target = MemoryTarget()
    assert await follow(ledger, target) == ["judged"]
    assert await compared(ledger) == (0, 0, 0)
    await say_no(ledger)
    assert await compared(ledger) == (1, 0, 0)
    assert await follow(ledger, target) == []
    assert (len(target.effects), await rows(ledger, CONFIRMED)) == (1, [("doi", True)])


NOES = {
    "suppressed": ("suppress", PERSON.email, "--reason", "complaint"),
    "withdrawn": ("consent", PERSON.email, "--withdraw", "marketing"),
    "objected": ("consent", PERSON.email, "--object", "marketing"),
}


@pytest.mark.parametrize("how", ["erased", *NOES])
async def test_whoever_is_gone_by_the_moment_is_not_handed_over(
    ledger: AsyncEngine, ledger_url: str, browser: AsyncClient, how: str
) -> None:
    await sign_up(ledger, opt_in_rule())
    await twice(browser, await links(ledger))
    if how == "erased":
        async with ledger.begin() as connection:
            await erase(connection, PERSON.key)
    else:
        assert (await handoff(ledger_url, *NOES[how])).status == 0
    target = MemoryTarget()
    assert await follow(ledger, target) == ["cancelled"]
    assert target.effects == []


async def test_the_occasion_names_nobody(ledger: AsyncEngine, browser: AsyncClient) -> None:
    await sign_up(ledger, opt_in_rule())
    await twice(browser, await links(ledger))
    told = str(await rows(ledger, "SELECT * FROM handoff.occasions WHERE source = 'opt_in'"))
    told += str(await rows(ledger, "SELECT * FROM handoff.inbox WHERE source = 'opt_in'"))
    person = Contact(PERSON.email)
    assert "doi" in told
    assert not [one for one in (person.email, person.key, "Vorname0", "203.0.113.7") if one in told]
