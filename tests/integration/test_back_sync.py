"""From a won opportunity to a survey, Callexa's or the project's own, and from its answer to one note in the CRM."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
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
from handoff.texts.links import Links
from hooks.accounts import open_source
from operators.callexa import RecordAnswersOperator
from operators.insightly import RecordClosingsOperator
from operators.work import open_desk
from sandbox.effects import Effect
from tests.support.crm import SURVEY, Crm, a_crm
from tests.support.delivery import desk_of, judge_due, states, work
from tests.support.rows import rows
from tests.support.surveys import effect_keys
from tests.support.targets import MemoryTarget
from web.app import create_app
from web.ledger import close_ledger

WORLD: dict[str, Any] = {
    "insightly": {
        "per_second": None,
        "contacts": [{"id": 101, "firstname": "Anna", "lastname": "Öz", "email": "Anna@Example.org"}],
        "opportunities": [{"id": 31, "name": "Dach", "contacts": [101]}],
    },
    "callexa": {"surveys": [{"id": "s1", "name": SURVEY}]},
}
ANNA = "anna@example.org"


@pytest.fixture
async def crm(tmp_path: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Crm]:
    async with a_crm(WORLD, tmp_path, ledger_url, monkeypatch) as running:
        yield running


@pytest.fixture
def won(crm: Crm) -> Rule:
    return crm.rule(
        id="won", source="insightly", when={"minutes": 0, "after": "closed"}, purpose="survey", legal_basis="consent",
        steps=[{"step": "callexa.recipient", "survey": SURVEY}],
    )  # fmt: skip


@pytest.fixture
def note(crm: Crm) -> Rule:
    return crm.rule(id="note", source="survey", steps=[{"step": "insightly.note"}])


async def hand_over(ledger: AsyncEngine, rule: Rule) -> list[str]:
    """Judge what is due, and let workers do it until nothing rests any more."""
    source = await open_source(rule.source, rule.conn_id, ledger)
    became = await judge_due(ledger, rule, source)
    await source.close()
    async with asyncio.timeout(60), open_desk(ledger) as desk:
        await work(ledger, rule, desk)
        while {"planned", "sending", "unknown"} & (await states(ledger)).keys():
            await asyncio.sleep(0.1)
            await work(ledger, rule, desk)
    return became


async def win(crm: Crm, ledger: AsyncEngine) -> None:
    """Let the opportunity be won, whose contact has agreed to be asked."""
    async with ledger.begin() as connection:
        told = Entry(Subject(Contact(ANNA).key, "email", "survey"), "granted", datetime.now(UTC))
        await consents.add(connection, [told])
    await RecordClosingsOperator(task_id="record").aexecute({})
    await crm.order("insightly/state", id=31, state="Won")
    await RecordClosingsOperator(task_id="record").aexecute({})


async def ask_anna(crm: Crm, ledger: AsyncEngine, won: Rule) -> None:
    """Let the opportunity be won, and hand its contact over to Callexa."""
    await win(crm, ledger)
    assert await hand_over(ledger, won) == ["judged"]
    assert crm.did("callexa") == ["recipient"]


async def poll() -> dict[str, int]:
    return await RecordAnswersOperator(task_id="record").aexecute({})


def notes(crm: Crm) -> list[Effect]:
    """Return what was done to notes, in order."""
    return [one for one in crm.sandbox.effects if one.system == "insightly" and "note" in one.action]


async def test_an_answer_becomes_one_note_on_the_contact_linked_with_what_was_won(
    crm: Crm, ledger: AsyncEngine, won: Rule, note: Rule
) -> None:
    await ask_anna(crm, ledger, won)
    assert (await poll())["new"] == 0
    await crm.answer(3, "zu teuer", ANNA)
    assert (await poll())["new"] == 1
    assert await hand_over(ledger, note) == ["judged"]
    written, linked = notes(crm)
    assert (written.action, written.contact, written.detail["parent_id"]) == ("note", ANNA, 101)
    assert "3/10: zu teuer" in written.detail["body"]
    assert (linked.action, linked.detail["to"], linked.detail["to_id"]) == ("link_note", "Opportunity", 31)
    await crm.answer(9, "doch gut", ANNA)
    assert (await poll())["changed"] == 1
    assert await hand_over(ledger, note) == ["judged"]
    [changed] = notes(crm)[2:]
    assert (changed.action, changed.detail["id"]) == ("update_note", written.detail["id"])
    assert "9/10: doch gut" in changed.detail["body"]
    await poll()
    assert await hand_over(ledger, note) == []
    assert len(notes(crm)) == 3


async def mail_anna(crm: Crm, ledger: AsyncEngine) -> str:
    """Let the opportunity be won and its contact be asked by mail; return the path of the mail's link."""
    asking = crm.rule(
        id="ask", source="insightly", when={"minutes": 0, "after": "closed"}, purpose="survey", legal_basis="consent",
        steps=[{"step": "survey", "survey": SURVEY}],
    )  # fmt: skip
    await win(crm, ledger)
    source, inbox = await open_source("insightly", "insightly_default", ledger), MemoryTarget(readable=False)
    assert await judge_due(ledger, asking, source) == ["judged"]
    await source.close()
    await work(ledger, asking, desk_of(ledger, {"smtp_default": inbox}))
    assert [email for email, _ in inbox.effects] == [ANNA]
    async with ledger.begin() as connection:
        links = Links("", await signing_key(connection))
    [key] = await effect_keys(ledger)
    return links.survey(key, None).removeprefix("/handoffs")


