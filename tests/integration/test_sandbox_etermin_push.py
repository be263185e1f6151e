from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import pytest
from aiohttp import web

from sandbox import Sandbox, Scenario, load_scenario
from tests.support.etermin_calls import book, order
from tests.support.loopback import serving

pytestmark = pytest.mark.integration

EVA = {"firstname": "Eva", "lastname": "Möller", "email": "eva@example.org", "notes": "Tür 3 & 4"}
JSON_FIELDS = {
    "command", "appointmentUID", "startDateTimeUTC", "endDateTimeUTC", "startDateTime", "endDateTime",
    "bookingDateUTC", "salutation", "lastName", "firstName", "phone", "street", "ZIP", "town", "birthday", "notes",
    "email", "calendarName", "selectedAnswers", "bookingLanguage", "newsletter",
    *(f"additional{number}" for number in range(1, 7)),
}  # fmt: skip


class Receiver:
    """What arrived at ``url``, in order; answers with ``answers`` one by one, then with ``ok``."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[tuple[Mapping[str, str], bytes]] = []
        self.answers: list[tuple[int, str]] = []

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.headers, await request.read()))
        status, text = self.answers.pop(0) if self.answers else (200, "ok")
        return web.Response(status=status, text=text)

    async def bodies(self, count: int) -> list[bytes]:
        await until(lambda: len(self.requests) >= count)
        return [body for _, body in self.requests]

    async def commands(self, count: int) -> list[tuple[str, str]]:
        pushes = [json.loads(body) for body in await self.bodies(count)]
        return [(one["appointmentUID"], one["command"]) for one in pushes]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.02)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    taker = Receiver()
    async with serving(taker.take) as server:
        taker.url = f"{server.url}/hook?sid=1"
        yield taker


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(Scenario()) as running:
        yield running


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(sandbox.http_url) as session:
        yield session


async def pushes(sandbox: Sandbox, count: int) -> list[dict[str, Any]]:
    def found() -> list[dict[str, Any]]:
        return [one.detail for one in sandbox.effects if one.action == "push"]

    await until(lambda: len(found()) >= count)
    return found()


async def test_the_json_form_has_every_field(http: aiohttp.ClientSession, receiver: Receiver) -> None:
    await order(http, "push", url=receiver.url)
    start = "2026-10-25T01:30:00Z"
    await order(http, "book", uid="u-1", start=start, service="Erstgespräch", newsletter=True, **EVA)
    (body,) = await receiver.bodies(1)
    push = json.loads(body)
    assert set(push) == JSON_FIELDS
    assert (push["startDateTime"], push["startDateTimeUTC"]) == ("2026-10-25T02:30:00", "2026-10-25T01:30:00")
    assert (push["endDateTime"], push["endDateTimeUTC"]) == ("2026-10-25T03:00:00", "2026-10-25T02:00:00")
    assert (push["calendarName"], push["selectedAnswers"], push["newsletter"]) == ("Beratung", "Erstgespräch", "1")
    assert (push["street"], push["notes"], push["bookingLanguage"]) == ("", EVA["notes"], "de")
    assert receiver.requests[0][0]["Content-Type"].startswith("application/json")


async def test_the_variables_form_has_only_what_is_filled(http: aiohttp.ClientSession, receiver: Receiver) -> None:
    await order(
        http, "push", url=receiver.url, form="variables", secret_hash="s3cret", header="X-Hook", header_value="h"
    )
    await order(http, "book", uid="u-1", start="2026-05-10T08:00:00Z", **EVA)
    (body,) = await receiver.bodies(1)
    push = {
        name: values[0] for name, values in parse_qs(body.decode(), keep_blank_values=True, strict_parsing=True).items()
    }
    assert push.pop("BOOKINGDATEUTC")[8] == " "
    assert push == {
        "COMMAND": "CREATED", "APPOINTMENTUID": "u-1", "STARTDATETIME": "20260510 100000",
        "ENDDATETIME": "20260510 103000", "STARTDATETIMEUTC": "20260510 080000", "ENDDATETIMEUTC": "20260510 083000",
        "CALENDARNAME": "Beratung", "BOOKINGLANGUAGE": "de", "FIRSTNAME": "Eva", "LASTNAME": "Möller",
        "EMAIL": "eva@example.org", "NOTES": EVA["notes"], "SECRETKEYHASH": "s3cret",
    }  # fmt: skip
    headers = receiver.requests[0][0]
    assert headers["X-Hook"] == "h"
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"


async def test_the_secret_may_travel_as_a_header(http: aiohttp.ClientSession, receiver: Receiver) -> None:
    settings = {"secret_hash": "s3cret", "secret_hash_name": "X-Secret", "secret_hash_as_header": True}
    await order(http, "push", url=receiver.url, newsletter=False, **settings)
    await order(http, "test", command="DELETED")
    (body,) = await receiver.bodies(1)
    assert set(json.loads(body)) == JSON_FIELDS - {"newsletter"}
    assert receiver.requests[0][0]["X-Secret"] == "s3cret"


async def test_every_change_is_pushed_and_the_answer_is_recorded(
    http: aiohttp.ClientSession, sandbox: Sandbox, receiver: Receiver
) -> None:
    receiver.answers = [(200, "OK"), (401, "no"), (201, "ok"), (204, "")]
    await order(http, "push", url=receiver.url)
    await order(http, "book", uid="a", start="+1d", **EVA)
    await order(http, "move", uid="a", start="+2d")
    await order(http, "edit", uid="a", fields={"notes": "neu"}, newsletter=True)
    await order(http, "cancel", uid="a")
    assert await receiver.commands(4) == [("a", one) for one in ("CREATED", "MODIFIED", "MODIFIED", "DELETED")]
    bodies = [json.loads(body) for body in await receiver.bodies(4)]
    assert [one["notes"] for one in bodies] == [EVA["notes"], EVA["notes"], "neu", "neu"]
    assert bodies[0]["startDateTimeUTC"] < bodies[1]["startDateTimeUTC"] == bodies[3]["startDateTimeUTC"]
    recorded = await pushes(sandbox, 4)
    assert [(one["status"], one["answer"], one["accepted"]) for one in recorded] == [
        (200, "OK", True), (401, "no", False), (201, "ok", True), (204, "", False),
    ]  # fmt: skip
    assert {one.contact for one in sandbox.effects} == {"eva@example.org"}


async def test_what_was_not_taken_is_repeated(
    http: aiohttp.ClientSession, sandbox: Sandbox, receiver: Receiver
) -> None:
    receiver.answers = [(503, ""), (500, "")]
    await order(http, "push", url=receiver.url, retries=3, retry_seconds=0.05)
    await order(http, "book", start="+1d")
    recorded = await pushes(sandbox, 3)
    assert [(one["tries"], one["status"]) for one in recorded] == [(1, 503), (2, 500), (3, 200)]
    assert len({one["number"] for one in recorded}) == 1
    await order(http, "push", url="http://127.0.0.1:1/", retries=1)
    await order(http, "book", start="+1d")
    assert [(one["tries"], one["status"]) for one in (await pushes(sandbox, 5))[3:]] == [(1, 0), (2, 0)]


async def test_doubles_drops_and_delay(http: aiohttp.ClientSession, sandbox: Sandbox, receiver: Receiver) -> None:
    await order(http, "push", url=receiver.url, duplicate=1)
    await order(http, "book", uid="a", start="+1d")
    assert await receiver.commands(2) == [("a", "CREATED")] * 2
    first, second = await receiver.bodies(2)
    assert first == second
    assert [one["copy"] for one in await pushes(sandbox, 2)] == [False, True]
    await order(http, "push", duplicate=0, drop=1)
    await order(http, "cancel", uid="a")
    lost = (await pushes(sandbox, 3))[2]
    assert (lost["command"], lost["dropped"], lost["status"]) == ("DELETED", True, 0)
    await order(http, "push", drop=0, delay=0.2)
    moment = asyncio.get_running_loop().time()
    await order(http, "book", uid="b", start="+1d")
    assert (await receiver.commands(3))[2] == ("b", "CREATED")
    assert asyncio.get_running_loop().time() - moment >= 0.2


async def test_one_push_overtakes_another(http: aiohttp.ClientSession, receiver: Receiver) -> None:
    await order(http, "push", url=receiver.url, reorder=1)
    await order(http, "book", uid="a", start="+1d")
    await order(http, "cancel", uid="a")
    assert await receiver.commands(2) == [("a", "DELETED"), ("a", "CREATED")]
    await order(http, "book", uid="b", start="+1d")
    assert (await receiver.commands(3))[2] == ("b", "CREATED")


async def test_the_api_pushes_a_calendar_name_only_when_it_was_told(
    http: aiohttp.ClientSession, sandbox: Sandbox, receiver: Receiver
) -> None:
    await order(http, "push", url=receiver.url)
    account = sandbox.world.etermin
    await book(http, "2026-05-10 10:00", "2026-05-10 10:30")
    await book(http, "2026-05-10 10:00", "2026-05-10 10:30", calendarname="Irgendwas")
    names = [json.loads(body)["calendarName"] for body in await receiver.bodies(2)]
    assert names == ["", "Irgendwas"]
    assert {account.calendar_name(one.calendar_id) for one in account.kept()} == {"Beratung"}


async def test_plans_come_at_their_moments_and_history_is_silent(receiver: Receiver) -> None:
    world = {"etermin": {
        "push": {"url": receiver.url},
        "appointments": [
            {"uid": "old", "start": "+1d", "booked": "-2d", "moves": [{"at": "-1d", "start": "+2d"}],
             "cancelled": "+0.6s"},
            {"uid": "new", "start": "+1d", "booked": "+0.2s", "moves": [{"at": "+0.4s", "start": "+3d"}]},
        ],
    }}  # fmt: skip
    async with Sandbox(Scenario.model_validate(world)):
        assert await receiver.commands(3) == [("new", "CREATED"), ("new", "MODIFIED"), ("old", "DELETED")]


async def test_the_push_outlives_a_start_but_no_reset(http: aiohttp.ClientSession, receiver: Receiver) -> None:
    await order(http, "push", url=receiver.url)
    await http.post("/_sandbox/start", json={})
    await order(http, "book", uid="a", start="+1d")
    await receiver.bodies(1)
    await http.post("/_sandbox/reset", json={})
    assert (await order(http, "push"))["url"] == ""


def test_the_world_of_appointments_can_be_used() -> None:
    path = Path(__file__).parents[2] / "sandbox/scenarios/appointments.yaml"
    appointments = {one.uid: one for one in load_scenario(path).etermin.appointments}
    assert appointments["abgesagt"].cancelled is not None
    for uid, soon in (("buchung", 40), ("verlegt", 30), ("abgesagt", 45)):
        start = appointments[uid].start
        assert isinstance(start, float)
        assert start - 3600 == soon
    (move,) = appointments["vorgezogen"].moves
    assert move.start == 3650
