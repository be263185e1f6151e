"""The Callexa connection: what it says, what the Test button answers; hook, client and target over a real socket."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from airflow.sdk import Connection

from handoff.errors import Refused, UnknownOutcome, WrongCredentials
from handoff.ledger.quotas import POLLING_SHARE, Limits, Quota
from handoff.rules.steps import CallexaRecipient
from handoff.target import Promise
from hooks.accounts import VENDORS
from hooks.callexa import CallexaClient, CallexaHook, account_of, protocol_of
from hooks.protocols.callexa_assumed import Surface
from hooks.provider_info import CALLEXA
from tests.support.calls import EVA, a_call
from tests.support.loopback import serving

LOGIN, KEY = "owner@example.com", "0a1b2c3d"
SIGNED = f"Basic {base64.b64encode(b'owner@example.com:0a1b2c3d').decode()}"
CALL = a_call(CallexaRecipient(step="callexa.recipient", survey="Projekt"))
RECIPIENTS, ANSWERS = "/api/v2/surveys/s1/recipients", "/api/v2/surveys/s1/answers"
ANSWER = {
    "id": "a1", "email": EVA.email, "NPS_rating": 9, "NPS_comment": "<b>gut</b> 🎉", "NPS_date": "2026-11-19",
    "external_id": "k1",
}  # fmt: skip


class Account:
    """A Callexa account with one survey; ``drops`` answers to new recipients are lost after they were kept."""

    def __init__(self) -> None:
        self.url, self.drops = "", 0
        self.queue: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str, dict[str, str]]] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path, dict(request.query)))
        if request.headers["Authorization"] != SIGNED:
            return web.json_response({"error": {"message": "unauthorised"}}, status=401)
        if request.path == "/api/v2/surveys":
            return web.json_response({"surveys": [{"id": "s1", "name": "Projekt"}]})
        if request.path == ANSWERS:
            return web.json_response({"answers": [ANSWER, {"id": "a2", "NPS_rating": 11}], "next_page": None})
        if request.path == RECIPIENTS and request.method == "GET":
            return web.json_response({
                "recipients": [one for one in self.queue if one["email"] == request.query["email"]]
            })
        return await self.put(request)

    async def put(self, request: web.Request) -> web.StreamResponse:
        recipient = {"id": f"r{len(self.queue)}", "state": "queued"}
        self.queue.append({"queued_at": datetime.now(UTC).isoformat(), **recipient, **await request.json()})
        if self.drops:
            self.drops -= 1
            request.transport.close()
        return web.json_response(recipient, status=201)

    def connection(self, **extra: Any) -> Connection:
        return a_connection(host=self.url, login=LOGIN, password=KEY, extra=json.dumps({"timeout": 5, **extra}))


def a_connection(**values: Any) -> Connection:
    return Connection(conn_id="callexa_default", conn_type="callexa", **values)


@pytest.fixture
async def account(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Account]:
    vendor = Account()
    async with serving(vendor) as server:
        vendor.url = server.url
        monkeypatch.setenv("AIRFLOW_CONN_CALLEXA_DEFAULT", vendor.connection().as_json())
        yield vendor


async def test_the_hook_makes_every_call(account: Account) -> None:
    hook = CallexaHook()
    assert await asyncio.to_thread(hook.surveys) == {"s1": "Projekt"}
    queued = await asyncio.to_thread(hook.add_recipient, "Projekt", EVA.email, "Eva", delay_days=2)
    assert (queued.id, queued.state) == ("r0", "queued")
    listed = await asyncio.to_thread(hook.answers, "s1")
    assert [one.rating for one in listed.answers] == [9]
    assert {"email": EVA.email, "name": "Eva", "delay_days": 2}.items() <= account.queue[0].items()


async def test_the_client_reads_answers_and_waits_for_its_throttle(account: Account) -> None:
    waits = 0

    async def throttle() -> None:
        nonlocal waits
        waits += 1

    since = datetime(2026, 11, 1, tzinfo=UTC)
    async with CallexaClient.from_connection("cx", account.connection(), throttle) as client:
        listed = await client.answers("Projekt", since)
        await client.answers("s1")
        with pytest.raises(Refused, match="no survey called 'Nichts'"):
            await client.answers("Nichts")
        await client.close()
    assert waits == len(account.asked) == 4
    (one,) = listed.answers
    assert (one.email, one.comment, one.external_id) == (EVA.email, "<b>gut</b> 🎉", "k1")
    assert listed.cursor == one.answered_at == datetime(2026, 11, 18, 23, tzinfo=UTC)
    assert len(listed.problems) == 1
    assert [query for _, path, query in account.asked if path == ANSWERS] == [
        {"updated_after": "2026-10-31T23:00:00Z", "page": "1"}, {"page": "1"},
    ]  # fmt: skip


async def test_the_polls_of_an_account_with_a_daily_limit_are_spread(account: Account) -> None:
    free = CallexaClient.from_connection("cx", account.connection())
    limited = CallexaClient.from_connection("cx", account.connection(requests_per_day=1000))
    assert (free.pace_seconds, limited.pace_seconds) == (0.0, 432.0)
    await free.close()
    await limited.close()


async def test_the_target_queues_once_also_when_the_answer_is_lost(account: Account) -> None:
    account.drops = 1
    target = VENDORS["callexa"].from_connection("cx", account.connection(settling_seconds=0.5))
    for _ in range(2):
        await target.prepare(CALL.step)
    assert [path for _, path, _ in account.asked] == ["/api/v2/surveys"]
    assert await target.seen(CALL) is None
    with pytest.raises(UnknownOutcome):
        await target.send(CALL)
    proof = await target.seen(CALL)
    assert await target.send(CALL) == proof
    await target.close()
    await target.close()
    assert (target.promise, target.settling_seconds) == (Promise.SETTLED_BY_READING, 0.5)
    assert not target.coalesces(CALL)
    (kept,) = account.queue
    assert kept["external_id"] == CALL.key[:32]
    assert proof == {"survey_id": "s1", "recipient_id": "r0", "state": "queued", "queued_at": kept["queued_at"]}


async def test_the_same_person_is_not_asked_by_another_effect_within_the_distance(account: Account) -> None:
    queued_at = (datetime.now(UTC) - timedelta(weeks=25)).isoformat()
    account.queue.append({"id": "r0", "email": EVA.email, "external_id": "o", "state": "sent", "queued_at": queued_at})
    target = VENDORS["callexa"].from_connection("cx", account.connection())
    proof = await target.send(CALL)
    await target.close()
    assert (proof["state"], proof["reason"]) == ("skipped", "asked_recently")
    assert len(account.queue) == 1


async def test_the_test_button_knows_its_outcomes(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    async def outcome(connection: Connection) -> tuple[bool, str]:
        monkeypatch.setenv("AIRFLOW_CONN_CALLEXA_DEFAULT", connection.as_json())
        return await asyncio.to_thread(CallexaHook().test_connection)

    host = account.url.removeprefix("http://")
    assert await outcome(account.connection()) == (True, f"Callexa works: signed in to {host}")
    wrong = await outcome(a_connection(host=account.url, login=LOGIN, password="wrong-key"))
    nowhere = await outcome(a_connection(host="http://127.0.0.1:1", login=LOGIN, password=KEY))
    nothing = await outcome(a_connection(host=account.url))
    assert [good for good, _ in (wrong, nowhere, nothing)] == [False] * 3
    starts = [words.split(":")[0] for _, words in (wrong, nowhere, nothing)]
    assert starts == ["Wrong credentials", "Cannot connect", "Wrong credentials"]
    assert "Login" in nothing[1]
    assert not any(secret in words for _, words in (wrong, nowhere, nothing) for secret in (LOGIN, KEY, "wrong-key"))
    assert {method for method, *_ in account.asked} == {"GET"}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"login": LOGIN}, "API key"),
        ({"password": KEY}, "Login"),
        ({"login": "a:b", "password": KEY}, "Login"),
        ({"login": LOGIN, "password": KEY, "extra": '{"timezone": "Mars/Olympus"}'}, "timezone"),
        ({"login": LOGIN, "password": KEY, "extra": '{"path_answers": "/answers"}'}, "path_answers"),
        ({"login": LOGIN, "password": KEY, "extra": '{"field_name": "email"}'}, "the same"),
    ],
)
def test_connections_that_cannot_be_used(values: dict[str, str], words: str) -> None:
    with pytest.raises(WrongCredentials, match=words):
        protocol_of(account_of("cx", a_connection(**values)))


def test_what_a_connection_says() -> None:
    plain = a_connection(login=LOGIN, password=KEY)
    assert account_of("cx", plain).base_url == "https://www.callexa.com"
    assert protocol_of(account_of("cx", plain)).surface == Surface()
    assert VENDORS["callexa"].limits("cx", plain) == Limits(5.0, None)
    extra = {"requests_per_second": 2, "requests_per_day": 1000, "field_rating": "score", "path_surveys": "/polls"}
    own = a_connection(login=LOGIN, password=KEY, extra=json.dumps(extra))
    assert protocol_of(account_of("cx", own)).surface == Surface(field_rating="score", path_surveys="/polls")
    assert VENDORS["callexa"].limits("cx", own) == Limits(2.0, Quota(1000, polling=POLLING_SHARE))


@pytest.mark.parametrize("name", Surface.__slots__)
def test_the_form_shows_the_defaults(name: str) -> None:
    assert CALLEXA["conn-fields"][name]["schema"]["default"] == getattr(Surface(), name)
