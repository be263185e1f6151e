from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from sandbox import INSIGHTLY_KEY, Sandbox, Scenario

pytestmark = pytest.mark.integration

API = "/insightly/v3.1"
LOGIN = {"Authorization": aiohttp.encode_basic_auth(INSIGHTLY_KEY, "")}
ACCOUNT: dict[str, Any] = {
    "per_second": None,
    "contacts": [{"id": 101, "firstname": "Anna", "email": "anna@example.org"}],
    "opportunities": [{"id": number, "name": f"Chance {number}", "contacts": [101]} for number in range(31, 41)],
    "projects": [{"id": 51, "name": "Umzug", "contacts": [101]}],
}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(Scenario.model_validate({"insightly": ACCOUNT})) as running:
        yield running


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(sandbox.http_url, headers=LOGIN) as session:
        yield session


async def get(http: aiohttp.ClientSession, path: str, **query: str) -> Any:
    async with http.get(API + path, params=query) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def order(http: aiohttp.ClientSession, call: str, **body: Any) -> Any:
    async with http.post(f"/_sandbox/insightly/{call}", json=body) as response:
        assert response.status in {200, 201}, await response.text()
        return await response.json()


async def ids(http: aiohttp.ClientSession, **query: str) -> list[int]:
    return [one["OPPORTUNITY_ID"] for one in await get(http, "/Opportunities/Search", **query)]


async def test_people_change_records_without_effects(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    await order(http, "state", id=33, state="Won")
    assert (await get(http, "/Opportunities/33"))["OPPORTUNITY_STATE"] == "WON"
    await order(http, "state", object="Projects", id=51, state="completed")
    assert (await get(http, "/Projects/51"))["COMPLETED_DATE"].endswith("00:00:00")
    edited = await order(http, "edit", id=33, fields={"OPPORTUNITY_NAME": "Größer"})
    assert (edited["OPPORTUNITY_NAME"], edited["OPPORTUNITY_STATE"]) == ("Größer", "WON")
    assert len(await get(http, "/Opportunities/33/StateHistory")) == 1
    await order(http, "tag", id=33, tag="callexa")
    assert (await get(http, "/Opportunities/33"))["TAGS"] == [{"TAG_NAME": "callexa"}]
    await order(http, "tag", id=33, tag="callexa", remove=True)
    assert (await get(http, "/Opportunities/33"))["TAGS"] == []
    eva = await order(http, "contact", firstname="Eva", email="eva@example.org")
    made = await order(http, "opportunity", name="Neu", contacts=[eva["CONTACT_ID"]])
    await order(http, "link", id=made["OPPORTUNITY_ID"], contact=101)
    shown = await get(http, f"/Opportunities/{made['OPPORTUNITY_ID']}")
    assert [one["LINK_OBJECT_ID"] for one in shown["LINKS"]] == [eva["CONTACT_ID"], 101]
    state = (await (await http.get("/_sandbox/state")).json())["insightly"]
    assert (state["opportunities_count"], state["opportunities"]["33"]["state"]) == (11, "WON")
    await order(http, "delete", object="Contacts", id=101, keep_links=True)
    assert (await http.get(f"{API}/Contacts/101")).status == 404
    assert (await get(http, "/Opportunities/33"))["LINKS"][0]["LINK_OBJECT_ID"] == 101
    assert len(sandbox.effects) == 0


async def test_wrong_orders_say_what_is_wrong(http: aiohttp.ClientSession) -> None:
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("state", {"id": 999, "state": "WON"}, "no Opportunity with id 999"),
        ("state", {"id": 33, "state": "COMPLETED"}, "no state 'COMPLETED'"),
        ("edit", {"id": 33, "fields": {"OPPORTUNITY_STATE": "WON"}}, "'OPPORTUNITY_STATE'"),
        ("opportunity", {"name": "x", "id": 31}, "ascend"),
        ("stamp", {"object": "Opportunities", "state": "nope"}, "no state 'NOPE'"),
    ]
    for call, body, words in wrong:
        async with http.post(f"/_sandbox/insightly/{call}", json=body) as response:
            assert response.status == 400
            assert words in (await response.json())["errors"][0]


