from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from sandbox import ACTIVECAMPAIGN_TOKEN, Sandbox, Scenario

pytestmark = pytest.mark.integration

WORLD = {
    "activecampaign": {
        "per_second": None,
        "bulk_import_seconds": 0.02,
        "contacts": [
            {"email": "da@example.org", "firstname": "Da", "lists": {"Newsletter": 1}, "tags": ["Webinar besucht"]},
            {"email": "weg@example.org", "lists": {"Newsletter": 2}},
        ],
    }
}


class Client:
    """Speaks to the stand-in the way an ActiveCampaign client does."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    async def call(self, method: str, path: str, json: object = None, **query: str) -> tuple[int, Any]:
        url = f"/activecampaign/api/3{path}"
        async with self._http.request(method, url, json=json, params=query) as response:
            return response.status, await response.json()

    async def completed(self, batch: str) -> dict[str, Any]:
        async with asyncio.timeout(5):
            while (found := (await self.call("GET", "/import/info", batchId=batch))[1])["status"] != "completed":
                await asyncio.sleep(0.01)
        return found


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(Scenario.model_validate(WORLD)) as running:
        yield running


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession(sandbox.http_url, headers={"Api-Token": ACTIVECAMPAIGN_TOKEN}) as http:
        yield Client(http)


def actions(sandbox: Sandbox) -> list[tuple[str, str]]:
    return [(one.action, one.contact) for one in sandbox.effects]


@pytest.mark.parametrize("headers", [{}, {"Api-Token": "wrong"}])
async def test_a_bad_token_is_forbidden(sandbox: Sandbox, headers: dict[str, str]) -> None:
    async with aiohttp.ClientSession(sandbox.http_url, headers=headers) as http:
        response = await http.get("/activecampaign/api/3/tags")
        assert (response.status, await response.json()) == (403, {"message": "Forbidden"})


async def test_sync_creates_then_updates(client: Client, sandbox: Sandbox) -> None:
    contact = {"email": "Eva@Example.org", "firstName": "Eva 🎉", "fieldValues": [{"field": "1", "value": "Kurs Ä"}]}
    status, answer = await client.call("POST", "/contact/sync", {"contact": contact})
    assert (status, answer["contact"]["email"], answer["contact"]["id"]) == (201, "eva@example.org", "12")
    assert answer["fieldValues"][0]["value"] == "Kurs Ä"
    status, again = await client.call("POST", "/contact/sync", {"contact": {"email": "eva@example.org"}})
    assert (status, again["contact"]["id"], again["contact"]["firstName"]) == (200, "12", "Eva 🎉")
    assert actions(sandbox) == [("contact", "eva@example.org")] * 2
    assert [one.detail["created"] for one in sandbox.effects] == [True, False]


async def test_a_duplicate_is_refused(client: Client, sandbox: Sandbox) -> None:
    status, answer = await client.call("POST", "/contacts", {"contact": {"email": "da@example.org"}})
    assert (status, answer["errors"][0]["code"]) == (422, "duplicate")
    assert (await client.call("POST", "/contacts", {"contact": {"email": "nope"}}))[0] == 422
    assert (await client.call("POST", "/contacts", {}))[0] == 422
    assert len(sandbox.effects) == 0


async def test_contacts_are_read_changed_and_deleted(client: Client, sandbox: Sandbox) -> None:
    assert (await client.call("GET", "/contacts/10"))[1]["contact"]["email"] == "da@example.org"
    status, _ = await client.call("PUT", "/contacts/10", {"contact": {"firstName": "Dora"}})
    assert (status, sandbox.world.activecampaign.contacts[10].first_name) == (200, "Dora")
    assert await client.call("DELETE", "/contacts/10") == (200, {})
    gone = await client.call("GET", "/contacts/10")
    assert gone == (404, {"message": "No Result found for Subscriber with id 10"})
    assert actions(sandbox) == [("contact", "da@example.org"), ("delete_contact", "da@example.org")]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"email": "DA@example.org"}, ["10"]),
        ({"email": "nobody@example.org"}, []),
        ({"tagid": "1"}, ["10"]),
        ({"listid": "1", "status": "2"}, ["11"]),
        ({"listid": "2"}, []),
        ({"id_greater": "10", "orders[id]": "ASC"}, ["11"]),
        ({"orders[id]": "DESC"}, ["11", "10"]),
        ({"search": "weg"}, ["11"]),
        ({"ids[]": "11"}, ["11"]),
        ({"unknown": "x"}, ["10", "11"]),
        ({"filters[created_after]": "2999-01-01"}, []),
    ],
)
async def test_contacts_are_filtered(client: Client, query: dict[str, str], found: list[str]) -> None:
    _, answer = await client.call("GET", "/contacts", **query)
    assert [one["id"] for one in answer["contacts"]] == found
    assert answer["meta"]["total"] == str(len(found))


async def test_pages_hold_at_most_100(client: Client, sandbox: Sandbox) -> None:
    for number in range(118):
        sandbox.world.activecampaign.put_contact(f"c{number}@example.org")
    sizes = [len((await client.call("GET", "/contacts", limit=size))[1]["contacts"]) for size in ("5", "100", "999")]
    assert sizes == [5, 100, 100]
    assert len((await client.call("GET", "/contacts"))[1]["contacts"]) == 20
    _, last = await client.call("GET", "/contacts", limit="100", offset="100")
    assert (len(last["contacts"]), last["meta"]["total"]) == (20, "120")


async def test_a_tag_is_removed_by_its_association(client: Client, sandbox: Sandbox) -> None:
    tag = {"contactTag": {"contact": 11, "tag": "2"}}
    status, answer = await client.call("POST", "/contactTags", tag)
    link = answer["contactTag"]
    assert (status, link["contact"], link["tag"]) == (201, "11", "2")
    status, again = await client.call("POST", "/contactTags", tag)
    assert (status, again["contactTag"]["id"]) == (200, link["id"])
    assert (await client.call("GET", "/contacts/11/contactTags"))[1]["contactTags"] == [link]
    assert await client.call("DELETE", f"/contactTags/{link['id']}") == (200, {})
    assert (await client.call("DELETE", f"/contactTags/{link['id']}"))[0] == 404
    assert [one.action for one in sandbox.effects] == ["tag", "tag", "untag"]
    status, missing = await client.call("POST", "/contactTags", {"contactTag": {"contact": "99", "tag": "2"}})
    assert (status, missing["errors"][0]["detail"]) == (404, "Contact not found")
    assert (await client.call("POST", "/contactTags", {"contactTag": {"contact": "11"}}))[0] == 422


async def test_tags_are_found_and_created(client: Client) -> None:
    _, part = await client.call("GET", "/tags", search="pitch")
    assert [one["tag"] for one in part["tags"]] == ["Pitch gesehen", "Pitch nicht gesehen"]
    _, exact = await client.call("GET", "/tags", **{"filters[search][eq]": "Pitch gesehen"})
    assert [one["id"] for one in exact["tags"]] == ["3"]
    status, made = await client.call("POST", "/tags", {"tag": {"tag": "Neu", "tagType": "contact", "description": ""}})
    assert (status, made["tag"]["id"]) == (201, "5")
    assert (await client.call("POST", "/tags", {"tag": {"tag": "Neu"}}))[0] == 422


async def test_subscribing_again_succeeds_and_is_seen_in_the_effects(client: Client, sandbox: Sandbox) -> None:
    place = {"contactList": {"list": "1", "contact": "11", "status": 1}}
    assert (await client.call("GET", "/contacts/11/contactLists"))[1]["contactLists"][0]["status"] == "2"
    status, answer = await client.call("POST", "/contactLists", place)
    assert (status, answer["contactList"]["status"]) == (200, "1")
    assert [one.detail["resubscribed"] for one in sandbox.effects] == [True]
    assert (await client.call("POST", "/contactLists", {"contactList": {**place["contactList"], "list": 9}}))[0] == 404


async def test_fields_values_lists_and_notes(client: Client, sandbox: Sandbox) -> None:
    assert (await client.call("GET", "/fields"))[1]["fields"][0]["title"] == "Letztes Webinar"
    assert [one["name"] for one in (await client.call("GET", "/lists"))[1]["lists"]] == [
        "Newsletter",
        "Webinar-Teilnehmer",
    ]
    value = {"fieldValue": {"contact": "10", "field": "1", "value": "Onlinekurs"}, "useDefaults": False}
    assert (await client.call("POST", "/fieldValues", value))[1]["fieldValue"]["value"] == "Onlinekurs"
    note = {"note": {"note": "Pitch gesehen", "relid": 10, "reltype": "Subscriber"}}
    assert (await client.call("POST", "/notes", note))[0] == 201
    assert (await client.call("POST", "/notes", {"note": {**note["note"], "reltype": "Cat"}}))[0] == 422
    assert [one.action for one in sandbox.effects] == ["field", "note"]


async def test_bulk_import_works_later_by_tag_name_and_brings_nobody_back(client: Client, sandbox: Sandbox) -> None:
    people = [{"email": address, "tags": ["Webinar besucht", "Ganz neu"], "subscribe": [{"listid": 1}]}
              for address in ("neu@example.org", "weg@example.org", "bad@x")]  # fmt: skip
    status, answer = await client.call("POST", "/import/bulk_import", {"contacts": people})
    assert (status, answer["Success"], answer["queued_contacts"]) == (200, 1, 3)
    assert actions(sandbox) == [("bulk_import", "")]
    found = await client.completed(answer["batchId"])
    assert (len(found["success"]), found["failure"]) == (2, ["bad@x"])
    assert actions(sandbox)[1:] == [
        ("contact", "neu@example.org"), ("tag", "neu@example.org"), ("tag", "neu@example.org"),
        ("list", "neu@example.org"),
        ("contact", "weg@example.org"), ("tag", "weg@example.org"), ("tag", "weg@example.org"),
    ]  # fmt: skip
    assert sandbox.world.activecampaign.by_email["weg@example.org"].lists[1].status == 2
    overview = (await client.call("GET", "/import/bulk_import"))[1]
    assert [one["batchId"] for one in overview["recentlyCompleted"]] == [answer["batchId"]]


@pytest.mark.parametrize(
    "contacts",
    [[], [{"email": f"c{n}@example.org"} for n in range(251)], [{"email": "a@example.org"}, {"first_name": "Eva"}],
     [{"email": "a@example.org", "subscribe": [{"listid": 77}]}],
     [{"email": "a@example.org", "tags": "Webinar besucht"}], [{"email": "a@example.org", "fields": {"id": 1}}]],
)  # fmt: skip
async def test_an_import_that_is_wrong_in_form_is_refused_whole(
    client: Client, sandbox: Sandbox, contacts: list[object]
) -> None:
    status, answer = await client.call("POST", "/import/bulk_import", {"contacts": contacts})
    assert (status, answer["success"]) == (400, 0)
    assert isinstance(answer["failureReasons"], list)
    assert len(sandbox.effects) == 0


async def test_five_requests_a_second() -> None:
    headers = {"Api-Token": ACTIVECAMPAIGN_TOKEN}
    async with Sandbox(Scenario()) as sandbox, aiohttp.ClientSession(sandbox.http_url, headers=headers) as http:
        answers = [await http.get("/activecampaign/api/3/tags") for _ in range(7)]
        assert [one.status for one in answers] == [200] * 5 + [429] * 2
        assert [one.headers["RateLimit-Remaining"] for one in answers] == ["4", "3", "2", "1", "0", "0", "0"]
        assert (answers[5].headers["Retry-After"], answers[5].headers["RateLimit-Limit"]) == ("1", "5")
        await asyncio.sleep(1.01)
        assert (await http.get("/activecampaign/api/3/tags")).status == 200
        calls = await (await http.get("/_sandbox/calls")).json()
        assert calls["activecampaign"]["paths"] == {"GET /tags": {"200": 6, "429": 2}}
        assert calls["activecampaign"]["max_per_second"] == 7
