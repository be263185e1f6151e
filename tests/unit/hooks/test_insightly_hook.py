"""The Insightly connection: what it says, what the Test button answers, and hook, client and target over a socket."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from airflow.sdk import Connection

from handoff.errors import QuotaUsedUp, Transient, UnknownOutcome, WrongCredentials
from handoff.ledger.quotas import Quota
from handoff.rules.steps import InsightlyNote
from hooks.accounts import VENDORS
from hooks.insightly import InsightlyAccount, InsightlyClient, InsightlyHook
from tests.support.calls import a_call

KEY = "0a1b2c3d-4e5f"
CONN_ID = "insightly_default"
SINCE = datetime(2026, 3, 2, 14, 22, 5, tzinfo=UTC)
WON = {
    "OPPORTUNITY_ID": 31, "OPPORTUNITY_STATE": "WON", "DATE_CREATED_UTC": "2026-01-10 08:00:11",
    "DATE_UPDATED_UTC": "2026-03-02 14:22:05", "TAGS": [], "LINKS": [],
}  # fmt: skip


class Served:
    """Answers by method and path, as ``(status, body)`` or ``(status, body, headers)``; notes what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[Any, ...]] = {}
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.keys: set[str] = set()
        self.url = ""

    def connection(self, **extra: Any) -> str:
        values = {"conn_type": "insightly", "host": self.url, "password": KEY, "extra": {"timeout": 5, **extra}}
        return json.dumps(values)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    account = Served()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            what = f"{self.command} {parts.path}"
            account.asked.append((what, dict(parse_qsl(parts.query)), body))
            account.keys.add(base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode())
            status, document, *more = account.answers.get(what, (404, {"Message": "?"}))
            content = b"" if document is None else json.dumps(document).encode()
            self.send_response(status)
            for name, value in (more[0] if more else {}).items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - the server asks for these names

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    account.url = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("AIRFLOW_CONN_INSIGHTLY_DEFAULT", account.connection())
    try:
        yield account
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_hook_makes_every_call(served: Served) -> None:
    served.answers = {
        "GET /v3.1/Opportunities/Search": (200, [WON]),
        "GET /v3.1/Opportunities/SearchByTag": (200, [WON]),
        "GET /v3.1/Opportunities/31": (200, WON),
        "GET /v3.1/Opportunities/31/StateHistory": (200, []),
        "GET /v3.1/Opportunities/31/Tags": (200, [{"TAG_NAME": "für Süd"}]),
        "GET /v3.1/Opportunities/31/Links": (200, []),
        "POST /v3.1/Opportunities/31/Tags": (201, {"TAG_NAME": "für Süd"}),
        "DELETE /v3.1/Opportunities/31/Tags": (200, None),
        "GET /v3.1/Contacts/55": (200, {"CONTACT_ID": 55}),
        "GET /v3.1/Contacts/Search": (200, []),
        "GET /v3.1/Contacts/55/Notes": (200, [{"NOTE_ID": 9, "TITLE": "x"}]),
        "POST /v3.1/Contacts/55/Notes": (201, {"NOTE_ID": 10}),
    }
    hook = InsightlyHook()
    assert [record.id for record in hook.changed("opportunity", SINCE).records] == [31]
    assert [record.id for record in hook.tagged("opportunity", "für Süd").records] == [31]
    assert hook.record("opportunity", 31).state == "WON"
    assert hook.record("opportunity", 32) is None
    assert hook.state_history(31) == ()
    assert hook.tags("opportunity", 31) == ("für Süd",)
    assert hook.links("opportunity", 31) == ()
    hook.add_tag("opportunity", 31, "für Süd")
    hook.remove_tag("opportunity", 31, "für Süd")
    assert hook.contact(55).id == 55
    assert hook.contacts_by_email("eva+x@example.org") == ()
    assert [note.id for note in hook.notes_of(55)] == [9]
    assert hook.add_note(55, "Titel", "Süd 😀").id == 10
    assert served.keys == {f"{KEY}:"}
    asked = {what: (query, body) for what, query, body in served.asked}
    assert asked["GET /v3.1/Opportunities/Search"][0]["updated_after_utc"] == "2026-03-02T14:22:04Z"
    assert asked["GET /v3.1/Opportunities/SearchByTag"][0]["tag_name"] == "für Süd"
    assert asked["GET /v3.1/Contacts/Search"][0]["field_value"] == "eva+x@example.org"
    assert asked["DELETE /v3.1/Opportunities/31/Tags"][1] == {"TAG_NAME": "für Süd"}
    assert asked["POST /v3.1/Contacts/55/Notes"][1] == {"TITLE": "Titel", "BODY": "Süd 😀"}


