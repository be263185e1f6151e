from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from sandbox import QUENTN_APIKEY, Sandbox, Scenario
from sandbox.quentn.mail_status import DOUBLE_OPT_IN, SINGLE_OPT_IN, UNKNOWN, UNSUBSCRIBED

pytestmark = pytest.mark.integration

API = "/quentn/public/api/V1"
LOGIN = {"Authorization": f"Bearer {QUENTN_APIKEY}"}
TERMS = {"Termin": 12, "Kunde": 13}
WORLD: dict[str, Any] = {
    "quentn": {
        "rate_limit": None,
        "terms": list(TERMS),
        "fields": [{"name": "termin", "label": "Termin", "type": "date"}, {"name": "kurs", "max_length": 8},
                   {"name": "zahl", "type": "integer"}, {"name": "link", "type": "url"},
                   {"name": "preis", "type": "float"}, {"name": "ja", "type": "checkbox_confirmation"}],
        "campaigns": [{"id": 1, "name": "Terminbestätigung"}],
        "contacts": [{"mail": "Max@example.org", "first_name": "Max", "terms": ["Kunde"], "status": "double_opt_in"},
                     {"mail": "gone@example.org", "status": "unsubscribed", "deleted": True},
                     {"mail": "forgotten@example.org", "status": "unknown", "deleted": True}],
    }
}  # fmt: skip


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(Scenario.model_validate(WORLD)) as running:
        yield running


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(sandbox.http_url, headers=LOGIN) as session:
        yield session


