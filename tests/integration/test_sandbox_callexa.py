from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from sandbox import CALLEXA_APIKEY, CALLEXA_LOGIN, Sandbox, Scenario

pytestmark = pytest.mark.integration

API = "/callexa/api/v2"
WEEK = 7 * 86400
WORLD = {
    "callexa": {
        "surveys": [
            {"id": "s1", "name": "Zufriedenheit",
             "replies": [{"email": "Bald@example.org", "after": 0.2, "rating": 9, "comment": "Gut"},
                         {"email": "spaeter@example.org", "after": "1h", "rating": 2}]},
            {"id": "s2", "name": "Ohne Abstand", "min_distance_weeks": 0},
        ]
    }
}  # fmt: skip


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(Scenario.model_validate(WORLD)) as running:
        yield running


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": aiohttp.encode_basic_auth(CALLEXA_LOGIN, CALLEXA_APIKEY)}
    async with aiohttp.ClientSession(sandbox.http_url, headers=headers) as session:
        yield session


async def ask(http: aiohttp.ClientSession, email: str = "anna@example.org", **more: Any) -> tuple[int, Any]:
    survey = more.pop("survey", "s1")
    body = {"email": email, "name": "Anna Böhm", **more}
    async with http.post(f"{API}/surveys/{survey}/recipients", json=body) as response:
        assert response.headers["X-Sandbox-Extension"] == "assumed"
        return response.status, await response.json()


async def get(http: aiohttp.ClientSession, path: str, **query: str) -> tuple[int, Any]:
    async with http.get(API + path, params=query) as response:
        return response.status, await response.json()


async def order(http: aiohttp.ClientSession, call: str, **body: Any) -> tuple[int, Any]:
    async with http.post(f"/_sandbox/callexa/{call}", json=body) as response:
        return response.status, await response.json()


async def test_surveys_are_listed(http: aiohttp.ClientSession) -> None:
    assert await get(http, "/surveys") == (
        200, {"surveys": [{"id": "s1", "name": "Zufriedenheit"}, {"id": "s2", "name": "Ohne Abstand"}]},
    )  # fmt: skip


@pytest.mark.parametrize("login", [("", ""), (CALLEXA_LOGIN, ""), (CALLEXA_LOGIN, "no"), ("no", CALLEXA_APIKEY)])
async def test_wrong_credentials(sandbox: Sandbox, login: tuple[str, str]) -> None:
    headers = {"Authorization": aiohttp.encode_basic_auth(*login)}
    async with aiohttp.ClientSession(sandbox.http_url, headers=headers) as http:
        assert await get(http, "/surveys") == (401, {"error": {"message": "wrong login or API key"}})


