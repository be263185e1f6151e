"""Planted names, addresses and secrets never appear in logs, errors, XComs, reasons or notices; erased, nowhere."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.consent import Subject
from handoff.contact import Contact
from handoff.errors import HandoffError
from handoff.ledger import consents, registrations
from handoff.ledger.consents import Entry
from handoff.planning.planner import record
from handoff.registration import Registration, Roster
from handoff.rules.rule import Rule
from operators import settle
from sandbox import Sandbox, Scenario, credentials
from tests.support.discretion import (
    EMAIL,
    FIRST,
    KNOWN,
    LAST,
    LOGINS,
    PHONE,
    READ,
    WORLD,
    Run,
    leaks,
    left_after_erasing,
    xenia,
)
from tests.support.domain import a_rule, an_occasion
from tests.support.hostile import Answer, ParrotMailServer, parrot
from tests.support.rows import change, rows
from tests.support.webinaris_account import date, serving

STEPS = {
    "klicktipp": [{"step": "klicktipp.contact", "fields": {"Vorname": "{{ contact.first_name }}"}}],
    "klicktipp tag": [{"step": "klicktipp.tag", "tag": "Webinar besucht"}],
    "activecampaign": [{"step": "activecampaign.contact"}],
    "activecampaign bulk": [{"step": "activecampaign.tag", "tag": "neu", "create": True}],
    "quentn": [{"step": "quentn.contact", "fields": {"company": "{{ contact.last_name }}"}, "opt_in": "single"}],
    "quentn term": [{"step": "quentn.term", "term": "Webinar besucht"}],
    "insightly": [{"step": "insightly.note", "title": "{{ contact.last_name }}", "body": "{{ contact.first_name }}"}],
    "callexa": [{"step": "callexa.recipient", "survey": "Zufriedenheit"}],
    "email": [{"step": "email", "template": "webinar_attended"}],
}
ANSWERS = [
    *(Answer(status) for status in (400, 401, 404, 422, 429, 500, 200, 302, None)),
    Answer(200, "html"), Answer(200, "broken"), Answer(406, "list"),
]  # fmt: skip


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(Scenario.model_validate(WORLD)) as running:
        running.gate.limits.clear()
        yield running


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run end soon: what waits longer is left to a later one."""
    monkeypatch.setattr(settle, "HORIZON_SECONDS", 0.0)


