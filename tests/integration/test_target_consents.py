"""Consent for steps whose target writes: campaigns, terms, tags and lists of rules that say they are advertising."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.consent import Subject
from handoff.contact import Contact
from handoff.ledger import consents
from handoff.ledger.consents import Entry
from handoff.ledger.keys import signing_key
from handoff.rules.rule import Rule
from handoff.target import Target
from handoff.texts.links import Links
from hooks.accounts import VENDORS
from tests.integration.test_consents import CONSENT, LOG, REASONS, judged, say
from tests.support.delivery import desk_of, judge_due, work
from tests.support.domain import a_rule
from tests.support.etermin_world import EVA, ETermin, rule
from tests.support.opt_ins import WORDING, ends
from tests.support.rows import rows
from tests.support.targets import MemoryTarget
from web.app import create_app
from web.ledger import close_ledger

pytestmark = pytest.mark.integration
BOOKED = {"minutes": 0, "after": "booked"}
CAMPAIGN = rule(
    "advert", BOOKED, steps=[{"step": "quentn.contact"}, {"step": "quentn.campaign", "campaign": 1}], **CONSENT
)  # fmt: skip
ASKING = rule("asking", BOOKED, steps=[{"step": "opt_in", "wording": WORDING}])
FOLLOWER = {
    "id": "follower", "title": "Follower", "source": "opt_in", "when": {"minutes": 0, "after": "confirmed"},
    "steps": [{"step": "quentn.term", "term": "Newsletter", "create": True}],
}  # fmt: skip
WRITING: tuple[dict[str, Any], ...] = (
    {"step": "quentn.campaign", "campaign": 1},
    {"step": "quentn.term", "term": "T"},
    {"step": "activecampaign.list", "list": "L"},
    {"step": "activecampaign.tag", "tag": "T"},
    {"step": "klicktipp.contact"},
    {"step": "klicktipp.tag", "tag": "T"},
)
KEEPING: tuple[dict[str, Any], ...] = (
    {"step": "quentn.contact"},
    {"step": "quentn.unterm", "term": "T"},
    {"step": "activecampaign.contact"},
    {"step": "activecampaign.untag", "tag": "T"},
    {"step": "klicktipp.untag", "tag": "T"},
)


@pytest.fixture
async def browser(etermin: ETermin) -> AsyncIterator[AsyncClient]:
    transport = ASGITransport(create_app(), client=("203.0.113.7", 4711))
    async with AsyncClient(transport=transport, base_url="http://airflow") as client:
        yield client
    await close_ledger()


async def no_wait() -> None:
    """Let every request go at once."""


async def book(etermin: ETermin, uid: str, *rules: Rule) -> None:
    """Let Eva book, and let the rules do what is due then."""
    await etermin.book(uid)
    await etermin.poll()
    source = await etermin.source()
    quentn = VENDORS["quentn"].from_connection("quentn_default", etermin.quentn(), no_wait)
    accounts: dict[str, Target] = {"quentn_default": quentn, "smtp_default": MemoryTarget(readable=False)}
    for one in rules:
        await judge_due(etermin.ledger, one, source)
        await work(etermin.ledger, one, desk_of(etermin.ledger, accounts))
    await quentn.close()
    await source.close()


def campaigns(etermin: ETermin) -> list[str]:
    """Return for whom campaigns were started; what was asked of the stand-in says the same."""
    started = [one.contact for one in etermin.sandbox.effects.since(system="quentn") if one.action == "campaign"]
    paths = etermin.sandbox.calls.as_json().get("quentn", {}).get("paths", {})
    assert sum(sum(counts.values()) for path, counts in paths.items() if "/cb/" in path) == len(started)
    return started


async def press(ledger: AsyncEngine, browser: AsyncClient) -> None:
    """Press the button behind the one confirmation mail's link."""
    async with ledger.begin() as connection:
        made = Links("", await signing_key(connection))
    [(key,)] = await rows(ledger, "SELECT effect_key FROM handoff.opt_ins")
    assert (await browser.post(made.opt_in(key).removeprefix("/handoffs"))).status_code == 200


