from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sandbox import ACTIVECAMPAIGN_TOKEN, Sandbox, Scenario

pytestmark = pytest.mark.integration

WORLD = {
    "activecampaign": {"per_second": None},
    "webinars": [{"id": "w", "title": "T", "dates": [{"id": "d", "start": "+1h", "end": "+2h"}]}],
}
SYNC = "/activecampaign/api/3/contact/sync"
TOKEN = {"Api-Token": ACTIVECAMPAIGN_TOKEN}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(Scenario.model_validate(WORLD)) as running:
        yield running


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(sandbox.http_url, headers=TOKEN, connector=aiohttp.TCPConnector()) as session:
        yield session


async def sync(http: aiohttp.ClientSession, email: str = "a@example.org") -> aiohttp.ClientResponse:
    response = await http.post(SYNC, json={"contact": {"email": email}})
    await response.read()
    return response


async def order(http: aiohttp.ClientSession, **fault: Any) -> None:
    response = await http.post("/_sandbox/faults", json={"system": "activecampaign", **fault})
    assert response.status == 201


async def effects(http: aiohttp.ClientSession, **query: str) -> list[dict[str, Any]]:
    return (await (await http.get("/_sandbox/effects", params=query)).json())["effects"]


async def test_effects_are_numbered_filtered_and_forgotten(http: aiohttp.ClientSession) -> None:
    begun = time.time()
    for email in ("a@example.org", "b@example.org", "a@example.org"):
        await sync(http, email)
    found = await effects(http)
    assert [(one["seq"], one["contact"]) for one in found] == [
        (1, "a@example.org"), (2, "b@example.org"), (3, "a@example.org"),
    ]  # fmt: skip
    assert begun <= found[0]["at"] <= found[2]["at"] <= time.time()
    assert [one["seq"] for one in await effects(http, since="2", system="activecampaign")] == [3]
    assert await effects(http, system="klicktipp") == []
    await http.delete("/_sandbox/effects")
    assert await effects(http) == []
    await sync(http)
    assert [one["seq"] for one in await effects(http, since="3")] == [4]


@pytest.mark.parametrize(("fault", "kept"), [("commit_then_drop", 1), ("drop_before_commit", 0)])
async def test_a_connection_that_breaks(http: aiohttp.ClientSession, fault: str, kept: int) -> None:
    await order(http, fault=fault, count=1)
    # without keep-alive: aiohttp itself repeats some requests on a reused connection that breaks
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await http.post(SYNC, json={"contact": {"email": "a@example.org"}}, headers={"Connection": "close"})
    assert len(await effects(http)) == kept
    assert (await sync(http)).status == (200 if kept else 201)
    calls = await (await http.get("/_sandbox/calls")).json()
    assert calls["activecampaign"]["paths"]["POST /contact/sync"]["dropped"] == 1


@pytest.mark.parametrize(("fault", "body"), [("malformed", '{"id": 1, "tru'), ("html", "<!DOCTYPE"), ("empty", "")])
async def test_a_useless_body_comes_after_the_work(http: aiohttp.ClientSession, fault: str, body: str) -> None:
    await order(http, fault=fault)
    response = await sync(http)
    assert response.status == 200
    text = await response.text()
    assert text == "" if fault == "empty" else text.startswith(body)
    with pytest.raises(ValueError, match="Expecting value|Unterminated"):
        json.loads(text)
    assert len(await effects(http)) == 1


@pytest.mark.parametrize(
    ("fault", "more", "retry_after"),
    [("500", {}, None), ("503", {}, None), ("429", {}, None), ("429", {"retry_after": 2}, "2")],
)
async def test_an_error_comes_instead_of_the_work(
    http: aiohttp.ClientSession, fault: str, more: dict[str, Any], retry_after: str | None
) -> None:
    await order(http, fault=fault, **more)
    response = await sync(http)
    assert (response.status, response.headers.get("Retry-After")) == (int(fault), retry_after)
    assert await effects(http) == []


@pytest.mark.parametrize(("fault", "kept"), [({"fault": "slow", "seconds": 5}, 1), ({"fault": "hang"}, 0),
                                             ({"fault": "hang", "commit": True}, 1)])  # fmt: skip
async def test_an_answer_that_does_not_come_in_time(
    http: aiohttp.ClientSession, fault: dict[str, Any], kept: int
) -> None:
    await order(http, **fault)
    with pytest.raises(TimeoutError):
        await http.post(SYNC, json={"contact": {"email": "a@example.org"}}, timeout=aiohttp.ClientTimeout(0.2))
    assert len(await effects(http)) == kept


async def test_faults_leave_reading_alone_are_listed_and_lifted(http: aiohttp.ClientSession) -> None:
    await order(http, fault="500", count=5)
    assert (await http.get("/activecampaign/api/3/tags")).status == 200
    await sync(http)
    listed = (await (await http.get("/_sandbox/faults")).json())["faults"]
    assert [(one["fault"], one["struck"]) for one in listed] == [("500", 1)]
    await http.delete("/_sandbox/faults")
    assert (await sync(http)).status == 201
    wrong = await http.post("/_sandbox/faults", json={"system": "activecampaign", "fault": "500", "often": 3})
    assert (wrong.status, await wrong.json()) == (400, {"errors": ["often: Extra inputs are not permitted"]})