@pytest.fixture
def run(ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(ledger, ledger_url, monkeypatch)


async def agreed(ledger: AsyncEngine, people: tuple[Registration, ...]) -> None:
    """Let people agree to surveys."""
    entries = [
        Entry(Subject(Contact(one.email or "").key, "email", "survey"), "granted", datetime.now(UTC)) for one in people
    ]
    async with ledger.begin() as connection:
        await consents.add(connection, entries)


def rule_of(vendor: str) -> Rule:
    """Return a rule with the steps of a vendor."""
    legal = {"purpose": "survey", "legal_basis": "consent"} if vendor == "callexa" else {}
    return a_rule(steps=STEPS[vendor], **legal)


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
@pytest.mark.parametrize("vendor", sorted(STEPS.keys() - {"email"}))
async def test_vendors_that_repeat_everything(
    run: Run, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, vendor: str, answer: Answer, ledger: AsyncEngine
) -> None:
    caplog.set_level(logging.DEBUG)
    name, people = vendor.split(" ")[0], xenia(30 if "bulk" in vendor else 1)
    await agreed(ledger, people)
    async with parrot(sandbox.http_url, answer, KNOWN) as (bird, url):
        run.account(f"{name}_default", f"{url}/{name}", *LOGINS[name])
        await run.of(rule_of(vendor), people)
    assert bird.repeated
    assert await rows(ledger, "SELECT 1 FROM handoff.effects") != []
    assert leaks(run, caplog) == []
    if len(people) == 1:
        assert await left_after_erasing(ledger) == []


@pytest.mark.parametrize("lets", [0, 1, 2])
@pytest.mark.parametrize("answer", READ, ids=str)
@pytest.mark.parametrize("vendor", ["klicktipp", "activecampaign", "quentn", "quentn term", "insightly", "callexa"])
async def test_vendors_that_repeat_what_they_were_asked(
    run: Run,
    sandbox: Sandbox,
    caplog: pytest.LogCaptureFixture,
    vendor: str,
    answer: Answer,
    lets: int,
    ledger: AsyncEngine,
) -> None:
    """A lookup has the address in its URL, percent-encoded; the first readings of an account are not yet about it."""
    caplog.set_level(logging.DEBUG)
    name = vendor.split(" ")[0]
    await agreed(ledger, xenia())
    async with parrot(sandbox.http_url, answer, KNOWN, lets) as (bird, url):
        run.account(f"{name}_default", f"{url}/{name}", *LOGINS[name])
        await run.of(rule_of(vendor), xenia())
    assert bird.repeated
    assert leaks(run, caplog) == []
    assert await left_after_erasing(ledger) == []


@pytest.mark.parametrize("code", ["250", "450", "452", "530", "550", "554", "421"])
@pytest.mark.parametrize("stage", ["recipient", "message"])
async def test_mail_servers_that_repeat_everything(
    run: Run, caplog: pytest.LogCaptureFixture, stage: str, code: str, ledger: AsyncEngine
) -> None:
    caplog.set_level(logging.DEBUG)
    server = ParrotMailServer(stage, code, KNOWN)
    listener = await asyncio.get_running_loop().create_server(server.protocol, "127.0.0.1", 0)
    run.account(
        "smtp_default", "127.0.0.1", None, "", from_email="team@sender.test", disable_ssl=True, disable_tls=True
    )
    run.connections["smtp_default"].port = listener.sockets[0].getsockname()[1]
    await run.of(a_rule(steps=STEPS["email"]), xenia())
    listener.close()
    assert server.repeated
    assert leaks(run, caplog) == []


@pytest.mark.parametrize(
    "template",
    [
        "{{ {}[contact.email] }}",
        "{{ contact.first_name.nope }}",
        "{{ contact[contact.last_name] }}",
        "{{ contact.first_name | int(default=contact.email) / 0 }}",
        "{{ contact.last_name + 1 }}",
        "{{ contact.email() }}",
        "{% include contact.email %}",
        "{{ contact.first_name | format(1, 2) }}",
    ],
)
async def test_templates_that_stumble_over_a_value(
    run: Run, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, template: str, ledger: AsyncEngine
) -> None:
    caplog.set_level(logging.DEBUG)
    run.account(
        "klicktipp_default", f"{sandbox.http_url}/klicktipp", credentials.KLICKTIPP_USERNAME,
        credentials.KLICKTIPP_PASSWORD,
    )  # fmt: skip
    await run.of(a_rule(steps=[{"step": "klicktipp.contact", "fields": {"Vorname": template}}]), xenia())
    assert await rows(ledger, "SELECT state FROM handoff.effects") == [("refused",)]
    assert leaks(run, caplog) == []


@pytest.mark.parametrize("case", ["wrong password", "no host", "nobody there", "extra is no JSON"])
async def test_accounts_that_cannot_be_used(
    run: Run, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    caplog.set_level(logging.DEBUG)
    host = {"no host": f"http://{credentials.KLICKTIPP_PASSWORD}@", "nobody there": "http://127.0.0.1:9"}
    secret = f"{credentials.KLICKTIPP_PASSWORD}-wrong"
    run.account("klicktipp_default", host.get(case, f"{sandbox.http_url}/klicktipp"), "sandbox", secret)
    if case == "extra is no JSON":
        run.connections["klicktipp_default"].extra = "{" + credentials.KLICKTIPP_PASSWORD
    await run.of(a_rule(steps=STEPS["klicktipp"]), xenia())
    assert leaks(run, caplog) == []


@pytest.mark.parametrize("answer", [
    (500, {"error": KNOWN}), (200, KNOWN), (200, {"participants": KNOWN}), (401, {"error": KNOWN}),
    (200, {"participants": [{"id": KNOWN, "email": EMAIL}]}), (429, KNOWN), (200, f"<html>{KNOWN}</html>"),
], ids=["500", "text", "no list", "401", "no entry", "429", "html"])  # fmt: skip
async def test_a_source_that_repeats_everything(
    run: Run, caplog: pytest.LogCaptureFixture, answer: tuple[int, Any]
) -> None:
    caplog.set_level(logging.DEBUG)
    with serving() as account:
        account.answers = Everything(answer)
        run.account("webinaris_default", account.url, None, "planted-webinaris-key")
        await run.of(a_rule(steps=STEPS["klicktipp"]))
    assert account.asked
    assert leaks(run, caplog) == []


class Everything(dict[str, list[Any]]):
    """Answers every path: a date when one is asked for, else what the test wants."""

    def __init__(self, answer: tuple[int, Any]) -> None:
        super().__init__()
        self._answer = answer

    def get(self, path: str, default: Any = None) -> list[Any]:
        """Return the answers of a path."""
        return [self._answer if "participants" in path or "registrations" in path else (200, {"dates": [date()]})]


async def test_names_that_the_database_cannot_take(
    run: Run, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, ledger: AsyncEngine
) -> None:
    caplog.set_level(logging.DEBUG)
    broken = Registration("p0", EMAIL, datetime.now(UTC) - timedelta(hours=2), f"{FIRST}\ud800\x00", LAST, PHONE)
    run.account(
        "klicktipp_default", f"{sandbox.http_url}/klicktipp", credentials.KLICKTIPP_USERNAME,
        credentials.KLICKTIPP_PASSWORD,
    )  # fmt: skip
    await run.of(a_rule(steps=STEPS["klicktipp"]), (broken,))
    assert leaks(run, caplog) == []
    assert await rows(ledger, "SELECT state FROM handoff.effects") == [("confirmed",)]


async def test_a_ledger_that_fails_in_the_middle(
    run: Run, ledger: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """Also an error of the database that quotes the row it stumbled over stays free of it."""
    caplog.set_level(logging.DEBUG)
    await record(ledger, [an_occasion()], [])
    await change(ledger, "ALTER TABLE handoff.contacts ADD CONSTRAINT never CHECK (phone = '')")
    now = datetime.now(UTC)
    await run.of(a_rule(steps=STEPS["klicktipp"]), xenia())
    try:
        async with ledger.begin() as connection:
            await registrations.store(connection, 1, Roster(now, now, xenia()))
    except Exception as error:
        run.said += traceback.format_exception(error)
    else:
        raise AssertionError("the constraint did not hold")
    assert leaks(run, caplog) == []


def test_the_search_finds_what_is_there(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("handoff.test").debug("%s", HandoffError(f"{EMAIL}, {LAST}"))
    assert leaks(run, caplog) == ["xenia.q7", LAST]