async def test_many_records_share_one_second(http: aiohttp.ClientSession) -> None:
    at = int(time.time()) - 30
    stamped = await order(http, "stamp", count=7, at=at, state="WON")
    assert stamped["stamped"] == 7
    moment = stamped["DATE_UPDATED_UTC"].replace(" ", "T") + "Z"
    assert await ids(http, updated_after_utc=moment) == []
    before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at - 1))
    assert await ids(http, updated_after_utc=before) == list(range(31, 38))
    (change,) = await get(http, "/Opportunities/31/StateHistory")
    assert change["DATE_CHANGED_UTC"] == stamped["DATE_UPDATED_UTC"]


async def test_a_page_shifts_while_it_is_read(http: aiohttp.ClientSession) -> None:
    await order(http, "shift", delete=[31, 32])
    query = {"updated_after_utc": "2020-01-01T00:00:00Z", "top": "5"}
    first, second = await ids(http, **query), await ids(http, **query, skip="5")
    assert (first, second) == ([31, 32, 33, 34, 35], [38, 39, 40])
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 30))
    await order(http, "stamp", ids=[35, 36, 37])
    await order(http, "shift", edit=[33])
    query = {"updated_after_utc": moment, "top": "2"}
    first, second = await ids(http, **query), await ids(http, **query, skip="2")
    assert (first, second) == ([35, 36], [36, 37])


async def test_planned_states_come_at_their_moment(http: aiohttp.ClientSession) -> None:
    made = await order(http, "opportunity", id=301, name="Bald", states=[{"at": 0.3, "state": "WON"}])
    assert made["OPPORTUNITY_STATE"] == "OPEN"
    async with asyncio.timeout(20):
        while (await get(http, "/Opportunities/301"))["OPPORTUNITY_STATE"] != "WON":
            await asyncio.sleep(0.05)
    assert len(await get(http, "/Opportunities/301/StateHistory")) == 1


async def test_both_kinds_of_429(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    await order(http, "quota", per_day=1000, used=0)
    async with http.get(f"{API}/Instance") as first:
        quota = first.headers["X-RateLimit-Limit"], first.headers["X-RateLimit-Remaining"]
        assert (first.status, *quota) == (200, "1000", "999")
    await http.post("/_sandbox/limits", json={"system": "insightly", "per_second": 1})
    async with asyncio.timeout(60):
        while (burst := await http.get(f"{API}/Instance")).status == 200:
            await burst.read()
    assert (burst.status, burst.headers["Retry-After"]) == (429, "1")
    used = sandbox.gate.used_today("insightly")
    assert burst.headers["X-RateLimit-Remaining"] == str(1000 - used)
    await http.post("/_sandbox/limits", json={"system": "insightly", "per_second": None})
    await order(http, "quota", per_day=5, used=1)
    assert [(await http.get(f"{API}/Instance")).status for _ in range(5)] == [200, 200, 200, 200, 429]
    async with http.get(f"{API}/Instance") as spent:
        assert (spent.status, spent.headers["X-RateLimit-Remaining"]) == (429, "0")
        assert "Retry-After" not in spent.headers
    assert await order(http, "quota", per_day=10) == {"per_day": 10, "used": 5}
    assert (await http.get(f"{API}/Instance")).status == 200


async def test_ten_a_second_and_40000_a_day_are_the_default() -> None:
    async with (
        Sandbox(Scenario()) as sandbox,
        aiohttp.ClientSession(sandbox.http_url, headers=LOGIN) as http,
    ):
        assert sandbox.gate.limits["insightly"] == 10
        assert (await http.get(f"{API}/Instance")).headers["X-RateLimit-Limit"] == "40000"


async def test_a_key_is_revoked(http: aiohttp.ClientSession) -> None:
    await order(http, "key", key="another")
    new = {"Authorization": aiohttp.encode_basic_auth("another", "")}
    assert (await http.get(f"{API}/Instance")).status == 401
    assert (await http.get(f"{API}/Instance", headers=new)).status == 200


async def test_notes_can_be_refused(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    fault = {"system": "insightly", "fault": "403", "path": "/Contacts/101/Notes"}
    assert (await http.post("/_sandbox/faults", json=fault)).status == 201
    async with http.post(f"{API}/Contacts/101/Notes", json={"TITLE": "x"}) as response:
        assert (response.status, await response.json()) == (403, {"Message": "Forbidden"})
    assert (await http.post(f"{API}/Opportunities/31/Notes", json={"TITLE": "x"})).status == 201
    assert len(sandbox.effects) == 1


async def test_200000_opportunities(http: aiohttp.ClientSession) -> None:
    begun = time.monotonic()
    await order(http, "generate", count=200_000)
    assert time.monotonic() - begun < 60
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 600))
    await order(http, "stamp", ids=[100_000 + 5 * number for number in range(40)], state="WON")
    found = await ids(http, updated_after_utc=moment, top="500")
    assert found == [100_000 + 5 * number for number in range(40)]
    async with http.get(f"{API}/Opportunities", params={"count_total": "true", "skip": "200000"}) as response:
        assert (response.headers["X-Total-Count"], len(await response.json())) == ("200010", 10)


