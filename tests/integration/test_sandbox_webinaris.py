from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from sandbox import WEBINARIS_APIKEY, WEBINARIS_PASSWORD, Sandbox, Scenario

pytestmark = pytest.mark.integration

WORLD = {
    "webinars": [
        {
            "id": "7167W1",
            "title": "Onlinekurs",
            "dates": [
                {
                    "id": "past",
                    "start": "-1h",
                    "end": "-10m",
                    "generate": {"count": 25, "seed": 3},
                    "registrants": [
                        {"email": "", "firstname": "Ohne"},
                        {"email": "zukunft@example.org", "registered": "+1h"},
                        {"email": "da@example.org", "registered": "-2d", "presence": [["0s", "5m"], ["+70m", None]]},
                    ],
                },
                {"id": "coming", "start": "+2h", "end": "+3h"},
                {"id": "called_off", "start": "+4h", "end": "+5h", "cancelled_at": "-1m"},
                {"id": "moved", "start": "+4h", "end": "+5h", "moved": {"at": "-1s", "start": "+6h", "end": "+7h"}},
            ],
        },
        {"id": "8220W1", "title": "Steuern", "dates": [{"id": "other", "start": 60, "end": 120}]},
    ]
}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(Scenario.model_validate(WORLD)) as running:
        yield running


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(sandbox.http_url) as session:
        yield session


async def assumed(http: aiohttp.ClientSession, call: str, **query: str) -> tuple[int, Any]:
    params = {"apikey": WEBINARIS_APIKEY, **query}
    async with http.get(f"/webinaris/api/assumed/{call}", params=params) as response:
        assert response.headers["X-Sandbox-Extension"] == "assumed"
        return response.status, await response.json()


async def start_of(http: aiohttp.ClientSession, date: str) -> str:
    _, answer = await assumed(http, "dates")
    return next(str(one["start"]) for one in answer["dates"] if one["id"] == date)


