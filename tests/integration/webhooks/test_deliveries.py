"""What becomes of a delivery: planned at once or by the sweep, once whatever happens, erased and forgotten in time."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.contact import Contact
from handoff.delivery.intake import take_up_deliveries
from handoff.delivery.sweep import Sweep
from handoff.ledger import retention
from handoff.ledger.connect import open_ledger_async
from handoff.ledger.deliveries import IN_ORDER
from handoff.ledger.erasure import erase
from handoff.ledger.retention import Periods
from handoff.rules.rule import Rule
from tests.support.commands import handoff
from tests.support.domain import a_rule
from tests.support.pushing import won
from tests.support.receiving import COUNTS, GOOD, STORED, AppointmentAdapter, appointment, said
from tests.support.rows import batches_now, change, rows, rows_become
from web.app import create_app
from web.receiver.accounts import Accounts
from web.receiver.receiver import Receiver

pytestmark = pytest.mark.usefixtures("connections")


@pytest.fixture
def rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rule:
    """A rule file for the calendar."""
    spec = {
        "id": "test_rule", "title": "T", "conn_id": "calendar", "when": {"minutes": 0, "after": "end"},
        "who": "registered", "steps": [{"step": "klicktipp.tag", "tag": "besucht"}],
    }  # fmt: skip
    (tmp_path / "include" / "handoffs").mkdir(parents=True)
    (tmp_path / "include" / "handoffs" / "test_rule.yaml").write_text(json.dumps(spec))
    monkeypatch.setenv("HANDOFFS_HOME", str(tmp_path))
    return a_rule(conn_id="calendar")


START = datetime(2036, 5, 10, 10, 0, tzinfo=UTC)


@pytest.mark.usefixtures("rule")
async def test_what_is_to_be_planned_is_planned_right_after_the_commit(
    ledger: AsyncEngine, sender: AsyncClient
) -> None:
    moved = START + timedelta(hours=3)
    for start, changed in ((START, 1.0), (moved, 2.0), (START, 1.0)):
        body = appointment("a1", start, changed)
        assert said(await sender.post("/webhooks/calendar", content=body, headers=GOOD)) == (200, "ok")
    await rows_become(ledger, "SELECT count(*) FROM handoff.deliveries WHERE processed_at IS NULL", [(0,)])
    assert await batches_now(ledger) == [("test_rule", "waiting", moved + timedelta(hours=1))]
    assert await rows(ledger, "SELECT occasions, problem FROM handoff.deliveries") == [([], None)] * 2
    assert await rows(ledger, "SELECT count(*) FROM handoff.inbox") == [(2,)]


async def test_what_a_dead_server_left_and_what_could_not_be_recorded_is_the_sweep_s(
    ledger: AsyncEngine, ledger_url: str, sender: AsyncClient, rule: Rule
) -> None:
    await change(ledger, "ALTER TABLE handoff.inbox ADD CONSTRAINT broken CHECK (occasion_key <> 'bad')")
    for key in ("bad", "good"):
        body = appointment(key, START)
        assert said(await sender.post("/webhooks/calendar", content=body, headers=GOOD)) == (200, "ok")
    waiting = "SELECT payload ->> 'key', problem FROM handoff.deliveries WHERE processed_at IS NULL"
    await rows_become(ledger, waiting, [("bad", "IntegrityError")])
    sweep = Sweep(ledger, [rule, a_rule(id="other")], None)  # type: ignore[arg-type]
    await take_up_deliveries(sweep)
    notices = "SELECT cause, kind, count, closed_at IS NULL FROM handoff.notices"
    assert await rows(ledger, notices) == [("webhook/calendar", "webhook", 1, True)]
    shown = await handoff(ledger_url, "webhooks")
    assert (shown.status, "1 (1 cannot be recorded)" in shown.out) == (1, True)
    await change(ledger, "ALTER TABLE handoff.inbox DROP CONSTRAINT broken")
    await take_up_deliveries(sweep)
    assert await rows(ledger, waiting) == []
    assert await rows(ledger, notices) == [("webhook/calendar", "webhook", 1, False)]
    assert len(await batches_now(ledger)) == 2
    assert (await handoff(ledger_url, "webhooks")).status == 0


async def pushed_behind_the_lock(ledger: AsyncEngine, sender: AsyncClient, bodies: list[bytes]) -> None:
    """Push while nothing can be recorded, so that all of it waits."""
    async with ledger.begin() as connection:
        await connection.execute(IN_ORDER)
        for body in bodies:
            assert said(await sender.post("/webhooks/calendar", content=body, headers=GOOD)) == (200, "ok")


@pytest.mark.usefixtures("rule")
async def test_a_backlog_is_recorded_in_few_commits_and_in_its_order(ledger: AsyncEngine, sender: AsyncClient) -> None:
    moved = START + timedelta(hours=3)
    long_ago = datetime.now(UTC) - timedelta(days=3)
    bodies = [appointment(f"a{number}", START) for number in range(100)]
    bodies[60:60] = [
        appointment("a7", moved, 2.0),
        appointment("old", long_ago),
        appointment("a8", START, facts={"x": 1}),
    ]
    await pushed_behind_the_lock(ledger, sender, bodies)
    await rows_become(ledger, "SELECT count(*), count(processed_at) FROM handoff.deliveries", [(103, 103)])
    planned = await batches_now(ledger)
    assert len(planned) == 101
    end = timedelta(hours=1)
    assert Counter(planned) == {
        ("test_rule", "waiting", START + end): 99, ("test_rule", "waiting", moved + end): 1,
        ("test_rule", "missed", long_ago + end): 1,
    }  # fmt: skip
    [(events, commits)] = await rows(ledger, "SELECT count(*), count(DISTINCT xmin::text) FROM handoff.inbox")
    assert (events, commits < 12) == (103, True), commits
    versions = "SELECT key, version FROM handoff.occasions WHERE version > 1 ORDER BY key"
    assert await rows(ledger, versions) == [("a7", 2), ("a8", 2)]


@pytest.mark.usefixtures("rule")
async def test_one_of_a_backlog_that_cannot_be_recorded_stops_no_other(
    ledger: AsyncEngine, sender: AsyncClient
) -> None:
    await change(ledger, "ALTER TABLE handoff.inbox ADD CONSTRAINT broken CHECK (occasion_key <> 'bad')")
    keys = [f"a{number}" for number in range(10)] + ["bad"] + [f"b{number}" for number in range(10)]
    await pushed_behind_the_lock(ledger, sender, [appointment(key, START) for key in keys])
    waiting = "SELECT payload ->> 'key', problem FROM handoff.deliveries WHERE processed_at IS NULL"
    await rows_become(ledger, waiting, [("bad", "IntegrityError")])
    recorded = [key for (key,) in await rows(ledger, "SELECT key FROM handoff.occasions ORDER BY id")]
    assert recorded == [key for key in keys if key != "bad"]
    assert len(await batches_now(ledger)) == 20


async def test_two_servers_record_each_delivery_once(ledger: AsyncEngine, ledger_url: str, rule: Rule) -> None:
    engines = [open_ledger_async(ledger_url, connections=3) for _ in range(2)]

    def opened(engine: AsyncEngine) -> Any:
        async def ledger_of() -> AsyncEngine:
            return engine

        return ledger_of

    adapters = {"calendar": AppointmentAdapter()}
    apps = [create_app(Receiver(opened(engine), Accounts(adapters))) for engine in engines]
    senders = [AsyncClient(transport=ASGITransport(app), base_url="http://airflow") for app in apps]
    bodies = [appointment(f"a{number}", START, step) for step in (1.0, 2.0) for number in range(10)]
    answers = await asyncio.gather(
        *(sender.post("/webhooks/calendar", content=body, headers=GOOD) for body in bodies for sender in senders)
    )
    assert {said(answer) for answer in answers} == {(200, "ok")}
    await rows_become(ledger, "SELECT count(*), count(processed_at) FROM handoff.deliveries", [(20, 20)])
    assert await rows(ledger, COUNTS) == [("calendar", "accepted", 20), ("calendar", "repeated", 20)]
    assert len(await batches_now(ledger)) == 10
    for engine in engines:
        await engine.dispose()


@pytest.mark.usefixtures("rule")
async def test_erasing_a_person_removes_their_deliveries_for_ever(ledger: AsyncEngine, sender: AsyncClient) -> None:
    for key, email in (("a1", "xenia@example.org"), ("a2", "eva@example.org"), ("a3", "xenia@example.org")):
        body = appointment(key, START, email=email)
        assert said(await sender.post("/webhooks/calendar", content=body, headers=GOOD)) == (200, "ok")
    await rows_become(ledger, "SELECT count(*) FROM handoff.deliveries WHERE processed_at IS NULL", [(0,)])
    async with ledger.begin() as connection:
        assert (await erase(connection, Contact("xenia@example.org").key)).texts == 2
    late = appointment("a4", START, email="xenia@example.org")
    assert said(await sender.post("/webhooks/calendar", content=late, headers=GOOD)) == (200, "ok")
    assert [payload["key"] for _, payload in await rows(ledger, STORED)] == ["a2"]


async def test_deliveries_are_kept_for_a_week_and_counts_for_longer(ledger: AsyncEngine, sender: AsyncClient) -> None:
    for number in (1, 2):
        await sender.post("/webhooks/crm", content=won(number), headers=GOOD)
    await change(ledger, "UPDATE handoff.deliveries SET received_at = now() - interval '8 days' WHERE id = 1")
    async with ledger.begin() as connection:
        removed = await retention.apply(connection)
    assert (removed["deliveries"], removed["pushes"]) == (1, 0)
    assert [payload["id"] for _, payload in await rows(ledger, STORED)] == [2]
    await change(ledger, "UPDATE handoff.webhook_counts SET day = day - 3")
    async with ledger.begin() as connection:
        assert (await retention.apply(connection, Periods(pushes=2)))["pushes"] == 1
