"""eTermin over real HTTP: the hook's calls, what a connection says, and the Test button."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from airflow.sdk import Connection

from handoff.errors import Transient, WrongCredentials
from handoff.ledger.quotas import Quota
from hooks.etermin import ETerminAccount as Settings
from hooks.etermin import ETerminClient, ETerminHook, account_of
from hooks.protocols.etermin import signature_of
from tests.support.etermin_account import CONN_ID, NOW, PRIVATE, PUBLIC, ETerminAccount, gone, row, serving

DAY, NEXT = date(2026, 5, 10), date(2026, 5, 12)
START = datetime(2026, 5, 11, 8, tzinfo=UTC)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[ETerminAccount]:
    with serving() as served:
        monkeypatch.setenv("AIRFLOW_CONN_ETERMIN_DEFAULT", served.values())
        yield served


def test_the_hook_makes_every_call_signed(account: ETerminAccount) -> None:
    account.answer("/appointment", (200, [row()]), (200, [row()]), (200, [{"ID": 9, "Status": "0", "StatusMsg": ""}]))
    account.feed(row())
    account.answer("/appointmentdeleted", (200, [gone()]))
    account.answer("/calendar", (200, [{"CalendarID": 90709, "CalendarName": "Beratung"}]))
    account.answer("/service", (200, []))
    account.answer("/contact", (200, [{"CID": 1, "Email": "eva+x@example.test", "Newsletter": "1"}]))
    hook = ETerminHook()
    assert hook.appointment("uid-1").customer.email == "eva@example.test"
    assert [one.id for one in hook.between(DAY, NEXT).appointments] == ["uid-1"]
    assert (hook.sync("5").token, abs((hook.sync("5").read_at - NOW).total_seconds()) <= 1) == ("7", True)
    assert [one.appointment.id for one in hook.deleted(DAY, NEXT).deletions] == ["uid-1"]
    assert hook.calendars()[0].name == "Beratung"
    assert hook.services() == ()
    assert hook.contacts("eva+x@example.test")[0].newsletter is True
    assert hook.book(START, START, "90709", email="eva+x@example.test", lastname="Öz & Co") == "9"
    hook.change("uid-1", manualconfirmed="1")
    hook.delete("uid-1")
    for _, _, _, headers in account.asked:
        assert headers["signature"] == signature_of(PRIVATE, headers["salt"])
        assert headers["publickey"] == PUBLIC
        assert PRIVATE not in str(headers)
    assert len({headers["salt"] for *_, headers in account.asked}) == len(account.asked) == 11
    booked = next(query for method, _, query, _ in account.asked if method == "POST")
    assert booked == {
        "start": "2026-05-11 10:00", "end": "2026-05-11 10:00", "calendarid": "90709",
        "email": "eva+x@example.test", "lastname": "Öz & Co",
    }  # fmt: skip


async def test_the_client_makes_the_same_calls_and_waits_before_each(account: ETerminAccount) -> None:
    account.feed(row())
    account.answer("/appointment", (200, [row()]))
    account.answer("/contact", (200, []))
    waits = 0

    async def throttle() -> None:
        nonlocal waits
        waits += 1

    async with ETerminClient.from_connection(CONN_ID, account.connection(), throttle) as client:
        assert (await client.sync()).full
        assert (await client.deleted(DAY, NEXT)).deletions == ()
        assert len((await client.between(DAY, NEXT)).appointments) == 1
        found, read_at = await client.appointment("uid-1")
        assert await client.contacts("eva@example.test") == ()
    assert (found.id, abs((read_at - NOW).total_seconds()) <= 1) == ("uid-1", True)
    assert waits == len(account.asked) == 5


def test_the_test_button_knows_its_outcomes(account: ETerminAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    account.answer("/calendar", (200, [{"ID": 1, "Name": "A"}]))
    where = account.url.removeprefix("http://")
    assert ETerminHook().test_connection() == (True, f"eTermin works: signed in to {where} (1 calendars)")
    account.answer("/calendar", (401, {"Message": "no"}))
    good, words = ETerminHook().test_connection()
    assert (good, words.split(":")[0]) == (False, "Wrong credentials")
    assert PRIVATE not in words
    account.answer("/calendar", (200, {"Status": "5", "StatusMsg": "not now"}))
    assert ETerminHook().test_connection()[1].startswith("eTermin refused: ")
    account.url = "http://127.0.0.1:1"
    monkeypatch.setenv("AIRFLOW_CONN_ETERMIN_DEFAULT", account.values())
    assert ETerminHook().test_connection()[1].startswith("Cannot connect: ")


def test_an_account_that_cannot_be_read_now_is_transient(account: ETerminAccount) -> None:
    account.answer("/appointmentsync", (502, None))
    with pytest.raises(Transient, match="HTTP 502"):
        ETerminHook().sync()


def a_connection(**values: Any) -> Connection:
    extra = json.dumps(values.pop("extra", {}))
    return Connection(conn_id=CONN_ID, conn_type="etermin", extra=extra, **values)


def settings(**values: Any) -> Settings:
    return Settings.from_connection(CONN_ID, a_connection(**{"login": PUBLIC, "password": PRIVATE, **values}))


def test_what_a_connection_says() -> None:
    plain = settings()
    assert (plain.base_url, plain.zone, plain.timeout) == ("https://www.etermin.net/api", "Europe/Berlin", 10.0)
    assert (plain.limits.rate, plain.limits.quota) == (5.0, None)
    extra = {"timezone": "W. Europe Standard Time", "timeout": 3, "requests_per_second": 2, "requests_per_day": 1000}
    own = settings(host="http://127.0.0.1:8080/etermin/api/", extra=extra)
    assert (own.base_url, own.zone, own.timeout) == ("http://127.0.0.1:8080/etermin/api", "Europe/Berlin", 3.0)
    assert (own.limits.rate, own.limits.quota) == (2.0, Quota(1000, polling=0.9))
    assert ETerminClient(own).pace_seconds == 86_400 / 900
    assert ETerminClient(plain).pace_seconds == 0.0


@pytest.mark.parametrize(("extra", "minutes"), [({}, 5.0), ({"poll_minutes": 2}, 2.0), ({"poll_minutes": ""}, 5.0)])
def test_the_account_is_asked_every_five_minutes_unless_it_says_otherwise(extra: Any, minutes: float) -> None:
    account = account_of(CONN_ID, a_connection(login=PUBLIC, password=PRIVATE, extra=extra))
    assert account.number("poll_minutes", ETerminHook.poll_minutes, 1) == minutes


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"login": ""}, "public API key into Login"),
        ({"password": None}, "public API key into Login"),
        ({"password": "schlüssel"}, "private one into Password"),
        ({"extra": {"timezone": "Mitteleuropa"}}, "'timezone' is neither an IANA"),
        ({"extra": {"poll_minutes": 0}}, "'poll_minutes' must be a number from 1"),
        ({"extra": {"requests_per_second": 0}}, "'requests_per_second'"),
    ],
)
def test_a_connection_that_cannot_be_used_says_what_to_do(values: Any, words: str) -> None:
    with pytest.raises(WrongCredentials, match=words):
        settings(**values)
