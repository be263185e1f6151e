"""The Webinaris connection: what it says, what the Test button answers, and both clients over a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from airflow.sdk import Connection

from handoff.errors import Transient, WrongCredentials
from hooks.protocols.webinaris import Participant
from hooks.webinaris import SHOWTIMES_HOST, WebinarisClient, WebinarisHook
from hooks.webinaris import WebinarisAccount as Settings
from tests.support.webinaris_account import CONN_ID, KEY, WebinarisAccount, date, serving

EVA = Participant("7167W1", "eva@example.org", datetime(2026, 3, 24, 18, tzinfo=UTC))
PAGE = {"read_at": 2.0, "presence_until": 1.0, "participants": [], "next": None}


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebinarisAccount]:
    with serving() as served:
        monkeypatch.setenv("AIRFLOW_CONN_WEBINARIS_DEFAULT", served.connection())
        yield served


def test_the_hook_reads_dates_and_rosters(account: WebinarisAccount) -> None:
    account.dates(date())
    account.answer("/api/assumed/participants", (200, PAGE))
    hook = WebinarisHook()
    assert [occasion.key for occasion in hook.dates(updated_since=1.5).occasions] == ["d1"]
    assert hook.roster("d1").roster.registrations == ()
    assert account.queries("/api/assumed/dates") == [{"apikey": KEY, "updated_since": "1.500000"}]
    assert account.queries("/api/assumed/participants") == [{"apikey": KEY, "date_id": "d1", "limit": "1000"}]


async def test_the_client_makes_the_same_reads(account: WebinarisAccount) -> None:
    account.dates(date())
    account.answer("/api/assumed/participants", (200, PAGE))
    waits = 0

    async def throttle() -> None:
        nonlocal waits
        waits += 1

    connection = Connection.from_json(account.connection(), conn_id=CONN_ID)
    async with WebinarisClient.from_connection(CONN_ID, connection, throttle) as client:
        assert [occasion.key for occasion in (await client.dates()).occasions] == ["d1"]
        await client.roster("d1")
    assert waits == 2
    assert [(method, path) for method, path, _, _ in account.asked] == [
        ("GET", "/api/assumed/dates"), ("GET", "/api/assumed/participants"),
    ]  # fmt: skip


def test_the_hook_registers(account: WebinarisAccount) -> None:
    account.answer("/api/register", (200, {"status": "ok"}))
    account.answer("/api/", (200, "OK"))
    account.answer("/api/showtimes", (200, "11:00 19:00"))
    hook = WebinarisHook()
    hook.register(EVA)
    hook.register_legacy(EVA, "w" * 32)
    assert hook.showtimes("7167W1", "w" * 32) == ["11:00", "19:00"]
    assert account.asked[0][3]["email"] == "eva@example.org"
    assert account.queries("/api/")[0]["time"] == "24.03.2026 19:00"


def test_the_test_button_knows_three_outcomes(account: WebinarisAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    account.dates()
    works = WebinarisHook().test_connection()
    assert works == (True, f"Webinaris works: signed in to {account.url}")
    account.answer("/api/assumed/dates", (403, "wrong key"))
    good, words = WebinarisHook().test_connection()
    assert (good, words.split(":")[0]) == (False, "Wrong credentials")
    assert KEY not in words
    account.url = "http://127.0.0.1:1"
    monkeypatch.setenv("AIRFLOW_CONN_WEBINARIS_DEFAULT", account.connection())
    good, words = WebinarisHook().test_connection()
    assert (good, words.split(":")[0]) == (False, "Cannot connect")
    assert {method for method, *_ in account.asked} == {"GET"}


def test_a_missing_connection_is_an_answer_too() -> None:
    good, words = WebinarisHook("webinaris_nowhere").test_connection()
    assert not good
    assert words.startswith("Cannot connect")


def settings(**values: object) -> Settings:
    return Settings.from_connection(CONN_ID, Connection(conn_id=CONN_ID, conn_type="webinaris", **values))


def test_what_a_connection_says() -> None:
    plain = settings(password=KEY)
    assert (plain.base_url, plain.showtimes_host, plain.timeout) == ("https://webinaris.co", SHOWTIMES_HOST, 10.0)
    own = settings(
        password=KEY, host="http://127.0.0.1:8080",
        extra=json.dumps({"assumed_prefix": "my/api/", "timezone": "Europe/Vienna", "timeout": "3"}),
    )  # fmt: skip
    assert (own.base_url, own.showtimes_host, own.timeout) == ("http://127.0.0.1:8080", "http://127.0.0.1:8080", 3.0)
    assert (own.assumed.prefix, own.assumed.zone) == ("/my/api", "Europe/Vienna")


def test_a_connection_without_a_key_says_where_to_put_it() -> None:
    with pytest.raises(WrongCredentials, match="Password"):
        settings()


async def test_a_slow_account_is_transient(account: WebinarisAccount) -> None:
    account.answer("/api/assumed/dates", (502, "bad gateway"))
    connection = Connection.from_json(account.connection(), conn_id=CONN_ID)
    async with WebinarisClient.from_connection(CONN_ID, connection) as client:
        with pytest.raises(Transient, match="HTTP 502"):
            await client.dates()
