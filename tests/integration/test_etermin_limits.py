"""The sensor of eTermin keeps to the account's limits: so many requests a second and a day, counted in the ledger."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from sqlalchemy.ext.asyncio import AsyncEngine

from sensors.etermin import ETerminAppointmentSensor
from tests.support.etermin_world import CONN, ETermin
from tests.support.rows import change, rows

pytestmark = pytest.mark.integration
RATE = 4
USED = "SELECT purpose, sum(used)::int FROM handoff.day_uses GROUP BY 1"


async def look(events: list[str]) -> dict[str, Any]:
    """Let a sensor look once in its task."""
    since = datetime.now(UTC) - timedelta(hours=1)
    sensor = ETerminAppointmentSensor(task_id="wait", events=events, since=since)
    found: dict[str, Any] = await asyncio.to_thread(sensor.execute, {})  # type: ignore[arg-type]
    return found


async def test_its_first_look_is_spaced_and_counted(etermin: ETermin, ledger: AsyncEngine) -> None:
    await etermin.book()
    etermin.account(requests_per_second=RATE, requests_per_day=1000)
    began = time.monotonic()
    assert (await look(["created", "deleted"]))["appointments"] == ["a1"]
    assert time.monotonic() - began >= 1 / RATE
    assert await rows(ledger, USED) == [("polling", 2)]


async def test_a_day_that_is_used_up_is_waited_for_and_nothing_is_asked(etermin: ETermin, ledger: AsyncEngine) -> None:
    await etermin.book()
    etermin.account(requests_per_day=1000)
    used = """
        INSERT INTO handoff.day_uses (account, day, purpose, used)
        SELECT :account, CAST(now() AT TIME ZONE 'UTC' AS date) + later, 'polling', 900
        FROM generate_series(0, 1) AS later
    """
    await change(ledger, used, account=CONN)
    with pytest.raises(TaskDeferred) as caught:
        await look(["created", "deleted"])
    trigger: Any = caught.value.trigger
    assert trigger.not_before > time.time()
    assert "etermin" not in etermin.sandbox.calls.as_json()
    await change(ledger, "DELETE FROM handoff.day_uses")
    trigger.not_before = 0.0
    async with asyncio.timeout(60):
        [event] = [event.payload async for event in trigger.run()]
    assert (event["status"], event["appointments"]) == ("success", ["a1"])
    assert await rows(ledger, USED) == [("polling", 2)]