async def test_a_campaign_is_started_after_the_double_opt_in_only(
    etermin: ETermin, ledger: AsyncEngine, browser: AsyncClient
) -> None:
    rules = etermin.rules(CAMPAIGN, ASKING)
    await book(etermin, "a1", *rules)
    assert await ends(ledger, "advert") == [("confirmed", ""), ("skipped", "no_consent")]
    assert campaigns(etermin) == []
    await press(ledger, browser)
    await book(etermin, "a2", *rules)
    assert (await ends(ledger, "advert"))[2:] == [("confirmed", ""), ("confirmed", "")]
    assert campaigns(etermin) == [EVA["email"]]
    assert [line[:4] for line in await rows(ledger, LOG)][1:] == [("used", "marketing", "email", "rule advert")]


async def test_a_single_opt_in_is_no_consent_of_etermins_contacts_and_can_be_confirmed(
    etermin: ETermin, ledger: AsyncEngine, browser: AsyncClient
) -> None:
    """Who agreed in a form is asked all the same, and what begins with the confirmation begins."""
    *rules, _ = etermin.rules(CAMPAIGN, ASKING, FOLLOWER)
    await grant(ledger, "granted")
    await book(etermin, "a1", *rules)
    assert await ends(ledger, "advert") == [("confirmed", ""), ("skipped", "not_confirmed")]
    assert await ends(ledger, "asking") == [("confirmed", "")]
    assert campaigns(etermin) == []
    await press(ledger, browser)
    assert await rows(ledger, "SELECT series FROM handoff.occasions WHERE source = 'opt_in'") == [("asking",)]
    await grant(ledger, "granted")
    await book(etermin, "a2", *rules)
    assert (await ends(ledger, "advert"))[2:] == [("confirmed", ""), ("confirmed", "")]
    assert (await ends(ledger, "asking"))[1:] == [("skipped", "already_consented")]
    await grant(ledger, "withdrawn")
    await book(etermin, "a3", *rules)
    assert (await ends(ledger, "advert"))[4:] == [("confirmed", ""), ("skipped", "consent_withdrawn")]
    await grant(ledger, "granted")
    await book(etermin, "a4", *rules)
    assert (await ends(ledger, "advert"))[6:] == [("confirmed", ""), ("skipped", "not_confirmed")]
    assert campaigns(etermin) == [EVA["email"]]


async def grant(ledger: AsyncEngine, what: str) -> None:
    """Note what Eva said in the same words as the confirmation mail's."""
    subject = Subject(Contact(EVA["email"]).key, "email", "marketing")
    async with ledger.begin() as connection:
        assert await consents.add(connection, [Entry(subject, what, datetime.now(UTC), WORDING, "form")]) == 1


async def steps_of(ledger: AsyncEngine, step: dict[str, Any], **purpose: str) -> tuple[list[tuple[str, str]], int]:
    """Let a rule hand over two people of whom the first agreed; return how each ended, and the calls to the target."""
    one = a_rule(steps=[step], **purpose)
    await judged(ledger, one, 2)
    await say(ledger, 0, "granted")
    account = one.steps[0].conn_id
    target = MemoryTarget()
    await work(ledger, one, desk_of(ledger, {account: target}))
    return [(state, reason) for *_, state, reason in await rows(ledger, REASONS)], target.calls


@pytest.mark.parametrize("step", WRITING, ids=lambda step: step["step"])
async def test_what_may_lead_to_advertising_asks(ledger: AsyncEngine, step: dict[str, Any]) -> None:
    assert await steps_of(ledger, step, **CONSENT) == ([("confirmed", ""), ("skipped", "no_consent")], 1)
    assert [line[0] for line in await rows(ledger, LOG)] == ["granted", "used"]


@pytest.mark.parametrize("step", KEEPING, ids=lambda step: step["step"])
async def test_what_keeps_a_contact_or_takes_away_asks_nothing(ledger: AsyncEngine, step: dict[str, Any]) -> None:
    assert await steps_of(ledger, step, **CONSENT) == ([("confirmed", "")] * 2, 2)


@pytest.mark.parametrize("step", WRITING, ids=lambda step: step["step"])
async def test_service_asks_nothing(ledger: AsyncEngine, step: dict[str, Any]) -> None:
    assert await steps_of(ledger, step) == ([("confirmed", "")] * 2, 2)


async def test_the_rules_window_is_not_for_what_the_target_writes(ledger: AsyncEngine) -> None:
    """A tag is set at its moment; only a window of its own holds it back."""
    mail = {"step": "email", "template": "webinar_attended"}
    one = a_rule(steps=[WRITING[-1], mail], window={"not_before": "08:00"}, **CONSENT)
    assert [bool(one.window_of(number)) for number in (0, 1)] == [False, True]
