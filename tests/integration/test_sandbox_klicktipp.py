from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest

from sandbox import (
    KLICKTIPP_APIKEY,
    KLICKTIPP_CUSTOMER_KEY,
    KLICKTIPP_DEVELOPER_KEY,
    KLICKTIPP_PASSWORD,
    KLICKTIPP_USERNAME,
    Sandbox,
    Scenario,
)

pytestmark = pytest.mark.integration

LOGIN = {"username": KLICKTIPP_USERNAME, "password": KLICKTIPP_PASSWORD}
WORLD = {
    "klicktipp": {
        "fields": [{"id": 7, "label": "Umsatz", "type": "decimal"}],
        "blocked_domains": ["blocked.example"],
        "contacts": [
            {"email": "max@example.de", "tags": ["Webinar verpasst"]},
            {"email": "weg@example.de", "status": "unsubscribed"},
        ],
    }
}


class Client:
    """Speaks to the stand-in the way a KlickTipp client does."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self.headers: dict[str, str] = {}

    async def login(self) -> None:
        _, answer = await self.call("POST", "/account/login", json=LOGIN)
        self.headers = {"Cookie": f"{answer['session_name']}={answer['sessid']}"}

    async def call(self, method: str, path: str, **how: Any) -> tuple[int, Any]:
        async with self._http.request(method, f"/klicktipp{path}", headers=self.headers, **how) as response:
            return response.status, await response.json() if await response.read() else None


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(Scenario.model_validate(WORLD)) as running:
        yield running


@pytest.fixture
async def visitor(sandbox: Sandbox) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession(sandbox.http_url, cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield Client(http)


@pytest.fixture
async def client(visitor: Client) -> Client:
    await visitor.login()
    return visitor


def actions(sandbox: Sandbox) -> list[tuple[str, str, object]]:
    return [(one.action, one.contact, one.detail.get("tag")) for one in sandbox.effects]


async def test_session_login_and_its_errors(visitor: Client) -> None:
    assert await visitor.call("GET", "/tag") == (403, ["API Zugriff verweigert."])
    assert await visitor.call("POST", "/account/logout") == (406, ["Benutzer nicht eingeloggt."])
    wrong = {**LOGIN, "password": "no"}
    assert await visitor.call("POST", "/account/login", json=wrong) == (401, ["Falscher Benutzername oder Passwort."])
    status, words = await visitor.call("POST", "/account/login", json={"username": 5})
    assert (status, words) == (400, ['The key "username" must be a string.'])
    await visitor.login()
    assert await visitor.call("POST", "/account/login", json=LOGIN) == (406, ["Sie sind bereits eingeloggt."])
    assert (await visitor.call("GET", "/tag"))[0] == 200
    assert await visitor.call("POST", "/account/logout") == (200, [True])
    assert (await visitor.call("GET", "/tag"))[0] == 403


def sealed(customer_key: str) -> Mapping[str, str]:
    seal = hmac.new(bytes.fromhex(KLICKTIPP_DEVELOPER_KEY), KLICKTIPP_CUSTOMER_KEY.encode(), hashlib.sha256).digest()
    return {"X-Un": KLICKTIPP_USERNAME, "X-Ci": base64.b64encode(seal + customer_key.encode()).decode()}


async def test_developer_and_customer_key_need_no_login(visitor: Client) -> None:
    visitor.headers = dict(sealed(KLICKTIPP_CUSTOMER_KEY))
    assert (await visitor.call("GET", "/tag"))[0] == 200
    visitor.headers = dict(sealed("another-customer"))
    assert (await visitor.call("GET", "/tag"))[0] == 403


async def test_upsert_returns_the_whole_contact_in_strings(client: Client, sandbox: Sandbox) -> None:
    fields = {"fieldFirstName": "Jörg 🎉", "field7": 1999}
    body = {"email": " Neu@Example.de ", "listid": 23, "tagid": 21, "fields": fields}
    status, contact = await client.call("POST", "/subscriber", json=body)
    assert status == 200
    assert (contact["email"], contact["status"], contact["listid"]) == ("neu@example.de", "Subscribed", "23")
    assert (contact["fieldFirstName"], contact["field7"]) == ("Jörg 🎉", "19.99")
    assert list(contact["manual_tags"]) == contact["tags"] == ["21"]
    assert actions(sandbox) == [("contact", "neu@example.de", None), ("tag", "neu@example.de", "Webinar besucht")]
    assert await client.call("GET", f"/subscriber/{contact['id']}.json") == (200, contact)
    again, _ = await client.call("POST", "/subscriber", json={"email": "neu@example.de"})
    assert again == 200
    created = [one.detail["created"] for one in sandbox.effects if one.action == "contact"]
    assert created == [True, False]


async def test_without_a_list_the_default_double_opt_in_sends_its_mail(client: Client, sandbox: Sandbox) -> None:
    _, contact = await client.call("POST", "/subscriber", json={"email": "neu@example.de"})
    assert (contact["status"], contact["date"], contact["listid"]) == ("Opt-In Pending", "", "3")
    assert [one.detail["opt_in_mail"] for one in sandbox.effects] == [True]
    assert await client.call("POST", "/subscriber/unsubscribe", json={"email": "neu@example.de"}) == (406, {"error": 9})


async def test_tags_are_given_and_taken_by_number(client: Client, sandbox: Sandbox) -> None:
    tagged = await client.call("POST", "/subscriber/tag", json={"email": "MAX@example.de", "tagids": [21, 23]})
    assert tagged == (200, [True])
    assert (
        await client.call("POST", "/subscriber/tag.json", data={"email": "max@example.de", "tagids[]": "21"}) == tagged
    )
    assert await client.call("POST", "/subscriber/untag", json={"email": "max@example.de", "tagid": 22}) == (
        200,
        [True],
    )
    assert [(action, tag) for action, _, tag in actions(sandbox)] == [
        ("tag", "Webinar besucht"), ("tag", "Pitch gesehen"), ("tag", "Webinar besucht"), ("untag", "Webinar verpasst"),
    ]  # fmt: skip
    assert [one.detail.get("repeated") for one in sandbox.effects] == [False, False, True, None]
    _, found = await client.call("POST", "/subscriber/search", json={"email": "max@example.de"})
    _, holders = await client.call("POST", "/subscriber/tagged", json={"tagid": 21, "status": ["subscribed"]})
    assert list(holders) == [str(found[0])]
    assert isinstance(found[0], int)


async def test_bodies_may_be_forms_and_multipart(client: Client, sandbox: Sandbox) -> None:
    form = {"email": "form@example.de", "fields[fieldFirstName]": "Käthe", "listid": "23"}
    _, contact = await client.call("POST", "/subscriber", data=form)
    assert contact["fieldFirstName"] == "Käthe"
    with aiohttp.MultipartWriter("form-data") as multipart:
        for name, value in {**form, "email": "teil@example.de"}.items():
            multipart.append(value).set_content_disposition("form-data", name=name)
    _, contact = await client.call("POST", "/subscriber", data=multipart)
    assert (contact["email"], contact["fieldFirstName"]) == ("teil@example.de", "Käthe")


@pytest.mark.parametrize(
    ("path", "body", "status", "answer"),
    [
        ("/subscriber", {"email": "nope"}, 406, {"error": 5}),
        ("/subscriber", {}, 406, {"error": 32}),
        ("/subscriber", {"email": "a@example.de", "listid": 99}, 406, {"error": 402}),
        ("/subscriber", {"email": "a@example.de", "tagid": 99}, 406, {"error": 403}),
        ("/subscriber", {"email": "a@blocked.example"}, 406, {"error": 10, "code": 30}),
        ("/subscriber", {"smsnumber": "123"}, 406, {"error": 11}),
        ("/subscriber/tag", {"email": "nobody@example.de", "tagids": [21]}, 406, {"error": 7}),
        ("/subscriber/tag", {"email": "max@example.de", "tagids": [21, 99]}, 406, {"error": 403}),
        ("/subscriber/tag", {"email": "max@example.de", "tagids": 21}, 400, ['The key "tagids" must be an array.']),
        ("/subscriber/search", {"email": "nobody@example.de"}, 404, ["Diesen Kontakt gibt es nicht."]),
        ("/subscriber/unsubscribe", {"email": "weg@example.de"}, 406, {"error": 9}),
        ("/tag", {"name": "Webinar besucht"}, 406, ["Tag konnte nicht erstellt werden."]),
        ("/subscriber/signin", {"apikey": "no", "email": "a@example.de"}, 406, {"error": 100}),
    ],
)
async def test_what_is_refused_has_no_effect(
    client: Client, sandbox: Sandbox, path: str, body: dict[str, Any], status: int, answer: Any
) -> None:
    assert await client.call("POST", path, json=body) == (status, answer)
    assert len(sandbox.effects) == 0


async def test_an_unknown_field_is_named(client: Client) -> None:
    body = {"email": "a@example.de", "fields": {"fieldNope": "x"}}
    status, answer = await client.call("POST", "/subscriber", json=body)
    assert (status, answer["error"], answer["field"]) == (406, 8, "fieldNope")


async def test_a_missing_argument_is_a_401_that_is_no_json(client: Client, sandbox: Sandbox) -> None:
    async with aiohttp.ClientSession(sandbox.http_url, headers=client.headers) as http:
        response = await http.post("/klicktipp/subscriber/tag", json={"tagids": [21]})
        assert (response.status, await response.text()) == (401, "[Missing required argument email]")


async def test_catalogue(client: Client, sandbox: Sandbox) -> None:
    assert (await client.call("GET", "/tag.json"))[1]["21"] == "Webinar besucht"
    assert await client.call("POST", "/tag", json={"name": "Neu", "text": "t"}) == (200, [25])
    assert await client.call("GET", "/tag/25") == (200, {"tagid": "25", "name": "Neu", "text": "t"})
    assert await client.call("PUT", "/tag/25", json={"name": "Alt"}) == (200, [True])
    assert await client.call("DELETE", "/tag/25") == (200, [True])
    assert await client.call("GET", "/tag/25") == (404, ["Kein Tag mit dieser ID."])
    assert (await client.call("GET", "/field"))[1]["field7"] == "Umsatz"
    assert await client.call("GET", "/field/7") == (200, {"id": "7", "name": "Umsatz"})
    assert (await client.call("GET", "/list"))[1]["3"] == ""
    assert (await client.call("GET", "/list/23"))[1]["usesingleoptin"] is True
    assert (await client.call("GET", "/list/99"))[0] == 404
    redirect = await client.call("POST", "/list/redirect", json={"listid": 23, "email": "max@example.de"})
    assert redirect[1][0].startswith("https://")
    assert [one.action for one in sandbox.effects] == ["create_tag", "update_tag", "delete_tag"]


async def test_contacts_are_listed_changed_and_deleted(client: Client, sandbox: Sandbox) -> None:
    _, everybody = await client.call("GET", "/subscriber")
    _, subscribed = await client.call("GET", "/subscriber", params={"status": "subscribed,pending"})
    assert (len(everybody["subscribers"]), len(subscribed["subscribers"])) == (2, 1)
    path = f"/subscriber/{subscribed['subscribers'][0]}"
    assert await client.call("PUT", path, json={"newemail": "weg@example.de"}) == (406, {"error": 10, "code": 5})
    assert await client.call("PUT", path, json={"newemail": "moritz@example.de"}) == (200, [True])
    assert (await client.call("GET", path))[1]["email"] == "moritz@example.de"
    assert await client.call("DELETE", path) == (200, [True])
    assert await client.call("GET", path) == (404, None)
    assert [one.action for one in sandbox.effects] == ["contact", "delete_contact"]


async def test_a_listbuilding_key_needs_no_login(visitor: Client, sandbox: Sandbox) -> None:
    who = {"apikey": KLICKTIPP_APIKEY, "email": "neu@example.de"}
    assert (await visitor.call("POST", "/subscriber/signin", json=who))[0] == 200
    assert await visitor.call("POST", "/subscriber/signout", json=who) == (200, [True])
    assert await visitor.call("POST", "/subscriber/signoff", json=who) == (200, [True])
    assert [one.action for one in sandbox.effects] == ["contact", "tag", "untag", "unsubscribe"]
