"""A day whose requests are used up: watches rest until the next one, ask nothing meanwhile, and say so once."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from airflow.sdk import BaseAsyncOperator
from airflow.sdk.exceptions import TaskDeferred
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger import alarms, cursors, prospects
from handoff.ledger.quotas import next_day
from hooks.callexa import CallexaHook
from hooks.etermin import ETerminHook
from hooks.insightly import InsightlyHook
from hooks.vendor_hook import VendorHook
from hooks.webinaris import WebinarisHook
from operators.callexa import RecordAnswersOperator
from operators.etermin import RecordAppointmentsOperator
from operators.insightly import RecordClosingsOperator
from operators.next_poll import NextPollOperator
from operators.webinaris import NextWebinarPollOperator, RecordWebinarsOperator
from sandbox import (
    CALLEXA_APIKEY,
    CALLEXA_LOGIN,
    ETERMIN_PRIVATEKEY,
    ETERMIN_PUBLICKEY,
    INSIGHTLY_KEY,
    WEBINARIS_APIKEY,
    Sandbox,
    Scenario,
)
from sensors.webinaris_watch import WebinarWatchSensor
from tests.support.pushing import ledger_connection
from tests.support.rows import change, rows

pytestmark = pytest.mark.integration
LOGINS = {
    "insightly": (None, INSIGHTLY_KEY),
    "callexa": (CALLEXA_LOGIN, CALLEXA_APIKEY),
    "etermin": (ETERMIN_PUBLICKEY, ETERMIN_PRIVATEKEY),
    "webinaris": (None, WEBINARIS_APIKEY),
}
RECORDERS: dict[str, type[BaseAsyncOperator]] = {
    "insightly": RecordClosingsOperator,
    "callexa": RecordAnswersOperator,
    "etermin": RecordAppointmentsOperator,
    "webinaris": RecordWebinarsOperator,
}
HOOKS: dict[str, type[VendorHook]] = {
    hook.conn_type: hook for hook in (InsightlyHook, CallexaHook, ETerminHook, WebinarisHook)
}
RULES: dict[str, dict[str, Any]] = {
    "won": {"source": "insightly", "when": {"minutes": 0, "after": "closed"}},
    "ask": {
        "source": "insightly", "when": {"minutes": 0, "after": "closed"}, "purpose": "survey",
        "legal_basis": "consent", "steps": [{"step": "callexa.recipient", "survey": "Kundenzufriedenheit"}],
    },
}  # fmt: skip
WORLD = {"insightly": {"per_second": None}, "callexa": {"surveys": [{"id": "s1", "name": "Kundenzufriedenheit"}]}}
NOTHING = {"changed": 0, "cursor": 0.0}
NOTICES = "SELECT cause, words FROM handoff.notices WHERE closed_at IS NULL"


class Accounts:
    """The stand-ins, with connections that lead to them."""

    def __init__(self, sandbox: Sandbox, patch: pytest.MonkeyPatch) -> None:
        self.sandbox, self._patch = sandbox, patch
        for vendor in LOGINS:
            self.connect(vendor)

    def connect(self, vendor: str, **extra: Any) -> None:
        """Let the vendor's default connection say this."""
        login, password = LOGINS[vendor]
        values = {"conn_type": vendor, "host": f"{self.sandbox.http_url}/{vendor}", "login": login,
                  "password": password, "extra": {"timeout": 5, **extra}}  # fmt: skip
        self._patch.setenv(f"AIRFLOW_CONN_{vendor.upper()}_DEFAULT", json.dumps(values))

    def asked(self, vendor: str) -> int:
        """Return how many requests a vendor got so far."""
        return int(self.sandbox.calls.as_json().get(vendor, {"total": 0})["total"])


