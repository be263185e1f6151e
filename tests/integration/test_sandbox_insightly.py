from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from sandbox import INSIGHTLY_KEY, Sandbox, Scenario

pytestmark = pytest.mark.integration

WORLD = {
    "insightly": {
        "per_second": None,
        "per_day": None,
        "contacts": [
            {"id": 101, "firstname": "Anna", "lastname": "Böhm", "email": "Anna@example.org", "tags": ["Kunde"]},
            {"id": 102, "firstname": "Ohne"},
        ],
        "opportunities": [
            {"id": 31, "name": "Relaunch", "value": 4200, "contacts": [101, 102], "tags": ["callexa", "Süd"],
             "created": "-20d", "states": [{"at": "-3d", "state": "Won"}]},
            {"id": 32, "name": "Leer", "created": "-10d"},
            {"id": 33, "name": "Bald", "contacts": [101], "created": "-2d", "states": [{"at": "+1d", "state": "LOST"}]},
        ],
        "projects": [{"id": 51, "name": "Umzug", "contacts": [101], "state": "In Progress", "opportunity": 31}],
    }
}  # fmt: skip
API = "/insightly/v3.1"
DENIED = {"Message": "Authorization has been denied for this request."}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(Scenario.model_validate(WORLD)) as running:
        yield running


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": aiohttp.encode_basic_auth(INSIGHTLY_KEY, "")}
    async with aiohttp.ClientSession(sandbox.http_url, headers=headers) as session:
        yield session


