from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import aiohttp
import pytest

from sandbox import ETERMIN_PRIVATEKEY, ETERMIN_PUBLICKEY, Sandbox, Scenario
from tests.support.etermin_calls import API, book, call, order, signed

pytestmark = pytest.mark.integration

OK = {"Status": "OK", "StatusMsg": "", "AdditionalInformation": ""}
EVA = {"firstname": "Eva", "lastname": "Müller & Söhne", "email": "Eva@Example.org", "city": "Zürich", "zip": "8001"}
WORLD: dict[str, Any] = {
    "etermin": {
        "services": [{"id": 501, "name": "Erstgespräch"}],
        "calendars": [{"id": 90709, "name": "Beratung", "services": ["Erstgespräch"]},
                      {"id": 90710, "name": "Coaching"}],
    }
}  # fmt: skip


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(Scenario.model_validate(WORLD)) as running:
        yield running


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(sandbox.http_url) as session:
        yield session


async def feed(http: aiohttp.ClientSession, token: str) -> tuple[list[tuple[str, str]], str]:
    async with http.get(f"{API}/appointmentsync", params={"synctoken": token}, headers=signed()) as response:
        rows = await response.json()
        return [(row["ExternalID"], row["SyncStatus"]) for row in rows], response.headers["SyncToken"]


async def contacts(http: aiohttp.ClientSession, method: str = "GET", **params: str) -> list[dict[str, str | None]]:
    async with http.request(method, f"{API}/contact", data=params if method == "POST" else None,
                            params={} if method == "POST" else params, headers=signed()) as response:  # fmt: skip
        assert (response.status, response.content_type) == (200, "application/xml")
        root = ElementTree.fromstring(await response.text())
        return [{field.tag: field.text for field in row} for row in root]


def effects(sandbox: Sandbox) -> list[tuple[str, str]]:
    return [(one.action, one.contact) for one in sandbox.effects if one.system == "etermin"]


async def test_only_the_salt_is_signed_and_may_be_used_again(http: aiohttp.ClientSession) -> None:
    once = signed("1234567890")
    statuses = []
    for headers in (once, once, {}, {**once, "salt": "other"}, signed(key="wrong"), {**once, "publickey": "x"}):
        async with http.get(f"{API}/calendar", headers=headers) as response:
            statuses.append(response.status)
    async with http.post(f"{API}/calendar?calendarname=Neu", headers=once) as response:
        statuses.append(response.status)
    assert statuses == [200, 200, 401, 401, 401, 401, 200]


async def test_an_empty_salt_is_no_salt(http: aiohttp.ClientSession) -> None:
    digest = hmac.new(ETERMIN_PRIVATEKEY.encode(), b"", hashlib.sha256).digest()
    headers = {"publickey": ETERMIN_PUBLICKEY, "salt": "", "signature": base64.b64encode(digest).decode()}
    async with http.get(f"{API}/calendar", headers=headers) as response:
        assert response.status == 401


