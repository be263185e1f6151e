"""Reading Insightly keeps to the account's limits: so many requests a second and a day, counted in the ledger."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from aiohttp import ClientSession
from airflow.sdk import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.limiter import Limiter
from handoff.errors import QuotaUsedUp
from handoff.ledger.connect import open_ledger_async
from hooks.insightly import InsightlyClient
from hooks.ledger import LedgerHook
from sandbox import INSIGHTLY_KEY, Sandbox, Scenario
from sensors.insightly import InsightlyOpportunitySensor
from tests.support.loopback import serving, web
from tests.support.pushing import ledger_connection
from tests.support.rows import rows

pytestmark = pytest.mark.integration
RATE, CALLS = 20, 8


async def test_polls_and_workers_share_the_seconds_and_polls_have_half_of_the_day(
    ledger_url: str, ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def opened(_conn_id: str, connections: int) -> AsyncEngine:
        return open_ledger_async(ledger_url, connections=connections)

    async def empty(_request: web.Request) -> web.Response:
        return web.json_response([])

    monkeypatch.setattr(LedgerHook, "open", opened)
    extra = f'{{"requests_per_second": {RATE}, "requests_per_day": {2 * CALLS}}}'
    async with serving(empty) as server:
        connection = Connection(
            conn_id="insightly_default", conn_type="insightly", host=server.url, password="key", extra=extra
        )
        began = time.monotonic()
        async with InsightlyClient.from_connection("insightly_default", connection) as client:
            worker = Limiter(ledger, "insightly_default", RATE, client.account.limits.quota)
            polls = [client.changed("project") for _ in range(CALLS)]
            await asyncio.gather(*polls, *(worker() for _ in range(4)))
            took = time.monotonic() - began
            with pytest.raises(QuotaUsedUp):
                await client.changed("opportunity")
    assert took >= (CALLS + 4 - 1) / RATE
    assert server.seen == [("GET", "/v3.1/Projects/Search")] * CALLS
    used = await rows(
        ledger, "SELECT purpose, sum(used)::int FROM handoff.day_uses WHERE purpose = 'polling' GROUP BY 1"
    )
    assert [tuple(row) for row in used] == [("polling", CALLS)]


async def test_a_sensor_s_first_look_is_spaced_and_counted_too(
    ledger_url: str, ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in takes a few more a second than are sent, for a busy machine lets some arrive closer together."""
    monkeypatch.setenv("AIRFLOW_CONN_HANDOFF_LEDGER", ledger_connection(ledger_url))
    won_at = int(time.time()) - 1800
    scenario = Scenario.model_validate({"insightly": {"per_second": 15}})
    async with Sandbox(scenario) as sandbox, ClientSession(sandbox.http_url) as http:
        values = {"conn_type": "insightly", "host": f"{sandbox.http_url}/insightly", "password": INSIGHTLY_KEY}
        extra = {"requests_per_second": 10, "requests_per_day": 1000}
        monkeypatch.setenv("AIRFLOW_CONN_INSIGHTLY_DEFAULT", json.dumps(values | {"extra": extra}))
        for order in (("generate", {"count": 60}), ("stamp", {"at": won_at, "state": "won"})):
            async with http.post(f"/_sandbox/insightly/{order[0]}", json=order[1]) as response:
                assert response.status in {200, 201}, await response.text()
        sensor, context = InsightlyOpportunitySensor(task_id="wait", since=won_at), dict[str, Any]()
        found = await asyncio.to_thread(sensor.execute, context)  # type: ignore[arg-type]
        calls = sandbox.calls.as_json()["insightly"]
    assert len(found["records"]) >= 40
    assert calls["total"] > 40
    assert {outcome for outcomes in calls["paths"].values() for outcome in outcomes} == {"200"}, "none came too early"
    assert await rows(ledger, "SELECT purpose, used FROM handoff.day_uses") == [("polling", calls["total"])]