async def test_a_recipient_is_queued_and_sent_after_the_delay(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    given = {"salutation": "Frau", "delay_days": 3, "max_delay_days": 14, "external_id": "h-1"}
    status, queued = await ask(http, " Anna@Example.org", **given)
    assert (status, queued["state"], set(queued)) == (201, "queued", {"id", "state", "send_at"})
    _, listed = await get(http, "/surveys/s1/recipients", email="ANNA@example.org")
    assert listed["recipients"] == [
        {"id": queued["id"], "email": "anna@example.org", "name": "Anna Böhm", "salutation": "Frau",
         "external_id": "h-1", "state": "queued", "send_at": queued["send_at"]}
    ]  # fmt: skip
    await order(http, "advance", seconds=3 * 86400)
    _, listed = await get(http, "/surveys/s1/recipients", email="anna@example.org")
    assert listed["recipients"][0]["state"] == "sent"
    assert (await get(http, "/surveys/s1/recipients", email="eva@example.org"))[1] == {"recipients": []}
    [effect] = sandbox.effects
    assert (effect.system, effect.action, effect.contact) == ("callexa", "recipient", "anna@example.org")
    assert [effect.detail[name] for name in ("external_id", "delay_days", "max_delay_days")] == ["h-1", 3, 14]


async def test_nobody_is_asked_twice_within_26_weeks(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    assert (await ask(http, delay_days=5))[0] == 201
    status, skipped = await ask(http, "ANNA@example.org")
    assert (status, skipped["state"], skipped["reason"]) == (200, "skipped", "asked_recently")
    await order(http, "advance", seconds=5 * 86400 + 26 * WEEK - 3600)
    assert (await ask(http))[0] == 200
    assert (await ask(http, "eva@example.org"))[0] == 201
    await order(http, "advance", seconds=7200)
    assert (await ask(http))[0] == 201
    _, listed = await get(http, "/surveys/s1/recipients", email="anna@example.org")
    assert [one["state"] for one in listed["recipients"]] == ["sent", "skipped", "skipped", "sent"]
    state = (await (await http.get("/_sandbox/state")).json())["callexa"]
    assert len(state["s1"]["recipients"]) == 5
    assert [one.action for one in sandbox.effects] == ["recipient", "skip", "skip", "recipient", "recipient"]


async def test_a_survey_without_distance_still_waits_for_what_is_queued(http: aiohttp.ClientSession) -> None:
    statuses = [(await ask(http, survey="s2", delay_days=delay))[0] for delay in (0, 0, 1, 1)]
    assert statuses == [201, 201, 201, 200]


async def test_answers_come_in_pages_and_change(http: aiohttp.ClientSession) -> None:
    for number in range(101):
        await ask(http, f"p{number}@example.org", external_id=f"h-{number}")
        await order(http, "answer", email=f"p{number}@example.org", rating=number % 11)
    _, first = await get(http, "/surveys/s1/answers")
    _, second = await get(http, "/surveys/s1/answers", page="2")
    assert (len(first["answers"]), first["next_page"], len(second["answers"]), second["next_page"]) == (100, 2, 1, None)
    assert set(first["answers"][0]) == {"id", "email", "NPS_rating", "NPS_comment", "NPS_date", "external_id"}
    assert len({one["id"] for one in first["answers"] + second["answers"]}) == 101
    await order(http, "advance", seconds=60)
    status, changed = await order(http, "answer", email="p5@example.org", rating="sieben", comment="<b>ü</b> 🎉")
    assert (status, changed["external_id"]) == (200, "h-5")
    _, news = await get(http, "/surveys/s1/answers", updated_after=changed["NPS_date"])
    assert news == {"answers": [changed], "next_page": None}
    before = {one["external_id"]: one["id"] for one in first["answers"]}
    assert changed["id"] == before["h-5"]


async def test_a_planned_reply_comes_by_itself(http: aiohttp.ClientSession) -> None:
    await ask(http, "bald@example.org")
    async with asyncio.timeout(20):
        while not (answers := (await get(http, "/surveys/s1/answers"))[1]["answers"]):
            await asyncio.sleep(0.05)
    assert [(one["NPS_rating"], one["NPS_comment"]) for one in answers] == [(9, "Gut")]
    await ask(http, "spaeter@example.org")
    assert len((await get(http, "/surveys/s1/answers"))[1]["answers"]) == 1
    await order(http, "advance", seconds=3600)
    _, later = await get(http, "/surveys/s1/answers")
    assert [(one["email"], one["NPS_rating"]) for one in later["answers"]] == [
        ("bald@example.org", 9), ("spaeter@example.org", 2),
    ]  # fmt: skip


async def test_only_who_was_asked_answers(http: aiohttp.ClientSession) -> None:
    assert (await order(http, "answer", email="eva@example.org", rating=3))[0] == 400
    await ask(http, delay_days=1)
    assert (await order(http, "answer", email="anna@example.org", rating=3))[0] == 400
    assert (await order(http, "answer", survey="s9", email="anna@example.org", rating=3))[0] == 400


@pytest.mark.parametrize(
    ("change", "status"),
    [({"email": "anna(at)example.org"}, 400), ({"email": ""}, 400), ({"name": None}, 400), ({"delay_days": -1}, 400),
     ({"delay_days": "3"}, 400), ({"max_delay_days": -1}, 400), ({"delay_days": 3, "max_delay_days": 2}, 400),
     ({"external_id": 5}, 400), ({"survey": "s9"}, 404)],
)  # fmt: skip
async def test_what_is_refused_has_no_effect(
    http: aiohttp.ClientSession, sandbox: Sandbox, change: dict[str, Any], status: int
) -> None:
    found, answer = await ask(http, **{"email": "anna@example.org", **change})
    assert (found, list(answer["error"])) == (status, ["message"])
    assert len(sandbox.effects) == 0


async def test_errors_of_reading_and_the_limit(http: aiohttp.ClientSession) -> None:
    assert (await get(http, "/surveys/s1/answers", updated_after="yesterday"))[0] == 400
    assert (await get(http, "/surveys/s1/answers", updated_after="2026-01-01T00:00:00"))[0] == 400
    assert (await get(http, "/surveys/s1/answers", page="0"))[0] == 400
    assert (await get(http, "/nowhere"))[0] == 404
    await http.post("/_sandbox/limits", json={"system": "callexa", "per_second": 1})
    async with asyncio.timeout(60):
        while (found := await get(http, "/surveys"))[0] == 200:
            pass
    assert found == (429, {"error": {"message": "Too Many Requests"}})
