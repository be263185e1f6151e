"""Planted names, addresses and secrets never appear in logs, errors, XComs, reasons or notices."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.errors import HandoffError
from handoff.ledger import registrations
from handoff.ledger.connect import open_ledger_async
from handoff.planner import record
from handoff.registration import Registration, Roster
from handoff.rule import Rule
from hooks import accounts
from hooks.ledger import LedgerHook
from operators import settle, work
from sandbox import Sandbox, credentials
from tests.support.domain import FixedSource, a_rule, an_occasion
from tests.support.hostile import Answer, ParrotMailServer, parrot
from tests.support.rows import change, rows
from tests.support.tasks import run_dag
from tests.support.webinaris_account import date, serving

EMAIL, FIRST, LAST, PHONE = "xenia.q7@planted.example.org", "Xeniaq", "Zwickelhuber", "+49 151 70074711"
SECRETS = (
    credentials.KLICKTIPP_PASSWORD, credentials.KLICKTIPP_DEVELOPER_KEY, credentials.ACTIVECAMPAIGN_TOKEN,
    credentials.SMTP_PASSWORD, credentials.WEBINARIS_APIKEY, "planted-webinaris-key",
)  # fmt: skip
PLANTED = ("xenia.q7", FIRST, LAST, "70074711", *SECRETS)
KNOWN = f"{FIRST} {LAST} <{EMAIL}> {PHONE}"
STEPS = {
    "klicktipp": [{"step": "klicktipp.contact", "fields": {"Vorname": "{{ contact.first_name }}"}}],
    "klicktipp tag": [{"step": "klicktipp.tag", "tag": "Webinar besucht"}],
    "activecampaign": [{"step": "activecampaign.contact"}],
    "activecampaign bulk": [{"step": "activecampaign.tag", "tag": "neu", "create": True}],
    "email": [{"step": "email", "template": "webinar_attended"}],
}
ANSWERS = [
    *(Answer(status) for status in (400, 401, 404, 422, 429, 500, 200, 302, None)),
    Answer(200, "html"), Answer(200, "broken"), Answer(406, "list"),
]  # fmt: skip


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as running:
        running.gate.limits.clear()
        yield running


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run end soon: what waits longer is left to a later one."""
    monkeypatch.setattr(settle, "HORIZON_SECONDS", 0.0)


def xenia(count: int = 1) -> tuple[Registration, ...]:
    then = datetime.now(UTC) - timedelta(hours=2)
    return tuple(
        Registration(f"p{n}", EMAIL if n == 0 else f"{n}.{EMAIL}", then, FIRST, LAST, PHONE) for n in range(count)
    )


class Run:
    """One run of a rule, and everything that it wrote where people without access to the ledger may look."""

    def __init__(self, ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ledger, self.said = ledger, list[str]()
        self.connections: dict[str, Connection] = {}
        self.source: Any = None

        async def open_ledger(ledger_conn_id: str, *, connections: int = 4) -> AsyncEngine:
            return open_ledger_async(ledger_url, connections=connections)

        async def connection_of(conn_id: str) -> Connection:
            return self.connections[conn_id]

        async def open_source(source: str, account: str, engine: AsyncEngine) -> Any:
            return self.source or await accounts.open_source(source, account, engine)

        monkeypatch.setattr(LedgerHook, "open", open_ledger)
        monkeypatch.setattr(accounts, "connection_of", connection_of)
        monkeypatch.setattr(work, "open_source", open_source)

    def account(self, conn_id: str, host: str, login: str | None, password: str, **extra: Any) -> None:
        """Let a connection be found."""
        values = {"settling_seconds": 0, "requests_per_second": 500, "timeout": 5} | extra
        self.connections[conn_id] = Connection(
            conn_id=conn_id, conn_type="http", host=host, login=login, password=password, extra=json.dumps(values)
        )

    async def of(self, rule: Rule, people: tuple[Registration, ...] = ()) -> None:
        """Hand the people of a webinar that has just ended over."""
        occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61))
        if people:
            self.source = FixedSource(occasion, people)
        await record(self._ledger, [occasion], [rule])
        try:
            self.said.append(repr(await run_dag(rule)))
        except Exception as error:
            self.said += traceback.format_exception(error)
        for query in (
            "SELECT state, reason FROM handoff.effects",
            "SELECT held FROM handoff.lanes",
            "SELECT reason FROM handoff.batches",
            "SELECT reason FROM handoff.verdicts",
            "SELECT cause, words FROM handoff.notices",
            "SELECT * FROM handoff.certificates",
            "SELECT cause FROM handoff.circuits",
        ):
            self.said += map(repr, await rows(self._ledger, query))


@pytest.fixture
def run(ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(ledger, ledger_url, monkeypatch)


def leaks(run: Run, caplog: pytest.LogCaptureFixture) -> list[str]:
    formatter = logging.Formatter()
    # The server of the test itself is no part of the program.
    ours = [
        record for record in caplog.records if not record.name.startswith(("mail.log", "aiohttp.access", "sandbox"))
    ]
    everything = "\n".join([*run.said, *map(formatter.format, ours)]).lower()
    return [word for word in PLANTED if word.lower() in everything]


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
@pytest.mark.parametrize("vendor", ["klicktipp", "klicktipp tag", "activecampaign", "activecampaign bulk"])
async def test_vendors_that_repeat_everything(
    run: Run, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, vendor: str, answer: Answer, ledger: AsyncEngine
) -> None:
    caplog.set_level(logging.DEBUG)
    name = vendor.split(" ")[0]
    login = credentials.KLICKTIPP_USERNAME if name == "klicktipp" else None
    password = credentials.KLICKTIPP_PASSWORD if name == "klicktipp" else credentials.ACTIVECAMPAIGN_TOKEN
    async with parrot(sandbox.http_url, answer, KNOWN) as (bird, url):
        run.account(f"{name}_default", f"{url}/{name}", login, password)
        await run.of(a_rule(steps=STEPS[vendor]), xenia(30 if "bulk" in vendor else 1))
    assert bird.repeated
    assert await rows(ledger, "SELECT 1 FROM handoff.effects") != []
    assert leaks(run, caplog) == []


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