@pytest.fixture
async def accounts(ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Accounts]:
    folder = tmp_path / "include" / "handoffs"
    folder.mkdir(parents=True)
    for name, spec in RULES.items():
        rule = {"id": name, "title": name, "steps": [{"step": "klicktipp.tag", "tag": "t"}], **spec}
        (folder / f"{name}.yaml").write_text(json.dumps(rule))
    monkeypatch.setenv("HANDOFFS_HOME", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_HANDOFF_LEDGER", ledger_connection(ledger_url))
    async with Sandbox(Scenario.model_validate(WORLD)) as running:
        yield Accounts(running, monkeypatch)


async def record(vendor: str) -> dict[str, Any]:
    found: dict[str, Any] = await RECORDERS[vendor](task_id="record").aexecute({})  # type: ignore[no-untyped-call]
    return found


async def planned(vendor: str, requests: int = 1) -> dict[str, Any]:
    kind = NextWebinarPollOperator if vendor == "webinaris" else NextPollOperator
    return await kind(task_id="next", hook=HOOKS[vendor], account=f"{vendor}_default", requests=requests).aexecute({})


async def rests(vendor: str, accounts: Accounts, ledger: AsyncEngine, morning: Callable[[], Awaitable[None]]) -> None:
    """See that a watch rests until midnight, whatever news comes, and then goes on."""
    midnight = next_day(datetime.now(UTC))
    before = accounts.asked(vendor)
    resumes_at = datetime.fromisoformat((await record(vendor))["resumes_at"])
    assert midnight <= resumes_at <= midnight + timedelta(minutes=1)
    async with ledger.begin() as connection:
        await cursors.poke(connection, vendor, f"{vendor}_default")
    plan = await planned(vendor)
    assert plan["at"] == plan["not_before"] == pytest.approx(resumes_at.timestamp())
    assert accounts.asked(vendor) - before <= 1, "a vendor's own refusal is heard once"
    [(cause, words)] = await rows(ledger, NOTICES)
    assert cause == f"quota/{vendor}_default/polling"
    assert f"{vendor}_default: no request of the day is left for polling" in words
    assert f"{resumes_at:%Y-%m-%d %H:%M} UTC" in words

    await morning()
    with time_machine.travel(resumes_at + timedelta(seconds=1), tick=True):
        assert (await planned(vendor))["at"] <= time.time()
        assert "resumes_at" not in await record(vendor)
        assert (await planned(vendor))["at"] < resumes_at.timestamp() + 86_000
    await change(ledger, "UPDATE handoff.notices SET last_at = last_at - interval '1 day'")
    async with ledger.begin() as connection:
        await alarms.review(connection)
    assert await rows(ledger, NOTICES) == []


async def test_a_day_that_is_used_up_at_the_vendor(accounts: Accounts, ledger: AsyncEngine) -> None:
    accounts.sandbox.gate.limit_day("insightly", 5, 5)

    async def morning() -> None:
        """The stand-in's own day begins with the clock."""

    await rests("insightly", accounts, ledger, morning)


@pytest.mark.parametrize("vendor", RECORDERS)
async def test_a_day_whose_planned_share_is_used_up(accounts: Accounts, ledger: AsyncEngine, vendor: str) -> None:
    accounts.connect(vendor, requests_per_day=100)
    used = "INSERT INTO handoff.day_uses SELECT :account, CAST(now() AT TIME ZONE 'UTC' AS date), 'polling', 100"
    await change(ledger, used, account=f"{vendor}_default")

    async def morning() -> None:
        await change(ledger, "UPDATE handoff.day_uses SET day = day - 1")

    before = accounts.asked(vendor)
    await rests(vendor, accounts, ledger, morning)
    assert accounts.asked(vendor) - before <= 3


async def test_a_poll_that_works_ends_the_rest(accounts: Accounts, ledger: AsyncEngine) -> None:
    """Somebody raised the number of requests and let the poll run at once."""
    accounts.sandbox.gate.limit_day("insightly", 5, 5)
    await record("insightly")
    accounts.sandbox.gate.limit_day("insightly", 1000)
    await record("insightly")
    assert (await planned("insightly"))["at"] == pytest.approx(time.time() + 3600, abs=60)


async def test_news_is_heeded_after_the_pace_and_without_a_limit_within_seconds(
    accounts: Accounts, ledger: AsyncEngine
) -> None:
    await record("insightly")
    [(polled_at,)] = await rows(ledger, "SELECT CAST(CAST(value AS json) ->> 'polled_at' AS timestamptz) FROM "
                                        "handoff.cursors WHERE source = 'insightly'")  # fmt: skip
    assert (await planned("insightly", 3))["not_before"] - polled_at.timestamp() == pytest.approx(5)
    accounts.connect("insightly", requests_per_day=1000)
    plan = await planned("insightly", 3)
    assert plan["pace"] == pytest.approx(3 * 86_400 / 500)
    assert plan["not_before"] - polled_at.timestamp() == pytest.approx(plan["pace"])


@pytest.mark.parametrize("vendor", RECORDERS)
async def test_news_that_came_before_a_poll_hastens_no_other(
    accounts: Accounts, ledger: AsyncEngine, vendor: str
) -> None:
    async with ledger.begin() as connection:
        await cursors.poke(connection, vendor, f"{vendor}_default")
        poked = await cursors.poked(connection, vendor, f"{vendor}_default")
    await record(vendor)
    assert (await planned(vendor))["seen"] == poked


@pytest.mark.parametrize("vendor", RECORDERS)
async def test_what_a_connection_allows_is_known_as_soon_as_the_next_poll_is_planned(
    accounts: Accounts, ledger: AsyncEngine, vendor: str
) -> None:
    for extra in ({"requests_per_day": 1000}, {}):
        accounts.connect(vendor, **extra)
        await planned(vendor)
        async with ledger.connect() as connection:
            [account] = await prospects.accounts(connection)
        assert (account.quota.per_day if account.quota else None) == extra.get("requests_per_day")


async def waiting(plan: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Let the sensor of a Webinaris watch run; return what it waits with, nothing when it does not wait."""
    sensor = WebinarWatchSensor(task_id="wait", plan=plan, poll_interval=5.0, at_most=300.0)
    context: Any = {}
    try:
        found, waits_with = await asyncio.to_thread(sensor.execute, context), ("", {"at": 0.0})
    except TaskDeferred as deferral:
        waits_with = deferral.trigger.serialize()
        done = {"status": "due"} if "NextPoll" in waits_with[0] else {"status": "success", **NOTHING}
        found = getattr(sensor, deferral.method_name)(context, done)
    assert found == NOTHING
    return waits_with


async def test_a_webinaris_watch_keeps_to_the_day(accounts: Accounts, ledger: AsyncEngine) -> None:
    accounts.connect("webinaris", requests_per_day=1000)
    began = now = time.time()
    for _ in range(5):
        with time_machine.travel(now, tick=True):
            path, arguments = await waiting(await planned("webinaris"))
        assert path in {"", "triggers.next_poll.NextPollTrigger"}
        now = max(now, arguments["at"])
        with time_machine.travel(now, tick=True):
            await record("webinaris")
    assert accounts.asked("webinaris") == 5, "one request a run: the recording"
    assert now - began >= 4 * 96
    assert await rows(ledger, "SELECT sum(used)::int FROM handoff.day_uses") == [(5,)]


@pytest.mark.parametrize("extra", [{}, {"requests_per_day": 100_000}])
async def test_where_there_are_plenty_a_webinaris_watch_looks_every_few_seconds(
    accounts: Accounts, extra: dict[str, Any]
) -> None:
    accounts.connect("webinaris", **extra)
    await record("webinaris")
    path, arguments = await waiting(await planned("webinaris"))
    assert path == "triggers.webinaris.WebinarChangedTrigger"
    assert arguments["not_before"] <= time.time() + 5
    assert accounts.asked("webinaris") == 2


async def test_a_webinaris_cursor_from_before_is_read_on(accounts: Accounts, ledger: AsyncEngine) -> None:
    async with ledger.begin() as connection:
        await cursors.write(connection, "webinaris", "webinaris_default", "1772460000.5")
    assert (await planned("webinaris")) == {
        "at": 0.0,
        "not_before": 0.0,
        "seen": "",
        "pace": 0.0,
        "since": 1772460000.5,
    }