async def call(http: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    async with http.request(method, f"{API}/{path}", json=body) as response:
        return response.status, await response.json()


async def good(http: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> Any:
    status, answer = await call(http, method, path, body)
    assert status == 200, answer
    return answer


async def put(http: aiohttp.ClientSession, mail: str, options: dict[str, Any] | None = None, **fields: Any) -> Any:
    fixed = {"duplicate_check_method": "email", "return_fields": ["mail", "terms", "mail_status"]}
    return await good(http, "POST", "contact", {"contact": {"mail": mail, **fields}, **fixed, **(options or {})})


async def order(http: aiohttp.ClientSession, name: str, **body: Any) -> Any:
    async with http.post(f"/_sandbox/quentn/{name}", json=body) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def shown(http: aiohttp.ClientSession, mail: str, *names: str) -> list[dict[str, Any]]:
    return await good(http, "GET", f"contact/{mail}?fields={','.join(names)}")


def effects(sandbox: Sandbox) -> list[str]:
    return [one.action for one in sandbox.effects if one.system == "quentn"]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {QUENTN_APIKEY}"}])
async def test_a_wrong_key_is_403(sandbox: Sandbox, headers: dict[str, str]) -> None:
    async with aiohttp.ClientSession(sandbox.http_url, headers=headers) as http:
        status, answer = await call(http, "GET", "check-credentials")
        assert (status, answer["error"], set(answer)) == (403, True, {"error", "message"})


async def test_both_spellings_of_the_version(http: aiohttp.ClientSession) -> None:
    assert await good(http, "GET", "check-credentials") == {"success": True}
    async with http.get("/quentn/public/api/v1/check-credentials") as response:
        assert await response.json() == {"success": True}


async def test_a_contact_is_created_then_updated(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    made = await put(http, " Eva@Example.org", first_name="Eva", field_termin="2026-05-10 10:00", terms=[12])
    assert made == {"id": made["id"], "mail": "eva@example.org", "terms": [12], "mail_status": UNKNOWN}
    again = await put(http, "eva@example.org", family_name="Müller", comment="Tür 3", terms=[12, 13])
    assert (again["id"], again["terms"]) == (made["id"], [12, 13])
    assert await shown(http, "EVA@example.org", "first_name", "family_name", "comment", "field_termin", "phone") == [
        {"first_name": "Eva", "family_name": "Müller", "comment": "Tür 3", "field_termin": "2026-05-10 10:00",
         "phone": ""}
    ]  # fmt: skip
    assert await good(http, "GET", f"contact/{made['id']}") == {
        "id": made["id"], "first_name": "Eva", "family_name": "Müller", "mail": "eva@example.org",
    }  # fmt: skip
    details = [(one.action, one.contact, one.detail) for one in sandbox.effects]
    assert [action for action, _, _ in details] == ["contact", "field", "tag", "contact", "tag", "tag"]
    assert {contact for _, contact, _ in details} == {"eva@example.org"}
    assert [detail["created"] for action, _, detail in details if action == "contact"] == [True, False]
    assert details[1][2] == {
        "id": made["id"], "field": "field_termin", "label": "Termin", "value": "2026-05-10 10:00",
    }  # fmt: skip
    tags = [(detail["tag"], detail["repeated"]) for action, _, detail in details if action == "tag"]
    assert tags == [("Termin", False), ("Termin", True), ("Kunde", False)]


async def test_several_contacts_may_share_an_address(http: aiohttp.ClientSession) -> None:
    one, two = [(await put(http, "a@example.org", {"duplicate_check_method": "none"}))["id"] for _ in range(2)]
    assert one != two
    assert [row["id"] for row in await shown(http, "a@example.org", "id")] == [one, two]
    assert (await put(http, "a@example.org"))["id"] == one
    status, answer = await call(http, "GET", "contact/nobody@example.org")
    assert (status, "not found" in answer["message"]) == (404, True)
    assert (await call(http, "GET", "contact/999"))[0] == 404


@pytest.mark.parametrize(
    ("method", "first", "family", "terms"),
    [("update_add", "B", "B", [12]), ("update", "B", "", []), ("add", "A", "B", [12])],
)
async def test_merge_methods(
    http: aiohttp.ClientSession, method: str, first: str, family: str, terms: list[int]
) -> None:
    await put(http, "a@example.org", first_name="A")
    await put(
        http, "a@example.org", {"duplicate_merge_method": method}, first_name="B", family_name="B", terms=[12]
    )  # fmt: skip
    assert await shown(http, "a@example.org", "first_name", "family_name", "terms") == [
        {"first_name": first, "family_name": family, "terms": terms}
    ]


async def test_who_has_no_address_needs_a_postal_one(http: aiohttp.ClientSession) -> None:
    person = {
        "first_name": "Eva",
        "family_name": "M",
        "ba_street": "Weg 1",
        "ba_city": "Ulm",
        "ba_postal_code": "89073",
    }
    made = await good(http, "POST", "contact", {"contact": person})
    assert await good(http, "POST", "contact", {"contact": person}) == made
    assert await good(http, "POST", "contact", {"contact": person, "duplicate_check_method": "email"}) != made
    assert (await call(http, "POST", "contact", {"contact": {"first_name": "Eva"}}))[0] == 400


@pytest.mark.parametrize(
    "body",
    [{}, {"contact": {"mail": "eva(at)example.org"}}, {"contact": {"mail": "e@example.org", "unknown": "x"}},
     {"contact": {"mail": "e@example.org", "field_nope": "x"}}, {"contact": {"mail": "e@example.org", "terms": ["A"]}},
     {"contact": {"mail": "e@example.org", "field_termin": "10.05.2026"}},
     {"contact": {"mail": "e@example.org", "field_kurs": "neun Zeichen"}},
     {"contact": {"mail": "e@example.org", "field_zahl": "1.5"}},
     {"contact": {"mail": "e@example.org", "field_link": "example.org"}},
     {"contact": {"mail": "e@example.org", "field_ja": "vielleicht"}},
     {"contact": {"mail": "e@example.org", "mail_status": 99}},
     {"contact": {"mail": "e@example.org"}, "duplicate_check_method": "mail"},
     {"contact": {"mail": "e@example.org"}, "duplicate_merge_method": "replace"},
     {"contact": {"mail": "e@example.org"}, "flood_limit": -1}],
)  # fmt: skip
async def test_what_is_refused_has_no_effect(http: aiohttp.ClientSession, sandbox: Sandbox, body: Any) -> None:
    status, answer = await call(http, "POST", "contact", body)
    assert (status, answer["error"]) == (400, True)
    assert (await call(http, "POST", "contact", [body]))[0] == 400
    assert effects(sandbox) == []


async def test_field_types_take_what_fits(http: aiohttp.ClientSession) -> None:
    values = {"field_termin": "2026-05-10T10:00:00+02:00", "field_zahl": -5, "field_link": "https://example.org/a",
              "field_preis": "1.50", "field_ja": True, "field_kurs": "Größe 8!"}  # fmt: skip
    await put(http, "a@example.org", **values)
    assert await shown(http, "a@example.org", *values) == [values]
    await put(http, "a@example.org", field_termin=1778400000, field_kurs=None)
    assert await shown(http, "a@example.org", "field_termin", "field_kurs") == [
        {"field_termin": 1778400000, "field_kurs": ""}
    ]


async def test_five_submissions_an_hour_from_one_ip(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    def body(ip: str) -> dict[str, Any]:
        return {"contact": {"mail": "a@example.org", "request_ip": ip}, "duplicate_check_method": "email"}

    statuses = [(await call(http, "POST", "contact", body("203.0.113.5")))[0] for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    assert effects(sandbox) == ["contact"] * 5
    assert (await call(http, "POST", "contact", body("203.0.113.6")))[0] == 200
    assert (await call(http, "POST", "contact", {**body("203.0.113.5"), "flood_limit": 0}))[0] == 200
    assert [(await call(http, "POST", "contact", body("")))[0] for _ in range(7)] == [200] * 7
    many = {**body(""), "contacts": [body(f"203.0.113.{ip}")["contact"] for ip in (7, 7, 7)], "flood_limit": 2}
    assert (await call(http, "POST", "contacts", many))[0] == 429
    await order(http, "advance", seconds=3601)
    assert (await call(http, "POST", "contact", body("203.0.113.5")))[0] == 200


async def test_many_contacts_at_once(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    contacts = [{"mail": f"{name}@example.org"} for name in "abA"]
    body: dict[str, Any] = {"contacts": contacts, "duplicate_check_method": "email", "return_fields": ["mail"]}
    answer = await good(http, "POST", "contacts", body)
    assert [one["mail"] for one in answer] == ["a@example.org", "b@example.org", "a@example.org"]
    assert answer[0] == answer[2]
    body["contacts"].append({"mail": "nothing"})
    assert (await call(http, "POST", "contacts", body))[0] == 400
    assert effects(sandbox) == ["contact"] * 3


async def test_terms_by_id_and_name(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    assert [(one["id"], one["name"]) for one in await good(http, "GET", "terms")] == [(12, "Termin"), (13, "Kunde")]
    assert await good(http, "GET", "terms?offset=1&limit=1") == [
        {"id": 13, "name": "Kunde", "description": "", "deletion_blocked": False}
    ]
    assert (await good(http, "GET", "terms/kunde"))["id"] == (await good(http, "GET", "terms/13"))["id"] == 13
    assert (await call(http, "GET", "terms/Neu"))[0] == 404
    made = await good(http, "POST", "terms", {"name": "Größe / 2", "description": "d"})
    assert await good(http, "POST", "terms", {"name": " größe / 2"}) == made
    assert (await good(http, "GET", "terms/Gr%C3%B6%C3%9Fe%20%2F%202"))["description"] == "d"
    await good(http, "PUT", f"terms/{made['id']}", {"name": "Klein"})
    assert (await call(http, "PUT", f"terms/{made['id']}", {"name": "KUNDE"}))[0] == 400
    await good(http, "DELETE", f"terms/{made['id']}")
    assert (await call(http, "GET", "terms/Klein"))[0] == 404
    assert effects(sandbox) == ["create_tag", "update_tag", "delete_tag"]


async def test_terms_of_a_contact(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    (max_,) = await shown(http, "max@example.org", "id")
    path = f"contact/{max_['id']}/terms"
    assert await good(http, "GET", path) == [13]
    assert await good(http, "PUT", path, [12, 13]) == {"success": True}
    assert await good(http, "GET", path) == [13, 12]
    await good(http, "DELETE", path, [13])
    assert await good(http, "GET", path) == [12]
    await good(http, "POST", path, [13])
    assert await good(http, "GET", path) == [13]
    async with http.delete(f"{API}/{path}?ids=12|13") as response:
        assert response.status == 200
    assert await good(http, "GET", path) == []
    assert (await call(http, "PUT", path, ["Kunde"]))[0] == 400
    assert (await call(http, "PUT", path, [99]))[0] == 404
    found = [(one.action, one.detail["tag"], one.detail["repeated"]) for one in sandbox.effects]
    assert found == [
        ("tag", "Termin", False), ("tag", "Kunde", True), ("untag", "Kunde", False), ("untag", "Termin", False),
        ("tag", "Kunde", False), ("untag", "Termin", True), ("untag", "Kunde", False),
    ]  # fmt: skip


async def test_the_status_is_kept_and_remembered(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    assert (await put(http, "gone@example.org", mail_status=SINGLE_OPT_IN))["mail_status"] == UNSUBSCRIBED
    assert (await put(http, "forgotten@example.org", mail_status=SINGLE_OPT_IN))["mail_status"] == SINGLE_OPT_IN
    assert (await put(http, "max@example.org", mail_status=SINGLE_OPT_IN))["mail_status"] == DOUBLE_OPT_IN
    (max_,) = await shown(http, "max@example.org", "id")
    await good(http, "PUT", f"contact/{max_['id']}", {"mail_status": SINGLE_OPT_IN, "first_name": "M"})
    assert await shown(http, "max@example.org", "mail_status") == [{"mail_status": SINGLE_OPT_IN}]
    await order(http, "status", mail="max@example.org", status="unsubscribed")
    await good(http, "PUT", f"contact/{max_['id']}", {"mail_status": DOUBLE_OPT_IN})
    assert await shown(http, "max@example.org", "mail_status") == [{"mail_status": UNSUBSCRIBED}]
    await good(http, "DELETE", f"contact/{max_['id']}")
    assert (await call(http, "GET", "contact/max@example.org"))[0] == 404
    again = await put(http, "MAX@example.org", mail_status=SINGLE_OPT_IN)
    assert (again["mail_status"], again["terms"]) == (UNSUBSCRIBED, [])
    twin = await put(http, "max@example.org", {"duplicate_check_method": "none"}, mail_status=DOUBLE_OPT_IN)
    assert twin["mail_status"] == UNSUBSCRIBED
    await order(http, "status", mail="max@example.org", status="double_opt_in")
    assert (await put(http, "max@example.org"))["mail_status"] == DOUBLE_OPT_IN
    assert "max@example.org" not in str(sandbox.world.quentn.memory)


async def test_who_is_set_to_unknown_is_forgotten(http: aiohttp.ClientSession) -> None:
    await put(http, "a@example.org", mail_status=SINGLE_OPT_IN)
    for status in ("unsubscribed", "unknown"):
        ((one,),) = [await order(http, "status", mail="a@example.org", status=status)]
    await good(http, "DELETE", f"contact/{one['id']}")
    assert (await put(http, "a@example.org", mail_status=SINGLE_OPT_IN))["mail_status"] == SINGLE_OPT_IN


async def test_a_campaign_starts_once_until_it_is_reset(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    body = {"mail": "Neu@example.org", "first_name": "Neu", "family_name": ""}
    for _ in range(2):
        assert await good(http, "POST", "cb/1", body) == {"success": True}
    await order(http, "restart", mail="neu@example.org", campaign=1)
    await good(http, "POST", "cb/1", body)
    assert (await call(http, "POST", "cb/2", body))[0] == 404
    assert (await call(http, "POST", "cb/1", {"mail": "x"}))[0] == 400
    assert effects(sandbox) == ["contact", "campaign", "campaign", "campaign"]
    starts = [one.detail["repeated"] for one in sandbox.effects if one.action == "campaign"]
    assert starts == [False, True, False]


async def test_custom_fields_and_comments(http: aiohttp.ClientSession) -> None:
    made = await good(http, "POST", "custom-fields", {"label": "Größe (cm)", "field_type": "integer"})
    assert (made["field_name"], made["field_type"]) == ("field_groesse_cm", "integer")
    one = await put(http, "a@example.org", field_groesse_cm=180)
    assert "field_groesse_cm" in [field["field_name"] for field in await good(http, "GET", "custom-fields")]
    for wrong in ({"label": "Größe cm", "field_type": "integer"}, {"label": "x", "field_type": "number"},
                  {"label": "x", "field_type": "text", "max_length": 9}):  # fmt: skip
        assert (await call(http, "POST", "custom-fields", wrong))[0] == 400
    await good(http, "PUT", f"custom-fields/{made['id']}", {"label": "Länge"})
    await good(http, "DELETE", f"custom-fields/{made['id']}")
    assert await shown(http, "a@example.org", "field_groesse_cm") == [{"field_groesse_cm": ""}]
    path = f"contact/{one['id']}/comments"
    number = (await good(http, "POST", path, {"comment": "Hallo 🎉"}))["id"]
    await good(http, "PUT", path, {"id": number, "comment": "Neu"})
    assert await good(http, "GET", path) == [{"id": number, "comment": "Neu"}]
    assert (await call(http, "PUT", path, {"id": 1, "comment": "x"}))[0] == 404


@pytest.mark.parametrize("reset", ["moment", "seconds"])
async def test_the_rate_limit_and_its_headers(reset: str) -> None:
    world = {"quentn": {"rate_limit": 3, "rate_seconds": 1000, "rate_reset": reset}}
    async with (
        Sandbox(Scenario.model_validate(world)) as running,
        aiohttp.ClientSession(running.http_url, headers=LOGIN) as http,
    ):
        answers = []
        for path in ("terms", "contact/999", "terms", "terms"):
            async with http.get(f"{API}/{path}") as response:
                headers = [response.headers[f"X-Rate-Limit-{name}"] for name in ("Limit", "Remaining")]
                answers.append((response.status, *headers))
                ends = int(response.headers["X-Rate-Limit-Reset"]) - (int(time.time()) if reset == "moment" else 0)
                assert 0 < ends <= 1001
        assert answers == [(200, "3", "2"), (404, "3", "1"), (200, "3", "0"), (429, "3", "0")]


async def test_faults_strike_here_too(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    await http.post("/_sandbox/faults", json={"system": "quentn", "fault": "503", "path": "/contact", "count": 1})
    assert await call(http, "POST", "contact", {"contact": {"mail": "a@example.org"}}) == (
        503, {"error": True, "message": "Service Unavailable"},
    )  # fmt: skip
    assert effects(sandbox) == []
    await put(http, "a@example.org")
    state = (await (await http.get("/_sandbox/state")).json())["quentn"]
    assert [one["mail"] for one in state["contacts"].values()] == ["max@example.org", "a@example.org"]