async def test_nothing_is_there_until_a_held_world_begins() -> None:
    scenario = Scenario.model_validate({"insightly": ACCOUNT})
    async with Sandbox(scenario, held=True) as held, aiohttp.ClientSession(held.http_url, headers=LOGIN) as http:
        assert (await get(http, "/Opportunities"), len(await get(http, "/Contacts"))) == ([], 1)
        await http.post("/_sandbox/start")
        assert len(await get(http, "/Opportunities")) == 10


class Receiver:
    """Takes webhooks, and refuses the first ``failures`` of them."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.posts: list[tuple[str, dict[str, Any]]] = []

    async def take(self, request: web.Request) -> web.Response:
        self.posts.append((request.headers.get("Authorization", ""), await request.json()))
        return web.Response(status=500 if len(self.posts) <= self.failures else 200)


@pytest.mark.parametrize(("failures", "posts", "last"), [(0, 1, 200), (2, 3, 200), (9, 3, 500)])
async def test_the_workflow_webhook(failures: int, posts: int, last: int) -> None:
    receiver, app = Receiver(failures), web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    past = {"id": 41, "name": "Vorher", "states": [{"at": "-1h", "state": "WON"}]}
    hook = {"webhook_url": url, "webhook_user": "u", "webhook_password": "p", "webhook_retry_seconds": 0.01}
    try:
        account = {**ACCOUNT, **hook, "opportunities": [*ACCOUNT["opportunities"], past]}
        async with (
            Sandbox(Scenario.model_validate({"insightly": account})) as sandbox,
            aiohttp.ClientSession(sandbox.http_url) as http,
        ):
            await order(http, "edit", id=31)
            await order(http, "stamp", ids=[31])
            won = await order(http, "state", id=31, state="WON")
            async with asyncio.timeout(20):
                while len(sandbox.effects) == 0:
                    await asyncio.sleep(0.02)
            (effect,) = sandbox.effects
        assert (effect.action, effect.detail["tries"], effect.detail["status"]) == ("webhook", posts, last)
        assert len(receiver.posts) == posts
        login, body = receiver.posts[0]
        entity = body["entity"]
        assert (login, entity["OPPORTUNITY_ID"], entity["OPPORTUNITY_STATE"]) == ("Basic dTpw", 31, "WON")
        stamp = entity["DATE_UPDATED_UTC"].removeprefix("/Date(").removesuffix("000-0800)/")
        assert time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(int(stamp))) == won["DATE_UPDATED_UTC"]
    finally:
        await runner.cleanup()