async def test_an_appointment_in_and_out(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    made = await book(
        http, "2026-05-10 10:00", "2026-05-10 10:30", **EVA, services="501", notes="Tür 3", newsletter="1"
    )
    assert {name: made[name] for name in OK} == OK
    for query in ({"appid": str(made["ID"])}, {"id": made["IIDE"]}):
        (row,) = await call(http, "GET", "appointment", **query)
        assert (row["ID"], row["ExternalID"]) == (made["ID"], made["IIDE"])
        assert (row["StartDateTime"], row["StartDateTimeUTC"]) == ("2026-05-10T10:00:00", "2026-05-10T08:00:00")
        assert (row["EndDateTime"], row["EndDateTimeUTC"]) == ("2026-05-10T10:30:00", "2026-05-10T08:30:00")
        assert (row["Town"], row["ZIP"], row["LastName"], row["Notes"]) == ("Zürich", "8001", EVA["lastname"], "Tür 3")
        assert (row["ServicesText"], row["CalendarName"], row["Phone"]) == ("Erstgespräch", "Beratung", None)
        assert "City" not in row
    assert await call(http, "GET", "appointment", appid=made["IIDE"]) == []
    assert effects(sandbox) == [("appointment", "eva@example.org")]


async def test_parameters_come_in_a_form_too_in_any_case(http: aiohttp.ClientSession) -> None:
    form = {"Start": "2026-01-10 10:00", "END": "2026-01-10 11:00", "CalendarID": "90709", "FirstName": "Jörg"}
    async with http.post(f"{API}/appointment", data=form, headers=signed()) as response:
        (row,) = await response.json()
    (shown,) = await call(http, "GET", "appointment", ID=row["IIDE"])
    assert (shown["FirstName"], shown["StartDateTimeUTC"]) == ("Jörg", "2026-01-10T09:00:00")
    async with http.post(f"{API}/appointment", json=form, headers=signed()) as response:
        (row,) = await response.json()
    assert (response.status, row["Status"], row["ID"]) == (200, "ERROR", 0)


async def test_the_end_of_days_is_exclusive(http: aiohttp.ClientSession) -> None:
    for day in ("09", "10", "11"):
        await book(http, f"2026-05-{day} 00:00", f"2026-05-{day} 01:00", lastname=day)
    await book(http, "2026-05-10 23:59", "2026-05-11 00:10", lastname="late", calendarid="90710")

    async def names(**query: str) -> list[str]:
        return [row["LastName"] for row in await call(http, "GET", "appointment", **query)]

    assert await names(start="2026-05-10", end="2026-05-11") == ["10", "late"]
    assert await names(start="2026-05-10", end="2026-05-10") == []
    assert await names(start="2026-05-09", end="2026-05-12", calendarid="90710,1") == ["late"]
    assert await names(start="2026-05-10", end="2026-05-11", datefrom="x", unknown="1") == ["10", "late"]
    today = datetime.now(UTC).date()
    span = {"start": str(today - timedelta(days=1)), "end": str(today + timedelta(days=2)), "bycreationdate": "1"}
    assert len(await names(**span)) == 4
    limited = await call(http, "GET", "appointment", start="2026-05-10", end="2026-05-11", limited="1")
    assert "LastName" not in limited[0]


@pytest.mark.parametrize(
    ("method", "params", "words"),
    [("POST", {"calendarid": "1", "start": "2026-05-10 10:00", "end": "2026-05-10 11:00"}, "calendarid"),
     ("POST", {"calendarid": "90709", "start": "2026-05-10T10:00", "end": "2026-05-10 11:00"}, "start"),
     ("POST", {"calendarid": "90709", "start": "2026-05-10 11:00", "end": "2026-05-10 11:00"}, "later"),
     ("POST", {"calendarid": "90709", "start": "2026-02-30 10:00", "end": "2026-05-10 11:00"}, "start"),
     ("PUT", {"appid": "12000001", "notes": "x"}, "id is required"),
     ("PUT", {"id": "nobody", "notes": "x"}, "not found"),
     ("DELETE", {"appid": "12000001", "sendemail": "1"}, "external id"),
     ("DELETE", {"appid": "nobody"}, "not found"),
     ("GET", {"start": "10.05.2026", "end": "11.05.2026"}, "yyyy-mm-dd"),
     ("GET", {}, "yyyy-mm-dd")],
)  # fmt: skip
async def test_mistakes_are_told_inside_a_200(
    http: aiohttp.ClientSession, sandbox: Sandbox, method: str, params: dict[str, str], words: str
) -> None:
    await book(http, "2026-05-10 10:00", "2026-05-10 10:30")
    before = len(sandbox.effects)
    (row,) = await call(http, method, "appointment", **params)
    assert (row["Status"], row["ID"]) == ("ERROR", 0)
    assert words in row["StatusMsg"]
    assert len(sandbox.effects) == before


async def test_a_taken_time_is_refused_when_asked_for(http: aiohttp.ClientSession) -> None:
    await book(http, "2026-05-10 10:00", "2026-05-10 10:30")
    taken = {"start": "2026-05-10 10:15", "end": "2026-05-10 10:45"}
    assert (await book(http, **taken, checkexist="1"))["Status"] == "ERROR"
    assert (await book(http, **taken, checkexist="1", calendarid="90710"))["Status"] == "OK"
    assert (await book(http, "2026-05-10 10:30", "2026-05-10 10:45", checkexist="1"))["Status"] == "OK"
    assert (await book(http, **taken))["Status"] == "OK"


async def test_change_and_delete(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    made = await book(http, "2026-05-10 10:00", "2026-05-10 10:30", **EVA, manualconfirmed="0")
    (row,) = await call(http, "PUT", "appointment", id=made["IIDE"], manualconfirmed="1", notes="neu")
    assert (row["Status"], row["ID"]) == ("OK", made["ID"])
    await call(http, "PUT", "appointment", id=made["IIDE"], start="2026-05-11 09:00", end="2026-05-11 09:45")
    (row,) = await call(http, "GET", "appointment", id=made["IIDE"])
    assert (row["Notes"], row["ManualConfirmed"], row["StartDateTime"]) == ("neu", True, "2026-05-11T09:00:00")
    assert (row["FirstName"], row["Sequence"]) == ("Eva", 2)
    await call(http, "DELETE", "appointment", id=made["IIDE"], sendemail="1")
    assert await call(http, "GET", "appointment", id=made["IIDE"]) == []
    for hour in ("10", "11"):
        await book(http, f"2026-06-01 {hour}:00", f"2026-06-01 {hour}:30")
    assert len(await call(http, "DELETE", "appointment", start="2026-06-01", end="2026-06-02")) == 2
    actions = [action for action, _ in effects(sandbox)]
    assert actions == ["appointment", *["update_appointment"] * 2, "delete_appointment", *["appointment"] * 2,
                       *["delete_appointment"] * 2]  # fmt: skip


async def test_the_feed_brings_what_changed(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    rows, start = await feed(http, "1")
    assert rows == []
    first = (await book(http, "2026-05-10 10:00", "2026-05-10 10:30", **EVA, additional8="x"))["IIDE"]
    second = (await book(http, "2026-05-11 10:00", "2026-05-11 10:30"))["IIDE"]
    rows, token = await feed(http, start)
    assert rows == [(first, "CREATED"), (second, "CREATED")]
    assert await feed(http, token) == ([], token)
    await call(http, "PUT", "appointment", id=first, notes="x")
    await call(http, "PUT", "appointment", id=first, notes="y")
    await call(http, "DELETE", "appointment", id=second)
    rows, later = await feed(http, token)
    assert rows == [(first, "MODIFIED"), (second, "DELETED")]
    assert (await feed(http, "1"))[0] == [(first, "MODIFIED")]
    (row,) = await call(http, "GET", "appointmentsync", synctoken="1")
    assert (row["A8"], row["ContactID"] > 0, row["BookingDateUTC"][10]) == ("x", True, "T")
    assert not {"Additional8", "A6"} & set(row)
    assert "Additional6" in row
    (refused,) = await call(http, "GET", "appointmentsync", synctoken="now")
    assert refused["Status"] == "ERROR"
    sandbox.world.build()
    made = await order(http, "book", start="+1d")
    assert (await feed(http, later))[0] == [(made["ExternalID"], "CREATED")]


async def test_a_feed_without_deletions() -> None:
    world = {"etermin": {"feed_deletions": False, "appointments": [{"uid": "a", "start": "+1d"}]}}
    async with Sandbox(Scenario.model_validate(world)) as running, aiohttp.ClientSession(running.http_url) as http:
        _, token = await feed(http, "1")
        await order(http, "cancel", uid="a")
        rows, later = await feed(http, token)
        assert (rows, later != token) == ([], True)


async def test_what_was_deleted_is_listed_by_day(http: aiohttp.ClientSession) -> None:
    made = await order(http, "book", start="2026-05-10T08:00:00Z", **EVA, notes="Tür 3")
    await order(http, "cancel", id=made["ID"])
    today = datetime.now(UTC).date()
    span = {"start": str(today - timedelta(days=1)), "end": str(today + timedelta(days=2))}
    (row,) = await call(http, "GET", "appointmentdeleted", **span)
    assert (row["AppID"], row["ExternalID"], row["Calendarid"]) == (made["ID"], made["ExternalID"], 90709)
    assert (row["StartDateTime"], row["StartDateTimeUTC"]) == ("2026-05-10T10:00:00", "2026-05-10T08:00:00")
    assert (row["Email"], row["Notes"], row["DeletedBy"]) == (EVA["email"], "Tür 3", "customer")
    past = {"start": str(today - timedelta(days=9)), "end": str(today - timedelta(days=1))}
    assert await call(http, "GET", "appointmentdeleted", **past) == []


async def test_the_doubled_hour_is_told_apart_by_utc(http: aiohttp.ClientSession) -> None:
    made = [await order(http, "book", start=f"2026-10-25T0{hour}:30:00Z") for hour in (0, 1)]
    assert [one["StartDateTime"] for one in made] == ["2026-10-25T02:30:00"] * 2
    assert [one["StartDateTimeUTC"] for one in made] == ["2026-10-25T00:30:00", "2026-10-25T01:30:00"]
    row = await book(http, "2026-10-25 02:30", "2026-10-25 03:30")
    (shown,) = await call(http, "GET", "appointment", id=row["IIDE"])
    assert (shown["StartDateTimeUTC"], shown["EndDateTimeUTC"]) == ("2026-10-25T00:30:00", "2026-10-25T02:30:00")


async def test_contacts_speak_xml(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    await order(http, "book", start="+1d", **EVA, newsletter=True)
    await order(http, "book", start="+2d", email="eva@example.org", phone="+41 79")
    (row,) = await contacts(http, email="EVA@example.org")
    assert (row["LastName"], row["City"], row["Phone"]) == ("Müller & Söhne", "Zürich", "+41 79")
    assert (row["Newsletter"], row["Company"], "Town" in row) == ("true", None, False)
    assert await contacts(http, cid=str(row["CID"])) == [row] == await contacts(http, id=str(row["ExternalID"]))
    assert await contacts(http, email="nobody@example.org") == []
    assert await contacts(http) == [
        {"CID": "0", "ExternalID": None, "Status": "ERROR", "StatusMsg": "email, id, cid or creationdate is required"}
    ]
    (made,) = await contacts(http, "POST", email="eva@example.org", updatewhenexistsgdt="1", company="X <1>\x07")
    assert made["CID"] == row["CID"]
    (other,) = await contacts(http, "POST", email="eva@example.org")
    assert other["CID"] != row["CID"]
    await contacts(http, "PUT", id=str(row["ExternalID"]), tags="a, b", newsletter="0")
    first, _ = await contacts(http, email="eva@example.org")
    assert (first["Tags"], first["Newsletter"], first["Company"]) == ("a,b", "false", "X <1>")
    assert len(await contacts(http, creationdateall=str(datetime.now(UTC).date() - timedelta(days=1)))) == 2
    assert len(await contacts(http, "DELETE", email="eva@example.org")) == 2
    assert await contacts(http, email="eva@example.org") == []
    assert effects(sandbox) == [("contact", "eva@example.org")] * 3 + [("delete_contact", "eva@example.org")] * 2


async def test_calendars_come_and_go(http: aiohttp.ClientSession) -> None:
    added = await order(http, "calendar", name="Später", services=["Erstgespräch"])
    rows = await call(http, "GET", "calendar")
    assert [row["CalendarName"] for row in rows] == ["Beratung", "Coaching", "Später"]
    assert rows[-1] == added
    pairs = await call(http, "GET", "calendarservice", calendarid=str(added["CalendarID"]))
    assert [(row["CalendarID"], row["ServiceName"]) for row in pairs] == [(added["CalendarID"], "Erstgespräch")]
    (row,) = await call(http, "POST", "calendar", calendarname="Per API")
    await call(http, "PUT", "calendar", calendarid=str(row["ID"]), calendarname="Anders")
    assert (await call(http, "GET", "calendar", calendarid=str(row["ID"])))[0]["CalendarName"] == "Anders"
    await call(http, "DELETE", "calendar", calendarid=str(row["ID"]))
    assert await call(http, "GET", "calendar", calendarid=str(row["ID"])) == []
    assert [row["ServiceName"] for row in await call(http, "GET", "service")] == ["Erstgespräch"]


async def test_json_may_call_itself_text() -> None:
    world = {"etermin": {"json_type": "text/json", "contact_answers": "json"}}
    async with Sandbox(Scenario.model_validate(world)) as running, aiohttp.ClientSession(running.http_url) as http:
        for path in ("calendar", "contact?email=a@example.org"):
            async with http.get(f"{API}/{path}", headers=signed()) as response:
                assert response.content_type == "text/json"
                assert isinstance(await response.json(content_type=None), list)


async def test_wrong_orders_say_what_is_wrong(http: aiohttp.ClientSession) -> None:
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("book", {"start": "+1d", "calendar": "Nope"}, "no calendar 'Nope'"),
        ("book", {"start": "+1d", "service": "Nope"}, "no service 'Nope'"),
        ("book", {"start": "2026-05-10T08:00:00"}, "zone"),
        ("move", {"uid": "nobody", "start": "+1d"}, "no appointment 'nobody'"),
        ("edit", {"uid": "nobody"}, "no appointment 'nobody'"),
        ("cancel", {"id": 5}, "no appointment 5"),
        ("calendar", {"name": "Beratung"}, "already"),
        ("push", {"form": "xml"}, "form"),
        ("push", {"header": "X-A:\n"}, "header"),
    ]
    for name, body, words in wrong:
        async with http.post(f"/_sandbox/etermin/{name}", json=body) as response:
            assert response.status == 400, name
            assert words in (await response.json())["errors"][0]


async def test_nothing_is_there_before_the_start() -> None:
    world = Scenario.model_validate({"etermin": {"appointments": [{"uid": "a", "start": "+1d"}]}})
    async with Sandbox(world, held=True) as running, aiohttp.ClientSession(running.http_url) as http:
        rows, token = await feed(http, "1")
        assert rows == []
        await http.post("/_sandbox/start", json={})
        assert (await feed(http, token))[0] == [("a", "CREATED")]
