"""The Quentn connection: what it says, what the Test button answers; hook and target over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from airflow.sdk import Connection

from handoff.errors import RateLimited, UnknownOutcome, WrongCredentials
from handoff.ledger.quotas import Limits, Quota
from handoff.rules.steps import QuentnCampaign, QuentnTerm
from handoff.target import Promise
from hooks.accounts import VENDORS
from hooks.protocols.quentn_assumed import DATE_FORMAT, ZONE, MailStatuses
from hooks.provider_info import QUENTN
from hooks.quentn import QuentnHook, account_of, protocol_of, statuses_of
from tests.support.calls import EVA, a_call
from tests.support.loopback import serving

KEY = "0a1b2c3d"
NUMBERS = {"mail_status_unknown": 0, "mail_status_single": 1, "mail_status_double": "2"}
API = "/public/api/V1"
TERM = a_call(QuentnTerm(step="quentn.term", term="Über uns"))
CAMPAIGN = a_call(QuentnCampaign(step="quentn.campaign", campaign=42))


class Account:
    """A Quentn account with one contact and one term; ``drops`` answers to changes are lost after they were done."""

    def __init__(self) -> None:
        self.url, self.drops, self.busy = "", 0, False
        self.terms: list[int] = []
        self.started = 0
        self.asked: list[tuple[str, str]] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        assert request.path.startswith(API)
        path = request.path.removeprefix(API)
        self.asked.append((request.method, path))
        if request.headers["Authorization"] != f"Bearer {KEY}":
            return web.json_response({"error": True, "message": "forbidden"}, status=403)
        if self.busy:
            return web.json_response({"error": True}, status=429, headers={"X-Rate-Limit-Reset": "30"})
        shown = {"id": 7, "mail": EVA.email, "mail_status": 2, "terms": self.terms}
        match request.method, path:
            case "GET", "/check-credentials":
                return web.json_response({"success": True})
            case "GET", "/terms":
                return web.json_response([] if request.query["offset"] != "0" else [{"id": 12, "name": "Über uns"}])
            case "GET", "/contact/eva@example.org":
                return web.json_response([shown])
            case "POST", "/contact":
                return web.json_response(shown | {"posted": (await request.json())["contact"]})
            case "PUT", "/contact/7/terms":
                self.terms = [*self.terms, *(await request.json())]
            case "DELETE", "/contact/7/terms":
                self.terms = [one for one in self.terms if one not in await request.json()]
            case "POST", "/cb/42":
                self.started += 1
        if self.drops:
            self.drops -= 1
            request.transport.close()
        return web.json_response({"success": True})

    def connection(self, **extra: Any) -> Connection:
        return a_connection(host=self.url, password=KEY, extra=json.dumps({"timeout": 5, **NUMBERS, **extra}))


def a_connection(**values: Any) -> Connection:
    return Connection(conn_id="quentn_default", conn_type="quentn", **values)


@pytest.fixture
async def account(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Account]:
    vendor = Account()
    async with serving(vendor) as server:
        vendor.url = server.url
        monkeypatch.setenv("AIRFLOW_CONN_QUENTN_DEFAULT", vendor.connection().as_json())
        yield vendor


async def test_the_hook_makes_every_call(account: Account) -> None:
    hook = QuentnHook()
    assert await asyncio.to_thread(hook.terms) == {12: "Über uns"}
    assert await asyncio.to_thread(hook.add_term, 7, "über uns") == 12
    (found,) = await asyncio.to_thread(hook.find_contacts, EVA.email)
    assert found["terms"] == [12]
    await asyncio.to_thread(hook.remove_term, 7, "Über uns")
    assert account.terms == []
    stored = await asyncio.to_thread(hook.upsert_contact, EVA.email, {"company": "Örtel"})
    assert stored["posted"] == {"mail": EVA.email, "company": "Örtel"}
    await asyncio.to_thread(hook.start_campaign, 42, EVA.email)
    assert account.started == 1


async def test_the_target_adds_a_term_once_also_when_the_answer_is_lost(account: Account) -> None:
    account.drops = 1
    target = VENDORS["quentn"].from_connection("quentn_default", account.connection(settling_seconds=0.5))
    for _ in range(2):
        await target.prepare(TERM.step)
    assert account.asked == [("GET", "/terms"), ("GET", "/terms")]
    assert await target.seen(TERM) is None
    with pytest.raises(UnknownOutcome):
        await target.send(TERM)
    proof = await target.seen(TERM)
    assert proof == await target.send(TERM) == {"contact_id": 7, "term_id": 12}
    await target.close()
    await target.close()
    assert account.terms == [12]
    assert (target.promise, target.settling_seconds) == (Promise.SETTLED_BY_READING, 0.5)
    assert not target.coalesces(TERM)


async def test_a_lost_start_of_a_campaign_stays_in_doubt_and_a_rate_limit_does_not(account: Account) -> None:
    target = VENDORS["quentn"].from_connection("quentn_default", account.connection())
    account.busy = True
    with pytest.raises(RateLimited) as caught:
        await target.send(CAMPAIGN)
    assert (caught.value.retry_after, account.started) == (30, 0)
    account.busy, account.drops = False, 1
    with pytest.raises(UnknownOutcome):
        await target.send(CAMPAIGN)
    with pytest.raises(UnknownOutcome):
        await target.seen(CAMPAIGN)
    await target.close()
    assert account.started == 1


async def test_the_test_button_knows_its_outcomes(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    async def outcome(connection: Connection) -> tuple[bool, str]:
        monkeypatch.setenv("AIRFLOW_CONN_QUENTN_DEFAULT", connection.as_json())
        return await asyncio.to_thread(QuentnHook().test_connection)

    host = account.url.removeprefix("http://")
    assert await outcome(account.connection()) == (True, f"Quentn works: signed in to {host}")
    bare = await outcome(a_connection(host=f"{account.url}{API}/", password=KEY))
    assert bare == (True, f"Quentn works: signed in to {host}; for rules, set the numbers of mail_status too")
    wrong = await outcome(a_connection(host=account.url, password="wrong-key"))
    nowhere = await outcome(a_connection(host="http://127.0.0.1:1", password=KEY))
    nothing = await outcome(a_connection(host=account.url))
    assert [good for good, _ in (wrong, nowhere, nothing)] == [False] * 3
    starts = [words.split(":")[0] for _, words in (wrong, nowhere, nothing)]
    assert starts == ["Wrong credentials", "Cannot connect", "Wrong credentials"]
    assert not any(secret in words for _, words in (wrong, nowhere, nothing) for secret in (KEY, "wrong-key"))
    assert {method for method, _ in account.asked} == {"GET"}


@pytest.mark.parametrize(
    "host",
    ["https://s1.eu-2.quentn.com", "s1.eu-2.quentn.com/public/api/V1/", "https://s1.eu-2.quentn.com/public/api/V1"],
)
def test_the_host_may_be_given_with_or_without_the_path(host: str) -> None:
    assert account_of("q", a_connection(host=host, password=KEY)).base_url == f"https://s1.eu-2.quentn.com{API}"


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"mail_status_unknown": 0, "mail_status_single": 1},
        {**NUMBERS, "mail_status_double": ""},
        {**NUMBERS, "mail_status_double": 1},
        {**NUMBERS, "mail_status_temporary": "x"},
    ],
)
def test_a_target_needs_the_numbers_of_mail_status(extra: dict[str, Any]) -> None:
    connection = a_connection(host="https://x", password=KEY, extra=json.dumps(extra))
    with pytest.raises(WrongCredentials, match="set mail_status_unknown, mail_status_single and mail_status_double"):
        VENDORS["quentn"].from_connection("q", connection)


def test_what_a_connection_says() -> None:
    def connection(**extra: Any) -> Connection:
        return a_connection(host="https://x", password=KEY, extra=json.dumps(extra))

    assert statuses_of(account_of("q", connection(**NUMBERS))) == MailStatuses(0, 1, 2)
    assert statuses_of(account_of("q", connection(**NUMBERS, mail_status_temporary=3))) == MailStatuses(0, 1, 2, 3)
    assert VENDORS["quentn"].limits("q", connection()) == Limits(5.0, None)
    limited = connection(requests_per_second=2, requests_per_day=1000)
    assert VENDORS["quentn"].limits("q", limited) == Limits(2.0, Quota(1000, polling=0.0))
    dates = protocol_of(account_of("q", connection(timezone="Europe/Zurich", date_format="%d.%m.%Y"))).dates
    assert (dates.zone, dates.form) == ("Europe/Zurich", "%d.%m.%Y")
    with pytest.raises(WrongCredentials, match="timezone"):
        protocol_of(account_of("q", connection(timezone="Mars/Olympus")))
    with pytest.raises(WrongCredentials, match="API key"):
        account_of("q", a_connection(host="https://x", password="schlüssel"))


def test_the_form_shows_the_defaults() -> None:
    defaults = {name: QUENTN["conn-fields"][name]["schema"]["default"] for name in ("timezone", "date_format")}
    assert defaults == {"timezone": ZONE, "date_format": DATE_FORMAT}