async def get(http: aiohttp.ClientSession, path: str, **query: str) -> Any:
    async with http.get(API + path, params=query) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def send(http: aiohttp.ClientSession, method: str, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    async with http.request(method, API + path, json=body, headers=headers) as response:
        return response.status, await response.json(content_type=None) if await response.read() else None


def effects(sandbox: Sandbox) -> list[tuple[str, str, str, int]]:
    return [(one.action, one.contact, one.detail["object"], one.detail["id"]) for one in sandbox.effects]


@pytest.mark.parametrize(
    ("login", "path"),
    [(("wrong", ""), "/Instance"), (("", ""), "/Instance"), (("", ""), "/Nowhere"), (("", INSIGHTLY_KEY), "/Instance"),
     (("wrong", ""), "/Nowhere/at/all")],
)  # fmt: skip
async def test_a_bad_key_and_an_unknown_path_look_the_same(sandbox: Sandbox, login: tuple[str, str], path: str) -> None:
    headers = {"Authorization": aiohttp.encode_basic_auth(*login)} if any(login) else {}
    async with aiohttp.ClientSession(sandbox.http_url, headers=headers) as http, http.get(API + path) as response:
        assert (response.status, await response.json()) == (401, DENIED)


async def test_the_key_is_the_user_name(http: aiohttp.ClientSession) -> None:
    assert (await get(http, "/Instance"))["INSTANCE_NAME"] == "Sandbox"


async def test_wrong_paths_and_methods_with_a_good_key(http: aiohttp.ClientSession) -> None:
    assert (await http.get(f"{API}/Opportunity")).status == 405
    assert (await http.get(f"{API}/Note/5")).status == 405
    assert (await http.post(f"{API}/Notes", json={"TITLE": "x"})).status == 405
    assert (await http.put(f"{API}/Notes/5", json={"TITLE": "x"})).status == 405
    assert (await http.get(f"{API}/Nowhere")).status == 404


async def test_an_opportunity_is_shown_as_insightly_shows_it(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    shown = await get(http, "/Opportunities/31")
    assert (shown["OPPORTUNITY_STATE"], shown["BID_AMOUNT"], shown["STAGE_ID"]) == ("WON", 4200, None)
    zero = sandbox.world.clock.zero
    won = sandbox.world.insightly.find("Opportunity", 31)
    assert won is not None
    assert won.updated == int(zero - 3 * 86400)
    assert shown["ACTUAL_CLOSE_DATE"].endswith(" 00:00:00")
    assert shown["ACTUAL_CLOSE_DATE"][:10] == shown["DATE_UPDATED_UTC"][:10]
    assert "T" not in shown["DATE_UPDATED_UTC"]
    assert shown["TAGS"] == [{"TAG_NAME": "callexa"}, {"TAG_NAME": "Süd"}]
    assert [(one["LINK_OBJECT_NAME"], one["LINK_OBJECT_ID"]) for one in shown["LINKS"]] == [
        ("Contact", 101), ("Contact", 102),
    ]  # fmt: skip
    history = await get(http, "/Opportunities/31/StateHistory")
    assert [(one["FOR_OPPORTUNITY_STATE"], one["DATE_CHANGED_UTC"]) for one in history] == [
        ("WON", shown["DATE_UPDATED_UTC"])
    ]
    assert (await get(http, "/Opportunities/33"))["OPPORTUNITY_STATE"] == "OPEN"
    assert await get(http, "/Opportunities/33/StateHistory") == []
    brief = await get(http, "/Opportunities/31", brief="true")
    assert set(shown) - set(brief) == {"LINKS", "TAGS", "CUSTOMFIELDS"}


async def test_projects_and_contacts(http: aiohttp.ClientSession) -> None:
    project = await get(http, "/Projects/51")
    assert (project["STATUS"], project["COMPLETED_DATE"], project["OPPORTUNITY_ID"]) == ("IN PROGRESS", None, 31)
    anna, nobody = await get(http, "/Contacts")
    assert (anna["EMAIL_ADDRESS"], anna["LAST_NAME"], nobody["EMAIL_ADDRESS"]) == ("Anna@example.org", "Böhm", None)
    found = await get(http, "/Contacts/Search", field_name="EMAIL_ADDRESS", field_value="anna@example.org")
    assert [one["CONTACT_ID"] for one in found] == [101]
    assert (await http.get(f"{API}/Contacts/999")).status == 404
    assert (await http.get(f"{API}/Contacts/abc")).status == 400
    assert (await http.get(f"{API}/Contacts/Search", params={"field_name": "EMAIL_ADDRESS"})).status == 400


async def test_pages_are_bare_arrays_that_end_silently_at_500(http: aiohttp.ClientSession) -> None:
    await http.post("/_sandbox/insightly/generate", json={"count": 1200})
    assert [len(await get(http, "/Opportunities", top=top)) for top in ("", "2", "500", "12000")] == [100, 2, 500, 500]
    async with http.get(f"{API}/Opportunities", params={"count_total": "True", "skip": "1000"}) as response:
        rows = await response.json()
        assert response.headers["X-Total-Count"] == "1203"
    assert (await http.get(f"{API}/Opportunities")).headers.get("X-Total-Count") is None
    ids = [one["OPPORTUNITY_ID"] for one in rows]
    assert ids == sorted(ids)
    assert len(await get(http, "/Opportunities", skip="1200")) == 3
    assert await get(http, "/Opportunities", skip="5000") == []


async def test_unknown_query_names_are_ignored(http: aiohttp.ClientSession) -> None:
    query = {"OPPORTUNITY_STATE": "WON", "order_by": "DATE_UPDATED_UTC", "updated_after_utc": "2099-01-01T00:00:00Z"}
    assert len(await get(http, "/Opportunities", **query)) == 3


async def test_updated_after_is_strict_at_a_second(http: aiohttp.ClientSession) -> None:
    shown = await get(http, "/Opportunities/31")
    moment = datetime.strptime(shown["DATE_UPDATED_UTC"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    found = []
    for second in (moment, moment - timedelta(seconds=1)):
        query = second.strftime("%Y-%m-%dT%H:%M:%SZ")
        found.append([
            one["OPPORTUNITY_ID"] for one in await get(http, "/Opportunities/Search", updated_after_utc=query)
        ])
    assert found == [[33], [31, 33]]
    everything = await get(http, "/Opportunities/Search", updated_after_utc="2020-01-01T00:00:00+00:00")
    assert [one["OPPORTUNITY_ID"] for one in everything] == [31, 32, 33]
    for wrong in ("2026-04-09 16:58:14", "2026-04-09", "yesterday", "2026-13-09T16:58:14Z", "2026-04-09T16:58:14"):
        response = await http.get(f"{API}/Opportunities/Search", params={"updated_after_utc": wrong})
        assert (response.status, list(await response.json())) == (400, ["Message"])


async def test_any_edit_moves_a_record_into_the_news(http: aiohttp.ClientSession) -> None:
    before = (await get(http, "/Opportunities/31"))["DATE_UPDATED_UTC"]
    query = {"updated_after_utc": before.replace(" ", "T") + "Z", "brief": "true"}
    status, edited = await send(http, "PUT", "/Opportunities", {"OPPORTUNITY_ID": 31, "OPPORTUNITY_DETAILS": "neu"})
    assert (status, edited["OPPORTUNITY_NAME"], edited["OPPORTUNITY_DETAILS"]) == (200, "Relaunch", "neu")
    assert [one["OPPORTUNITY_ID"] for one in await get(http, "/Opportunities/Search", **query)] == [31, 33]
    assert len(await get(http, "/Opportunities/31/StateHistory")) == 1
    await send(http, "POST", "/Opportunities/32/Tags", {"TAG_NAME": "x"})
    assert [one["OPPORTUNITY_ID"] for one in await get(http, "/Opportunities/Search", **query)] == [31, 32, 33]


async def test_a_state_changes_in_any_case_and_is_remembered(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    for state in ("Won", "open", "WON"):
        status, _ = await send(http, "PUT", "/Opportunities/32/StateChange", {"FOR_OPPORTUNITY_STATE": state})
        assert status == 200
        shown = await get(http, "/Opportunities/32")
        assert shown["OPPORTUNITY_STATE"] == state.upper()
        assert (shown["ACTUAL_CLOSE_DATE"] is None) == (state == "open")
    history = await get(http, "/Opportunities/32/StateHistory")
    assert [one["FOR_OPPORTUNITY_STATE"] for one in history] == ["WON", "OPEN", "WON"]
    status, _ = await send(http, "PUT", "/Opportunities/32/StateChange", {"FOR_OPPORTUNITY_STATE": "Gewonnen"})
    assert status == 400
    assert [one.action for one in sandbox.effects] == ["state", "state", "state"]


async def test_if_match_must_be_fresh(http: aiohttp.ClientSession) -> None:
    async with http.get(f"{API}/Opportunities/31") as response:
        etag = response.headers["ETag"]
    body = {"OPPORTUNITY_ID": 31, "OPPORTUNITY_NAME": "A"}
    assert (await send(http, "PUT", "/Opportunities", body, **{"If-Match": etag}))[0] == 200
    status, answer = await send(http, "PUT", "/Opportunities", body, **{"If-Match": etag})
    assert status == 400
    assert "If-Match header value" in answer["Message"]
    assert (await http.get(f"{API}/Opportunities")).headers["ETag"]


async def test_tags_are_deleted_with_a_body(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    assert (await send(http, "POST", "/Contacts/101/Tags", {"TAG_NAME": "Größe"}))[0] == 201
    assert (await send(http, "POST", "/Contacts/101/Tags", {"TAG_NAME": "größe"}))[0] == 201
    assert await get(http, "/Contacts/101/Tags") == [{"TAG_NAME": "Kunde"}, {"TAG_NAME": "Größe"}]
    found = await get(http, "/Contacts/SearchByTag", tag_name="Größe")
    assert [one["CONTACT_ID"] for one in found] == [101]
    assert (await http.delete(f"{API}/Contacts/101/Tags")).status == 400
    assert await send(http, "DELETE", "/Contacts/101/Tags", {"TAG_NAME": "Größe"}) == (202, None)
    assert (await send(http, "DELETE", "/Contacts/101/Tags", {"TAG_NAME": "Größe"}))[0] == 404
    assert (await send(http, "PUT", "/Contacts/101/Tags", [{"TAG_NAME": "a"}, {"TAG_NAME": "b"}]))[0] == 200
    assert await get(http, "/Contacts/101/Tags") == [{"TAG_NAME": "a"}, {"TAG_NAME": "b"}]
    assert [(one.action, one.contact, one.detail["tag"], one.detail.get("repeated")) for one in sandbox.effects] == [
        ("tag", "anna@example.org", "Größe", False), ("tag", "anna@example.org", "Größe", True),
        ("untag", "anna@example.org", "Größe", None), ("untag", "anna@example.org", "Kunde", None),
        ("tag", "anna@example.org", "a", False), ("tag", "anna@example.org", "b", False),
    ]  # fmt: skip


async def test_a_note_is_made_through_its_parent_and_linked(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    text = "9 – <b>toll</b> 🎉 " + "x" * 10_000
    status, note = await send(http, "POST", "/Contacts/101/Notes", {"TITLE": "NPS", "BODY": text})
    assert (status, set(note)) == (201, {"NOTE_ID", "TITLE", "BODY", "DATE_CREATED_UTC", "DATE_UPDATED_UTC"})
    number = note["NOTE_ID"]
    link = {"LINK_OBJECT_NAME": "Opportunity", "LINK_OBJECT_ID": 31}
    assert (await send(http, "POST", f"/Notes/{number}/Links", link))[0] == 201
    assert (await send(http, "PUT", "/Notes", {"NOTE_ID": number, "BODY": "7"}))[0] == 200
    for path in ("/Contacts/101/Notes", "/Opportunities/31/Notes"):
        (found,) = await get(http, path)
        assert (found["NOTE_ID"], found["TITLE"], found["BODY"]) == (number, "NPS", "7")
    shown = await get(http, f"/Notes/{number}")
    assert [(one["LINK_OBJECT_NAME"], one["LINK_OBJECT_ID"]) for one in shown["LINKS"]] == [
        ("Contact", 101), ("Opportunity", 31),
    ]  # fmt: skip
    assert await get(http, "/Contacts/101/Notes", updated_after_utc="2099-01-01T00:00:00Z") == []
    assert effects(sandbox) == [
        (action, "anna@example.org", "Note", number) for action in ("note", "link_note", "update_note")
    ]
    assert next(iter(sandbox.effects)).detail["body"] == text
    assert await send(http, "DELETE", f"/Notes/{number}", {}) == (202, None)
    assert await get(http, "/Opportunities/31/Notes") == []


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [("/Contacts/101/Notes", {"BODY": "no title"}, 400), ("/Contacts/999/Notes", {"TITLE": "x"}, 404),
     ("/Opportunities/31/Links", {"LINK_OBJECT_NAME": "Contacts", "LINK_OBJECT_ID": 101}, 400),
     ("/Opportunities/31/Links", {"LINK_OBJECT_NAME": "Contact", "LINK_OBJECT_ID": 999}, 404),
     ("/Opportunities", {"OPPORTUNITY_STATE": "OPEN"}, 400), ("/Projects", {"PROJECT_NAME": "x"}, 400),
     ("/Opportunities", {"OPPORTUNITY_NAME": "x", "OPPORTUNITY_STATE": "nope"}, 400), ("/Contacts", [1], 400)],
)  # fmt: skip
async def test_what_is_refused_has_no_effect(
    http: aiohttp.ClientSession, sandbox: Sandbox, path: str, body: Any, status: int
) -> None:
    found, answer = await send(http, "POST", path, body)
    assert (found, list(answer)) == (status, ["Message"])
    assert len(sandbox.effects) == 0
    assert len(await get(http, "/Opportunities")) == 3


async def test_records_are_created_with_links_and_deleted(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    body = {
        "OPPORTUNITY_NAME": "Neu", "OPPORTUNITY_STATE": "Open", "TAGS": [{"TAG_NAME": "callexa"}],
        "LINKS": [{"LINK_OBJECT_NAME": "Contact", "LINK_OBJECT_ID": 101}],
        "CUSTOMFIELDS": [{"FIELD_NAME": "Region__c", "FIELD_VALUE": "Süd"}],
    }  # fmt: skip
    status, made = await send(http, "POST", "/Opportunities", body)
    assert (status, made["OPPORTUNITY_ID"], made["OPPORTUNITY_STATE"]) == (201, 301, "OPEN")
    found = await get(http, "/Opportunities/Search", field_name="Region__c", field_value="Süd")
    assert [one["OPPORTUNITY_ID"] for one in found] == [301]
    assert await send(http, "DELETE", "/Contacts/101", {}) == (202, None)
    assert (await get(http, "/Opportunities/301"))["LINKS"] == []
    link = (await get(http, "/Opportunities/31/Links"))[0]
    assert await send(http, "DELETE", f"/Opportunities/31/Links/{link['LINK_ID']}", {}) == (202, None)
    assert await get(http, "/Opportunities/31/Links") == []
    assert [one[0] for one in effects(sandbox)] == ["create", "delete", "unlink"]
