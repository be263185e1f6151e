"""Targets and hooks made from Airflow connections, against small servers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from airflow.sdk import Connection

from handoff.contact import Contact
from handoff.errors import Refused, WrongCredentials
from handoff.rules.steps import KlickTippTag
from hooks.accounts import VENDORS
from hooks.activecampaign import ActiveCampaignHook
from hooks.klicktipp import KlickTippHook
from tests.support.calls import a_call
from tests.support.loopback import serving

pytestmark = pytest.mark.integration


class KlickTipp:
    """A KlickTipp that knows one tag, and ends its first session after ``calls`` requests."""

    def __init__(self, calls: int = 10**6) -> None:
        self.left, self.sessions, self.valid, self.tagged = calls, 0, "", []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else {}
        if request.path == "/account/login":
            return await self._login(body)
        self.left -= 1
        if self.left == 0:
            self.valid = ""
        if not self.valid or request.headers.get("Cookie") != f"SSES={self.valid}":
            return web.json_response(["API Zugriff verweigert."], status=403)
        if request.path == "/tag":
            await asyncio.sleep(0.02)
            return web.json_response({"21": "Webinar"})
        self.tagged.append(body["email"])
        return web.json_response([True])

    async def _login(self, body: dict[str, str]) -> web.StreamResponse:
        await asyncio.sleep(0.02)
        if body["password"] != "geheim":
            return web.json_response(["Wrong username or password."], status=401)
        self.sessions += 1
        self.valid = str(self.sessions)
        user = {"uid": 1, "username": "demo"}
        reply = web.json_response({"sessid": self.valid, "session_name": "SSES", "account": user})
        reply.set_cookie("SSES", "from-the-jar")
        return reply


def a_connection(conn_type: str, host: str, **values: Any) -> Connection:
    extra = json.dumps(values.pop("extra", {}))
    return Connection(conn_id="acc", conn_type=conn_type, host=host, extra=extra, **values)


@pytest.mark.parametrize("session_calls", [10**6, 70])
async def test_128_calls_at_once_sign_in_once_per_session_and_read_the_tags_once(session_calls):
    vendor = KlickTipp(session_calls)
    async with serving(vendor) as server:
        connection = a_connection("klicktipp", server.url, login="demo", password="geheim")
        target = VENDORS["klicktipp"].from_connection("acc", connection)
        step = KlickTippTag(step="klicktipp.tag", tag="Webinar")
        calls = [a_call(step, Contact(f"p{number}@example.org")) for number in range(128)]
        proofs = await asyncio.gather(*(target.send(call) for call in calls))
        await target.close()
        await target.close()
    assert proofs == [{"tag_id": 21}] * 128
    assert sorted(vendor.tagged) == sorted(call.contact.email for call in calls)
    assert server.seen.count(("POST", "/account/login")) == (1 if session_calls > 128 else 2)
    assert server.seen.count(("GET", "/tag")) == 1


async def test_a_wrong_password_is_tried_once_for_all_who_wait():
    async with serving(KlickTipp()) as server:
        connection = a_connection("klicktipp", server.url, login="demo", password="falsch")
        target = VENDORS["klicktipp"].from_connection("acc", connection)
        call = a_call(KlickTippTag(step="klicktipp.tag", tag="Webinar"))
        results = await asyncio.gather(*(target.send(call) for _ in range(50)), return_exceptions=True)
        await target.close()
    assert {type(result) for result in results} == {WrongCredentials}
    assert server.seen == [("POST", "/account/login")]


@pytest.mark.parametrize(
    ("vendor", "values", "words"),
    [
        ("klicktipp", {"login": "demo"}, "give login and password"),
        ("klicktipp", {"login": "demo", "password": "p", "extra": {"developer_key": "0a"}}, "customer_key"),
        ("klicktipp", {"login": "d", "password": "p", "extra": {"timeout": "soon"}}, "'timeout' must be a number"),
        ("klicktipp", {"login": "d", "password": "p", "host": "ftp://x"}, "the host must be an address"),
        ("activecampaign", {}, "must be the Api-Token"),
        ("activecampaign", {"password": "p", "host": ""}, "the host must be an address"),
        ("activecampaign", {"password": "p\nq"}, "must be the Api-Token"),
    ],
)
def test_a_connection_that_cannot_be_used_says_what_to_do(vendor, values, words):
    connection = a_connection(vendor, **{"host": "https://x.example.com", **values})
    with pytest.raises(WrongCredentials, match=words):
        VENDORS[vendor].from_connection("acc", connection)


async def campaign(request: web.Request) -> web.StreamResponse:
    if request.headers.get("Api-Token") != "token":
        return web.json_response({"message": "Forbidden"}, status=403)
    if request.path == "/api/3/tags":
        return web.json_response({"tags": [{"id": "20", "tag": "Webinar"}]})
    if request.path == "/api/3/contacts":
        return web.json_response({"contacts": []})
    return web.json_response({"fields": [{"id": "1", "title": "Kurs"}]})


async def pressed(hook: KlickTippHook | ActiveCampaignHook) -> tuple[bool, str]:
    return await asyncio.to_thread(hook.test_connection)


async def test_klicktipp_test_button_has_three_outcomes(monkeypatch):
    def connect(host: str, password: str) -> None:
        connection = a_connection("klicktipp", host, login="demo", password=password)
        monkeypatch.setenv("AIRFLOW_CONN_KLICKTIPP_DEFAULT", connection.as_json())

    async with serving(KlickTipp()) as server:
        connect(server.url, "geheim")
        assert await pressed(KlickTippHook()) == (True, "KlickTipp works: signed in to demo")
        connect(server.url, "falsch")
        works, words = await pressed(KlickTippHook())
        assert (works, words[:17]) == (False, "Wrong credentials")
        assert "falsch" not in words
    works, words = await pressed(KlickTippHook())
    assert (works, words[:14]) == (False, "Cannot connect")


async def test_activecampaign_test_button_has_three_outcomes(monkeypatch):
    def connect(host: str, token: str) -> None:
        connection = a_connection("activecampaign", host, password=token, extra={"bulk_threshold": 9})
        monkeypatch.setenv("AIRFLOW_CONN_ACTIVECAMPAIGN_DEFAULT", connection.as_json())

    async with serving(campaign) as server:
        connect(server.url, "token")
        name = server.url.removeprefix("http://")
        assert await pressed(ActiveCampaignHook()) == (True, f"ActiveCampaign works: signed in to {name}")
        connect(server.url + "/api/3/", "wrong")
        works, words = await pressed(ActiveCampaignHook())
        assert (works, words[:17]) == (False, "Wrong credentials")
        assert {path for _, path in server.seen} == {"/api/3/fields"}
    works, words = await pressed(ActiveCampaignHook())
    assert (works, words[:14]) == (False, "Cannot connect")


async def test_the_test_button_never_raises(monkeypatch):
    works, words = await pressed(KlickTippHook("no_such_connection"))
    assert (works, words[:14]) == (False, "Cannot connect")
    monkeypatch.setenv("AIRFLOW_CONN_ACTIVECAMPAIGN_DEFAULT", json.dumps({"conn_type": "activecampaign"}))
    works, words = await pressed(ActiveCampaignHook())
    assert (works, "must be" in words) == (False, True)


async def test_hooks_send_neither_basic_auth_nor_extra_fields(monkeypatch):
    arrived: list[dict[str, str]] = []

    async def note(request: web.Request) -> web.StreamResponse:
        arrived.append(dict(request.headers))
        return web.json_response({})

    keys = {"developer_key": "0a1b", "customer_key": "customer", "timeout": 3}
    async with serving(note) as server:
        connection = a_connection("klicktipp", server.url, login="demo", password="", extra=keys)
        monkeypatch.setenv("AIRFLOW_CONN_KT", connection.as_json())
        assert await asyncio.to_thread(KlickTippHook("kt").tags) == {}
    (headers,) = arrived
    assert headers["X-Un"] == "demo"
    assert not {"authorization", "developer_key", "customer_key", "timeout"} & {name.lower() for name in headers}


async def test_hook_methods_make_the_calls(monkeypatch):
    async with serving(campaign) as server:
        monkeypatch.setenv("AIRFLOW_CONN_AC", a_connection("activecampaign", server.url, password="token").as_json())
        hook = ActiveCampaignHook("ac")
        assert await asyncio.to_thread(hook.tags) == {"20": "Webinar"}
        with pytest.raises(Refused, match="no contact with that address"):
            await asyncio.to_thread(hook.tag, "eva@example.org", "Webinar")
    vendor = KlickTipp()
    async with serving(vendor) as server:
        connection = a_connection("klicktipp", server.url, login="demo", password="geheim")
        monkeypatch.setenv("AIRFLOW_CONN_KT", connection.as_json())
        klicktipp = KlickTippHook("kt")
        await asyncio.to_thread(klicktipp.tag, "eva@example.org", "Webinar")
        await asyncio.to_thread(klicktipp.untag, "eva@example.org", "Webinar")
        assert server.seen[-2:] == [("POST", "/subscriber/tag"), ("POST", "/subscriber/untag")]
        assert server.seen.count(("POST", "/account/login")) == 1