async def test_dates_are_listed_as_they_stand(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    status, answer = await assumed(http, "dates")
    dates = {one["id"]: one for one in answer["dates"]}
    assert (status, len(dates)) == (200, 5)
    assert [dates[name]["status"] for name in ("past", "called_off", "moved")] == [
        "scheduled",
        "cancelled",
        "scheduled",
    ]
    zero = sandbox.world.clock.zero
    assert dates["moved"]["start_unix"] - zero == pytest.approx(6 * 3600)
    assert set(dates["past"]) == {
        "id", "webinar_id", "title", "start", "end", "start_unix", "end_unix", "timezone", "status", "updated",
    }  # fmt: skip
    _, known = await assumed(http, "dates", updated_since=str(zero))
    _, news = await assumed(http, "dates", updated_since=str(zero + 0.001))
    assert (len(known["dates"]), news["dates"]) == (5, [])
    _, other = await assumed(http, "dates", webinar_id="8220W1")
    assert [one["id"] for one in other["dates"]] == ["other"]


async def test_participants_come_in_pages_ordered_by_id(http: aiohttp.ClientSession) -> None:
    _, whole = await assumed(http, "participants", date_id="past")
    everybody = whole["participants"]
    assert (len(everybody), whole["next"]) == (27, None)
    assert [one["id"] for one in everybody] == sorted(one["id"] for one in everybody)
    assert "zukunft@example.org" not in [one["email"] for one in everybody]
    pages, ref = [], ""
    while ref is not None:
        _, page = await assumed(http, "participants", date_id="past", limit="10", after=ref)
        pages.append(page["participants"])
        ref = page["next"]
    assert [len(page) for page in pages] == [10, 10, 7]
    assert [one["id"] for page in pages for one in page] == [one["id"] for one in everybody]


async def test_presence_that_has_not_happened_is_hidden(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    _, answer = await assumed(http, "participants", date_id="past", limit="1")
    one, start = answer["participants"][0], sandbox.world.clock.zero - 3600
    assert one["email"] == "da@example.org"
    assert one["presence"] == [{"joined": pytest.approx(start), "left": pytest.approx(start + 300)}]
    assert answer["presence_until"] == answer["read_at"]
    _, news = await assumed(http, "participants", date_id="past", updated_since=str(answer["read_at"]))
    assert news["participants"] == []


async def test_errors_of_the_assumed_surface(http: aiohttp.ClientSession) -> None:
    wrong = await assumed(http, "dates", apikey="no")
    assert wrong == (403, {"status": "error", "message": "invalid apikey"})
    assert (await assumed(http, "participants", date_id="nope"))[0] == 404
    assert (await assumed(http, "dates", updated_since="yesterday"))[0] == 400


async def test_legacy_registration_toggles_and_never_doubles(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    query = {
        "key": "7167W1", "password": WEBINARIS_PASSWORD, "is_paid": "YES", "ip_address": "127.0.0.1",
        "time": await start_of(http, "coming"), "email": "Eva@example.org", "firstname": "Eva", "lastname": "Groß",
    }  # fmt: skip
    for paid in ("YES", "NO"):
        async with http.get("/webinaris/api/", params={**query, "is_paid": paid}) as response:
            assert (response.status, response.content_type, await response.text()) == (200, "text/plain", "OK")
    _, answer = await assumed(http, "participants", date_id="coming")
    assert [(one["email"], one["lastname"]) for one in answer["participants"]] == [("Eva@example.org", "Groß")]
    assert [(one.action, one.contact, one.detail["access"]) for one in sandbox.effects] == [
        ("register", "eva@example.org", "active"), ("access", "eva@example.org", "inactive"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "status"),
    [({"password": "no"}, 403), ({"key": "nope"}, 403), ({"ip_address": ""}, 400), ({"is_paid": "MAYBE"}, 400),
     ({"time": "24.03.2026 19:00"}, 400), ({"email": "nope"}, 400)],
)  # fmt: skip
async def test_a_wrong_legacy_registration_has_no_effect(
    http: aiohttp.ClientSession, sandbox: Sandbox, change: dict[str, str], status: int
) -> None:
    query = {
        "key": "7167W1", "password": WEBINARIS_PASSWORD, "is_paid": "YES", "ip_address": "127.0.0.1",
        "time": await start_of(http, "coming"), "email": "", "firstname": "", "lastname": "",
    }  # fmt: skip
    assert (await http.get("/webinaris/api/", params={**query, **change})).status == status
    assert len(sandbox.effects) == 0


async def test_json_registration(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    body = {
        "version": "v1.0", "apikey": WEBINARIS_APIKEY, "webinar_id": "7167W1", "email": "eva@example.org",
        "time": await start_of(http, "coming"), "timezone": "Europe/Vienna", "access": "active",
    }  # fmt: skip
    unix = {"time": sandbox.world.webinaris.dates["coming"].plans[0].start}
    for change in ({}, unix, {"version": "v1.1", "gender": "female"}):
        response = await http.post("/webinaris/api/register", json={**body, **change})
        assert (response.status, (await response.json())["status"]) == (200, "success")
    _, answer = await assumed(http, "participants", date_id="coming")
    assert [(one["email"], one["timezone"]) for one in answer["participants"]] == [("eva@example.org", "Europe/Vienna")]
    wrong = [({"apikey": "no"}, 403), ({"version": "v9"}, 400), ({"webinar_id": "x"}, 404), ({"time": "soon"}, 400),
             ({"timezone": "Mars/Base"}, 400), ({"email": ""}, 400)]  # fmt: skip
    for change, status in wrong:
        assert (await http.post("/webinaris/api/register", json={**body, **change})).status == status
    assert len(sandbox.effects) == 3


async def test_showtimes_name_what_comes(http: aiohttp.ClientSession) -> None:
    query = {"webinaris_id": "7167W1", "api_password": WEBINARIS_PASSWORD}
    async with http.get("/webinaris/api/showtimes", params=query) as response:
        found = (await response.json())["showtimes"]
    assert found == [await start_of(http, "coming"), await start_of(http, "moved")]
    assert (await http.get("/webinaris/api/showtimes", params={**query, "api_password": "no"})).status == 403