async def test_the_client_makes_the_same_calls_and_waits_before_each(served: Served) -> None:
    served.answers = {
        "GET /v3.1/Projects/Search": (200, []),
        "GET /v3.1/Opportunities/31": (200, WON),
        "GET /v3.1/Opportunities/31/StateHistory": (200, []),
        "GET /v3.1/Contacts/55": (200, {"CONTACT_ID": 55}),
    }
    waits = 0

    async def throttle() -> None:
        nonlocal waits
        waits += 1

    connection = Connection.from_json(served.connection(), conn_id=CONN_ID)
    async with InsightlyClient.from_connection(CONN_ID, connection, throttle) as client:
        assert (await client.changed("project", SINCE)).cursor == SINCE
        assert (await client.record("opportunity", 31)).id == 31
        assert await client.state_history(31) == ()
        assert (await client.contact(55)).id == 55
    assert waits == len(served.asked) == 4


async def test_the_target_writes_a_note_and_sees_it(served: Served) -> None:
    call = a_call(InsightlyNote(step="insightly.note", title="Umfrage", body="9/10"))
    facts = {"source": "insightly", "account": CONN_ID, "contact_ref": "55", "record": "project/7"}
    call = replace(call, occasion=replace(call.occasion, facts=facts))
    served.answers = {
        "GET /v3.1/Contacts/55": (200, {"CONTACT_ID": 55}),
        "GET /v3.1/Contacts/55/Notes": (200, []),
        "POST /v3.1/Contacts/55/Notes": (201, {"NOTE_ID": 9}),
        "POST /v3.1/Notes/9/Links": (201, {"LINK_ID": 1}),
    }
    target = VENDORS["insightly"].from_connection(CONN_ID, Connection.from_json(served.connection(), conn_id=CONN_ID))
    await target.prepare(call.step)
    assert served.asked == []
    assert not target.coalesces(call)
    assert await target.seen(call) is None
    proof = await target.send(call)
    assert proof == {"contact_id": 55, "note_id": 9, "linked": True}
    link = {"LINK_OBJECT_NAME": "Project", "LINK_OBJECT_ID": 7}
    assert served.asked[-1] == ("POST /v3.1/Notes/9/Links", {}, link)
    written = next(body for what, _, body in served.asked if what == "POST /v3.1/Contacts/55/Notes")
    served.answers["GET /v3.1/Contacts/55/Notes"] = (200, [{"NOTE_ID": 9, "LINKS": [link], **written}])
    assert await target.seen(call) == proof
    served.answers["GET /v3.1/Contacts/55/Notes"] = (200, [])
    served.answers["POST /v3.1/Contacts/55/Notes"] = (502, None)
    with pytest.raises(UnknownOutcome):
        await target.send(call)
    await target.close()