async def test_latency_delays_answers_and_not_effects(http: aiohttp.ClientSession) -> None:
    await http.post("/_sandbox/latency", json={"system": "activecampaign", "seconds": 0.2})
    begun, wall = time.monotonic(), time.time()
    await sync(http)
    assert 0.2 <= time.monotonic() - begun < 1
    assert (await effects(http))[0]["at"] - wall < 0.15


async def test_a_limit_can_be_set_for_any_vendor(http: aiohttp.ClientSession) -> None:
    await http.post("/_sandbox/limits", json={"system": "klicktipp", "per_second": 2})
    statuses = [(await http.get("/klicktipp/tag")).status for _ in range(3)]
    assert statuses == [403, 403, 429]
    await http.post("/_sandbox/limits", json={"system": "klicktipp", "per_second": None})
    assert (await http.get("/klicktipp/tag")).status == 403


async def test_start_and_reset_begin_the_world_anew(
    http: aiohttp.ClientSession, sandbox: Sandbox, tmp_path: Path
) -> None:
    zero = sandbox.world.clock.zero
    await sync(http)
    await order(http, fault="500")
    answer = await (await http.post("/_sandbox/start")).json()
    assert answer["started"] > zero
    assert sandbox.world.webinaris.dates["d"].plans[0].start == pytest.approx(answer["started"] + 3600)
    assert await effects(http) == []
    assert (await sync(http)).status == 500
    (tmp_path / "other.yaml").write_text("webinars: [{id: x, title: X, dates: [{id: e, start: 1, end: 2}]}]")
    await http.post("/_sandbox/start", json={"scenario": str(tmp_path / "other.yaml")})
    state = await (await http.get("/_sandbox/state")).json()
    assert list(state["webinaris"]["dates"]) == ["e"]
    wrong = await http.post("/_sandbox/start", json={"scenario": str(tmp_path / "none.yaml")})
    assert wrong.status == 400
    await http.post("/_sandbox/reset")
    assert (await sync(http)).status == 201


async def test_the_state_names_contacts_and_tags(http: aiohttp.ClientSession) -> None:
    await sync(http)
    await http.post("/activecampaign/api/3/contactTags", json={"contactTag": {"contact": "10", "tag": "1"}})
    state = await (await http.get("/_sandbox/state")).json()
    assert state["activecampaign"]["contacts"]["a@example.org"]["tags"] == ["Webinar besucht"]


async def test_an_unknown_call_and_an_unreadable_body(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    assert (await http.get("/activecampaign/api/3/nope")).status == 404
    assert (await http.put("/klicktipp/tag")).status == 404
    assert (await http.post(SYNC, data=b"{", headers={"Content-Type": "application/json"})).status == 400
    assert (await http.post(SYNC, json=[1])).status == 400
    assert len(sandbox.effects) == 0


async def test_the_index_links_to_all_pages(http: aiohttp.ClientSession) -> None:
    text = await (await http.get("/")).text()
    for path in ("mails", "effects", "state", "calls", "faults"):
        assert f"/_sandbox/{path}" in text
        assert (await http.get(f"/_sandbox/{path}")).status == 200


async def test_webinars_wait_until_the_start_when_held(sandbox: Sandbox) -> None:
    async with Sandbox(sandbox.world.scenario, held=True) as held, aiohttp.ClientSession(held.http_url) as http:
        query = {"apikey": held.world.scenario.webinaris.apikey}
        before = await (await http.get("/webinaris/api/assumed/dates", params=query)).json()
        await http.post("/_sandbox/start")
        after = await (await http.get("/webinaris/api/assumed/dates", params=query)).json()
    assert (before["dates"], [one["id"] for one in after["dates"]]) == ([], ["d"])


async def test_it_stops_at_once_while_a_call_hangs(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    await order(http, fault="hang")
    call = asyncio.create_task(sync(http))
    async with asyncio.timeout(5):
        while not sandbox.faults.as_json()[0]["struck"]:
            await asyncio.sleep(0.01)
    begun = time.monotonic()
    await sandbox.stop()
    assert time.monotonic() - begun < 2
    with pytest.raises(aiohttp.ClientError):
        await call


async def test_a_busy_port_is_an_error_that_leaves_nothing_open(sandbox: Sandbox) -> None:
    second = Sandbox(sandbox.world.scenario, smtp_port=sandbox.smtp_port)
    with pytest.raises(OSError, match="in use"):
        await second.start()
    assert second.http_port == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_prints_its_addresses_and_ends_on_a_signal(project: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--smtp-port", "0"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            addresses = json.loads(await process.stdout.readline())
            async with aiohttp.ClientSession(addresses["http"]) as http:
                assert (await http.get("/")).status == 200
            assert addresses["smtp"].startswith("127.0.0.1:")
            process.send_signal(number)
            _, errors = await process.communicate()
        assert (process.returncode, errors) == (0, b"")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def test_a_wrong_scenario_ends_the_process_with_its_error(project: Path, tmp_path: Path) -> None:
    (tmp_path / "world.yaml").write_text("webinar: []")
    command = [sys.executable, "-m", "sandbox", "--scenario", str(tmp_path / "world.yaml")]
    ended = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 2
    assert "world.yaml: webinar: Extra inputs" in ended.stderr
    assert "Traceback" not in ended.stderr
