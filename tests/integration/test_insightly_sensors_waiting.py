"""Insightly's sensors and trigger against its stand-in over HTTP: what fires, and what that costs in requests."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientSession
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger.connect import open_ledger_async
from hooks.ledger import LedgerHook
from sandbox import INSIGHTLY_KEY, Sandbox, Scenario
from sandbox.faults import FaultOrder
from sensors.insightly import InsightlyOpportunitySensor, InsightlyProjectSensor, InsightlySensor
from tests.support.rows import rows
from triggers import insightly, polling
from triggers.insightly import InsightlyStateTrigger

pytestmark = pytest.mark.integration

HOUR, DAY = 3600, 86_400
BEGAN = int(time.time()) - HOUR
"""When the DAG run began (unix seconds): whatever a test needs to have happened happened after it."""
ACCOUNT: dict[str, Any] = {
    "per_second": None,
    "per_day": None,
    "contacts": [{"id": 101, "firstname": "Anna", "lastname": "Öz", "email": "anna@example.org"}],
    "opportunities": [
        {"id": 31, "name": "Geheim", "contacts": [101], "created": "-9d"},
        {"id": 32, "name": "Alt", "contacts": [101], "created": "-9d", "states": [{"at": "-8d", "state": "won"}]},
        {"id": 33, "name": "Zwei", "tags": ["Süd"], "created": "-9d"},
    ],
    "projects": [
        {"id": 51, "name": "Umzug", "created": "-9d"},
        {"id": 52, "name": "Fertig", "created": "-9d", "states": [{"at": "-3d", "state": "completed"}]},
    ],
}
SEARCH, HISTORY = "GET /Opportunities/Search", "GET /Opportunities/{id}/StateHistory"


class Insightly:
    """The stand-in, what people do in it, and how often it was asked."""

    def __init__(self, sandbox: Sandbox, http: ClientSession) -> None:
        self.sandbox, self._http = sandbox, http

    async def order(self, call: str, **body: Any) -> None:
        async with self._http.post(f"/_sandbox/insightly/{call}", json=body) as response:
            assert response.status in {200, 201}, await response.text()

    async def stamp(self, number: int, minutes: float, state: str = "", kind: str = "Opportunities") -> None:
        """Something happened to a record so many minutes after the DAG run began; without a state, an edit."""
        await self.order("stamp", object=kind, ids=[number], at=BEGAN + round(60 * minutes), state=state)

    @property
    def asked(self) -> dict[str, int]:
        """How often each path was asked, whatever the answer."""
        paths = self.sandbox.calls.as_json().get("insightly", {}).get("paths", {})
        return {path: sum(outcomes.values()) for path, outcomes in paths.items()}

    async def asked_at_least(self, path: str, times: int) -> None:
        """Wait until a path was asked so often."""
        async with asyncio.timeout(30):
            while self.asked.get(path, 0) < times:
                await asyncio.sleep(0.01)


@pytest.fixture
async def crm(ledger_url: str, ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Insightly]:
    async def opened(_conn_id: str, *, connections: int = 4) -> AsyncEngine:
        return open_ledger_async(ledger_url, connections=connections)

    monkeypatch.setattr(LedgerHook, "open", opened)
    async with Sandbox(Scenario.model_validate({"insightly": ACCOUNT})) as sandbox:
        connect(monkeypatch, sandbox)
        async with ClientSession(sandbox.http_url) as http:
            yield Insightly(sandbox, http)


def connect(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, key: str = INSIGHTLY_KEY, **extra: Any) -> None:
    extra = {"timeout": 5, "requests_per_second": 1000, **extra}
    values = {"conn_type": "insightly", "host": f"{sandbox.http_url}/insightly", "password": key, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_INSIGHTLY_DEFAULT", json.dumps(values))


async def looked(sensor: InsightlySensor, since: float = BEGAN) -> dict[str, Any] | InsightlyStateTrigger:
    """Execute a sensor as a worker would. Returns its XCom, or the trigger as the triggerer builds it."""
    context: Any = {"dag_run": SimpleNamespace(start_date=datetime.fromtimestamp(since, UTC))}
    try:
        return await asyncio.to_thread(sensor.execute, context)
    except TaskDeferred as pause:
        return rebuilt(pause.trigger)


def rebuilt(trigger: Any) -> InsightlyStateTrigger:
    """Return a trigger as another triggerer builds it, polling often and at once."""
    path, arguments = trigger.serialize()
    kind = getattr(insightly, path.removeprefix("triggers.insightly."))
    return kind(**json.loads(json.dumps(arguments)) | {"poll_interval": 0.05, "not_before": 0.0})


async def waiting(sensor: InsightlySensor) -> InsightlyStateTrigger:
    found = await looked(sensor)
    assert isinstance(found, InsightlyStateTrigger), f"fired at once: {found}"
    return found


async def event_of(trigger: InsightlyStateTrigger) -> dict[str, Any]:
    async with asyncio.timeout(30):
        return [event.payload async for event in trigger.run()][0]


class Enough(BaseException):
    """A trigger has looked often enough."""


async def stays_silent(trigger: InsightlyStateTrigger, looks: int = 4) -> None:
    """Let a trigger look a few times and see that it does not fire."""
    pauses = list[float]()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == looks:
            raise Enough

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(polling, "asyncio", SimpleNamespace(sleep=sleep))
        with pytest.raises(Enough):
            await event_of(trigger)
    assert pauses == [trigger.poll_interval] * looks


def opportunities(**more: Any) -> InsightlyOpportunitySensor:
    return InsightlyOpportunitySensor(task_id="wait", **more)


def projects(**more: Any) -> InsightlyProjectSensor:
    return InsightlyProjectSensor(task_id="wait", **more)


def iso(minutes: float) -> str:
    return datetime.fromtimestamp(BEGAN + round(60 * minutes), UTC).isoformat()


async def test_what_was_won_since_the_run_began_fires_at_the_first_look(crm: Insightly) -> None:
    await crm.stamp(31, 5, "won")
    await crm.stamp(33, 6, "lost")
    found = await looked(opportunities())
    assert found == {
        "records": ["opportunity/31"], "state": "won", "moment": iso(5), "cursor": iso(6 + 1 / 60),
    }  # fmt: skip
    assert crm.asked == {SEARCH: 1, HISTORY: 1}


async def test_what_is_won_while_it_waits_fires_and_costs_one_page_a_poll_and_one_history(crm: Insightly) -> None:
    trigger = await waiting(opportunities())
    running = asyncio.create_task(event_of(trigger))
    await crm.asked_at_least(SEARCH, 5)
    assert crm.asked.keys() == {SEARCH}
    await crm.order("state", id=31, state="won")
    event = await running
    assert (event["status"], event["records"], event["state"]) == ("success", ["opportunity/31"], "won")
    assert event["cursor"] > event["moment"] > iso(59)
    assert not {"Anna", "Öz", "Geheim", "anna@example.org"} & set(json.dumps(event, ensure_ascii=False).split('"'))
    # Once when it was seen, and once more when nothing could be added to its second.
    assert crm.asked[HISTORY] <= 2


async def test_one_that_is_edited_later_does_not_fire_and_is_asked_once(crm: Insightly) -> None:
    await crm.stamp(32, 5)
    trigger = await waiting(opportunities())
    assert crm.asked == {SEARCH: 1, HISTORY: 1}
    await stays_silent(trigger)
    assert crm.asked == {SEARCH: 5, HISTORY: 1}
    await crm.stamp(32, 10)
    await stays_silent(trigger)
    assert crm.asked == {SEARCH: 9, HISTORY: 2}


async def test_after_a_restart_of_the_triggerer_nothing_fires_wrongly(crm: Insightly) -> None:
    trigger = await waiting(opportunities())
    again, third = rebuilt(trigger), rebuilt(trigger)
    await crm.stamp(32, 5)
    await stays_silent(trigger)
    await stays_silent(again)
    assert crm.asked[HISTORY] == 2
    await crm.stamp(31, 10, "won")
    assert (await event_of(third))["records"] == ["opportunity/31"]


async def test_reopened_and_won_again_fires_again_and_an_edit_between_does_not(crm: Insightly) -> None:
    await crm.stamp(31, 5, "won")
    first = await looked(opportunities())
    assert isinstance(first, dict)
    await crm.stamp(31, 7)
    next_one = await waiting(opportunities(since=first["cursor"]))
    await stays_silent(next_one)
    await crm.stamp(31, 10, "open")
    await stays_silent(next_one)
    await crm.stamp(31, 20, "won")
    event = await event_of(next_one)
    assert (event["records"], event["moment"]) == (["opportunity/31"], iso(20))
    # Nobody looked between the two changes.
    await crm.stamp(31, 25, "open")
    await crm.stamp(31, 30, "won")
    assert (await looked(opportunities(since=event["cursor"])))["moment"] == iso(30)  # type: ignore[index]


async def test_many_in_one_second_fire_together_and_never_again(crm: Insightly) -> None:
    await crm.order("generate", count=30)
    await crm.order("stamp", at=BEGAN + 300, state="lost")
    found = await looked(opportunities(states=["Won", "LOST"]))
    assert isinstance(found, dict)
    before = {f"opportunity/{number}" for number in (31, 32, 33)}
    assert before <= set(found["records"])
    assert len(found["records"]) == len(set(found["records"])) >= 25
    await waiting(opportunities(states=["Won", "LOST"], since=found["cursor"]))


async def test_tags_decide_when_they_are_put_on_also_after_the_closing(crm: Insightly) -> None:
    await crm.stamp(33, 5, "won")
    assert (await looked(opportunities(tag="SÜD")))["records"] == ["opportunity/33"]  # type: ignore[index]
    await stays_silent(await waiting(opportunities(without_tag="süd")))
    await crm.stamp(31, 6, "won")
    trigger = await waiting(opportunities(tag="Süd", since=iso(6)))
    running = asyncio.create_task(event_of(trigger))
    await crm.order("tag", id=31, tag="süd")
    assert (await running)["records"] == ["opportunity/31"]


async def test_one_record_is_waited_for_with_one_request_a_poll(crm: Insightly) -> None:
    await crm.stamp(32, 5)
    trigger = await waiting(opportunities(record_id=32))
    await stays_silent(trigger)
    # The sensor's own look, and the trigger's first one: the record did not change after that.
    assert crm.asked[HISTORY] == 2
    assert SEARCH not in crm.asked
    await crm.stamp(31, 6, "won")
    await stays_silent(trigger)
    await crm.stamp(32, 10, "open")
    await crm.stamp(32, 20, "won")
    assert (await event_of(trigger))["moment"] == iso(20)


async def test_a_record_that_is_deleted_ends_the_wait_for_good(crm: Insightly) -> None:
    trigger = await waiting(opportunities(record_id=31))
    await crm.order("delete", id=31)
    event = await event_of(trigger)
    assert event["error_type"] == "UnknownRecord"
    with pytest.raises(AirflowFailException, match="there is no opportunity 31"):
        opportunities().execute_complete({}, event)


async def test_any_change_of_state_but_no_edit(crm: Insightly) -> None:
    await crm.stamp(31, 5)
    trigger = await waiting(opportunities(states="any"))
    await stays_silent(trigger)
    await crm.stamp(33, 10, "suspended")
    event = await event_of(trigger)
    assert (event["records"], event["state"]) == (["opportunity/33"], "suspended")


async def test_a_completed_project_fires_and_one_that_was_completed_days_ago_does_not(crm: Insightly) -> None:
    await crm.stamp(52, 5, kind="Projects")
    trigger = await waiting(projects())
    await stays_silent(trigger)
    await crm.stamp(51, 10, "completed", kind="Projects")
    event = await event_of(trigger)
    assert (event["records"], event["state"], event["moment"]) == (["project/51"], "completed", iso(10))
    # Completed anew: a day not before that of since.
    await crm.stamp(52, 12, "in progress", kind="Projects")
    await crm.stamp(52, 14, "completed", kind="Projects")
    found = await looked(projects(since=event["cursor"]))
    assert (found["records"], found["state"]) == (["project/52"], "completed")  # type: ignore[index]
    assert crm.asked.keys() == {"GET /Projects/Search"}


async def test_a_burst_of_429_and_a_failing_server_are_waited_out(crm: Insightly) -> None:
    trigger = await waiting(opportunities())
    await crm.stamp(31, 5, "won")
    for fault, more in (("429", {"retry_after": 0.01}), ("503", {}), ("drop_before_commit", {})):
        order = {"system": "insightly", "fault": fault, "count": 1, "changing_only": False, **more}
        crm.sandbox.faults.order(FaultOrder.model_validate(order))
    assert (await event_of(trigger))["records"] == ["opportunity/31"]
    assert sum(fault["struck"] for fault in crm.sandbox.faults.as_json()) == 3


class Night:
    """Passes at once when a trigger sleeps until tomorrow.

    :ivar ended: unix seconds at which each such sleep would have ended.
    """

    def __init__(self, morning: Callable[[], Awaitable[None]]) -> None:
        self.ended, self._morning = list[float](), morning

    async def sleep(self, seconds: float) -> None:
        if seconds < 1:
            await asyncio.sleep(seconds)
            return
        self.ended.append(time.time() + seconds)
        await self._morning()


async def test_a_day_that_is_used_up_at_insightly_is_waited_for_to_end(
    crm: Insightly, monkeypatch: pytest.MonkeyPatch
) -> None:
    await crm.stamp(31, 5, "won")
    await crm.order("quota", per_day=1000, used=1000)
    trigger = await waiting(opportunities())
    assert crm.asked == {SEARCH: 1}
    night = Night(lambda: crm.order("quota", per_day=1000, used=0))
    monkeypatch.setattr(polling, "asyncio", night)
    assert (await event_of(trigger))["records"] == ["opportunity/31"]
    assert crm.asked == {SEARCH: 3, HISTORY: 1}
    assert len(night.ended) == 1
    assert 0 <= night.ended[0] % DAY < 60


async def test_the_days_requests_of_the_connection_are_kept_to(
    crm: Insightly, ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, crm.sandbox, requests_per_day=8)
    trigger = await waiting(opportunities())

    async def raised() -> None:
        connect(monkeypatch, crm.sandbox, requests_per_day=1000)

    night, began = Night(raised), time.time()
    pauses = list[float]()

    async def sleep(seconds: float) -> None:
        """Polls are spread over the day; here only the end of the day is of interest."""
        pauses.append(seconds)
        if len(pauses) > 3:
            await crm.stamp(31, 5, "won")
            await night.sleep(seconds)

    monkeypatch.setattr(polling, "asyncio", SimpleNamespace(sleep=sleep))
    assert (await event_of(trigger))["records"] == ["opportunity/31"]
    assert pauses[:3] == [DAY / 4] * 3
    tomorrow = (began // DAY + 1) * DAY
    assert 0 <= night.ended[0] - max(tomorrow, began + DAY / 4) < 60, "and never sooner than the pace allows"
    used = await rows(ledger, "SELECT sum(used)::int FROM handoff.day_uses WHERE purpose = 'polling'")
    # The sensor's own look and three polls, then the page and the history that found it.
    assert [tuple(row) for row in used] == [(6,)]


async def test_a_key_that_is_revoked_ends_the_wait_for_good(crm: Insightly) -> None:
    trigger = await waiting(opportunities())
    running = asyncio.create_task(event_of(trigger))
    await crm.asked_at_least(SEARCH, 3)
    await crm.order("key", key="another-key")
    event = await running
    assert (event["status"], event["error_type"]) == ("error", "WrongCredentials")
    assert "pod" in event["message"]
    assert INSIGHTLY_KEY not in json.dumps(event)
    with pytest.raises(AirflowFailException, match="waiting for Insightly failed: WrongCredentials"):
        opportunities().execute_complete({}, event)


async def test_a_key_that_is_replaced_in_the_connection_too_is_taken_up(
    crm: Insightly, monkeypatch: pytest.MonkeyPatch
) -> None:
    trigger = await waiting(opportunities())
    running = asyncio.create_task(event_of(trigger))
    await crm.asked_at_least(SEARCH, 3)
    crm.sandbox.world.insightly.key = "another-key"
    connect(monkeypatch, crm.sandbox, "another-key")
    await crm.stamp(31, 5, "won")
    assert (await running)["records"] == ["opportunity/31"]


async def test_no_connection_to_the_ledger_stays_open_between_two_looks(crm: Insightly, ledger: AsyncEngine) -> None:
    trigger = await waiting(opportunities())
    trigger.poll_interval = 3600.0
    running = asyncio.create_task(event_of(trigger))
    await crm.asked_at_least(SEARCH, 2)
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    async with asyncio.timeout(30):
        while (await rows(ledger, others))[0][0] > 0:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