def test_the_test_button_knows_its_outcomes(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served.answers["GET /v3.1/Instance"] = (200, {"INSTANCE_NAME": "Demo GmbH"})
    where = served.url.removeprefix("http://")
    assert InsightlyHook().test_connection() == (True, f"Insightly works: signed in to Demo GmbH at {where}")
    served.answers["GET /v3.1/Instance"] = (401, {"Message": "Authorization has been denied for this request."})
    good, words = InsightlyHook().test_connection()
    assert (good, words.split(":")[0]) == (False, "Wrong credentials")
    assert "key is wrong, or the pod is" in words
    assert KEY not in words
    served.answers["GET /v3.1/Instance"] = (429, {"Message": "?"}, {"X-RateLimit-Remaining": "0"})
    good, words = InsightlyHook().test_connection()
    assert not good
    assert "answers but asks to wait" in words
    assert "left today" in words
    served.url = "http://127.0.0.1:1"
    monkeypatch.setenv("AIRFLOW_CONN_INSIGHTLY_DEFAULT", served.connection())
    good, words = InsightlyHook().test_connection()
    assert (good, words.split(":")[0]) == (False, "Cannot connect")


async def test_a_day_that_is_used_up_at_insightly(served: Served) -> None:
    served.answers["GET /v3.1/Projects/Search"] = (
        429,
        None,
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Limit": "1000"},
    )
    with pytest.raises(QuotaUsedUp, match="of 1000 left today"):
        InsightlyHook().changed("project", SINCE)


def test_an_account_that_cannot_be_read_now_is_transient(served: Served) -> None:
    served.answers["GET /v3.1/Projects/Search"] = (502, None)
    with pytest.raises(Transient, match="HTTP 502"):
        InsightlyHook().changed("project", SINCE)


def settings(**values: Any) -> InsightlyAccount:
    extra = json.dumps(values.pop("extra", {}))
    return InsightlyAccount.from_connection(
        CONN_ID, Connection(conn_id=CONN_ID, conn_type="insightly", extra=extra, **values)
    )


def test_the_pod_leads_to_the_host_and_a_given_host_wins() -> None:
    assert settings(password=KEY, extra={"pod": " EU1 "}).base_url == "https://api.eu1.insightly.com/v3.1"
    for host in ("http://127.0.0.1:8080/insightly", "http://127.0.0.1:8080/insightly/v3.1/"):
        given = settings(password=KEY, host=host, extra={"pod": "eu1"})
        assert given.base_url == "http://127.0.0.1:8080/insightly/v3.1"


def test_what_else_a_connection_says() -> None:
    plain = settings(password=KEY, extra={"pod": "eu1"})
    assert (plain.timeout, plain.settling_seconds, plain.limits.rate, plain.limits.quota) == (10.0, 2.0, 10.0, None)
    extra = {"pod": "eu1", "timeout": "3", "settling_seconds": 5, "requests_per_second": 4, "requests_per_day": 1000}
    own = settings(password=KEY, extra=extra)
    assert (own.timeout, own.settling_seconds, own.limits.rate) == (3.0, 5.0, 4.0)
    assert own.limits.quota == Quota(1000, polling=0.5)
    connection = Connection(conn_id=CONN_ID, conn_type="insightly", password=KEY, extra=json.dumps(extra))
    assert VENDORS["insightly"].limits(CONN_ID, connection) == own.limits


@pytest.mark.parametrize("pod", ["", "eu1.example.com/", "eu 1", "https://api.eu1.insightly.com", "x@y"])
def test_a_connection_without_a_pod_says_where_it_is_found(pod: str) -> None:
    with pytest.raises(WrongCredentials, match=r"give the pod, e\.g\. eu1"):
        settings(password=KEY, extra={"pod": pod})


@pytest.mark.parametrize("password", ["", "schlüssel", "a\nb"])
def test_a_connection_without_a_key_says_where_to_put_it(password: str) -> None:
    with pytest.raises(WrongCredentials, match="API key into Password"):
        settings(password=password, extra={"pod": "eu1"})


def test_polls_are_as_far_apart_as_the_day_allows() -> None:
    limited = settings(password=KEY, extra={"pod": "eu1", "requests_per_day": 1000})
    assert InsightlyClient(limited).pace_seconds == 86_400 / 500
    assert InsightlyClient(settings(password=KEY, extra={"pod": "eu1"})).pace_seconds == 0.0