@pytest.fixture
async def browser(crm: Crm) -> AsyncIterator[AsyncClient]:
    """What opens the pages behind the mails' links."""
    async with AsyncClient(transport=ASGITransport(create_app()), base_url="http://airflow") as client:
        yield client
    await close_ledger()


async def test_an_answer_on_the_own_page_becomes_the_same_note(
    crm: Crm, ledger: AsyncEngine, note: Rule, browser: AsyncClient
) -> None:
    page = await mail_anna(crm, ledger)
    assert (await browser.get(page, params={"score": "3"})).status_code == 200
    assert await hand_over(ledger, note) == []
    assert (await browser.post(page, data={"rating": "3", "comment": "zu teuer"})).status_code == 200
    assert await hand_over(ledger, note) == ["judged"]
    written, linked = notes(crm)
    assert (written.action, written.contact, written.detail["parent_id"]) == ("note", ANNA, 101)
    assert "3/10: zu teuer" in written.detail["body"]
    assert (linked.action, linked.detail["to"], linked.detail["to_id"]) == ("link_note", "Opportunity", 31)
    for _ in range(2):
        assert (await browser.post(page, data={"rating": "9", "comment": "doch gut"})).status_code == 200
    assert await hand_over(ledger, note) == ["judged"]
    [changed] = notes(crm)[2:]
    assert (changed.action, changed.detail["id"]) == ("update_note", written.detail["id"])
    assert "9/10: doch gut" in changed.detail["body"]
    assert await hand_over(ledger, note) == []


async def test_an_answer_changed_before_its_note_is_written_leaves_only_the_later_one(
    crm: Crm, ledger: AsyncEngine, won: Rule, note: Rule
) -> None:
    await ask_anna(crm, ledger, won)
    for rating in (3, 9):
        await crm.answer(rating, email=ANNA)
        await poll()
    assert await hand_over(ledger, note) == ["judged"]
    written, _ = notes(crm)
    assert "9/10" in written.detail["body"]
    assert await rows(ledger, "SELECT state FROM handoff.batches WHERE rule_id = 'note' ORDER BY id") == [
        ("cancelled",), ("judged",)
    ]  # fmt: skip


@pytest.mark.parametrize("fault", ["commit_then_drop", "drop_before_commit"])
async def test_a_note_whose_answer_was_lost_is_written_once(
    crm: Crm, ledger: AsyncEngine, won: Rule, note: Rule, fault: str
) -> None:
    await ask_anna(crm, ledger, won)
    await crm.answer(3, "zu teuer", ANNA)
    await poll()
    order = {"system": "insightly", "method": "POST", "path": "/Contacts", "fault": fault, "count": 1}
    await crm.order("faults", **order)
    assert await hand_over(ledger, note) == ["judged"]
    assert [one.action for one in notes(crm)] == ["note", "link_note"]
    assert (await crm.struck())[-1] == 1
    assert await states(ledger) == {"confirmed": 2}
