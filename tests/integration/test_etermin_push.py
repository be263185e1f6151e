"""eTermin's stand-in pushes over real HTTP to the receiver: what is recorded at once, and what is left to the poll."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.contact import Contact
from handoff.ledger.erasure import erase
from handoff.planning.planner import record
from tests.support.delivery import judge_due
from tests.support.etermin_world import BATCHES, OCCASIONS, SECRET, ETermin, etermin_world, receiving, rule, until
from tests.support.rows import rows

pytestmark = pytest.mark.integration
STORED = "SELECT payload, contact_key FROM handoff.deliveries ORDER BY id"
BOOKED = rule("booked", {"minutes": 0, "after": "booked"})
GOOD = {"content-type": "application/json", "x-webhook-secret": SECRET}
FORMS = pytest.mark.parametrize("form", ["json", "variables"])


@pytest.fixture
async def etermin(
    ledger: AsyncEngine, ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ETermin]:
    async with etermin_world(ledger, ledger_url, tmp_path, monkeypatch) as world, receiving() as url:
        world.url = url
        yield world


async def push(etermin: ETermin, **settings: Any) -> None:
    """Switch the stand-in's Web Push on, with the header unless it says otherwise."""
    header = {"header": "X-Webhook-Secret", "header_value": SECRET}
    await etermin.order("push", url=etermin.url, **header | settings)


async def post(etermin: ETermin, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
    async with aiohttp.ClientSession() as http, http.post(etermin.url, data=body, headers=headers) as answer:
        return answer.status, await answer.text()


def said(command: str, uid: str = "a1", **more: str) -> bytes:
    return json.dumps({"command": command, "appointmentUID": uid, **more}).encode()


@FORMS
async def test_a_booking_is_recorded_at_once_and_the_poll_agrees(
    etermin: ETermin, ledger: AsyncEngine, form: str
) -> None:
    await push(etermin, form=form)
    await etermin.book()
    await etermin.until_pushed(1)
    assert await rows(ledger, BATCHES) == [("booked", "a1", "waiting"), ("reminder", "a1", "waiting")]
    assert await rows(ledger, STORED) == [
        ({"command": "created", "appointment": "a1"}, Contact("eva@example.org").key)
    ]  # fmt: skip
    [(due,)] = await rows(ledger, "SELECT due_at FROM handoff.batches WHERE rule_id = 'reminder'")
    assert await etermin.pokes()
    for _ in range(2):
        await etermin.poll()
    assert await rows(ledger, OCCASIONS) == [("a1", False)], "no second one, and no change"
    assert await rows(ledger, BATCHES) == [("booked", "a1", "waiting"), ("reminder", "a1", "waiting")]
    assert await rows(ledger, "SELECT due_at FROM handoff.batches WHERE rule_id = 'reminder'") == [(due,)]


@FORMS
async def test_a_move_and_a_cancellation_are_doorbells(etermin: ETermin, ledger: AsyncEngine, form: str) -> None:
    await etermin.book()
    await etermin.poll()
    await push(etermin, form=form)
    before = await etermin.pokes()
    await etermin.order("move", uid="a1", start="+4d")
    await etermin.until_pushed(1)
    assert before != (moved := await etermin.pokes())
    assert await rows(ledger, OCCASIONS) == [("a1", False)], "what it means is read"
    await etermin.order("cancel", uid="a1")
    await etermin.until_pushed(2)
    assert moved != await etermin.pokes()
    await etermin.poll()
    assert await rows(ledger, OCCASIONS) == [("a1", True), ("a1/deleted/1", False)]


async def test_pushes_that_come_twice_and_in_another_order(etermin: ETermin, ledger: AsyncEngine) -> None:
    await push(etermin, duplicate=1.0, reorder=0.5, seed=3)
    for uid in ("a1", "a2", "a3"):
        await etermin.book(uid)
    await etermin.order("move", uid="a2", start="+6d")
    await etermin.order("cancel", uid="a3")
    await etermin.until_pushed(10)
    for _ in range(2):
        await etermin.poll()
    assert sorted(await rows(ledger, "SELECT key, cancelled FROM handoff.occasions")) == [
        ("a1", False), ("a2", False), ("a2/modified/1", False), ("a3", True), ("a3/deleted/1", False),
    ]  # fmt: skip
    planned = [row for row in await rows(ledger, BATCHES) if row[0] == "booked"]
    assert sorted(planned) == [("booked", "a1", "waiting"), ("booked", "a2", "waiting"), ("booked", "a3", "cancelled")]


async def test_a_booking_that_is_told_after_its_deletion_starts_nothing(etermin: ETermin, ledger: AsyncEngine) -> None:
    await etermin.poll()
    await push(etermin, delay=3)
    await etermin.book()
    await etermin.order("cancel", uid="a1")
    await etermin.poll()
    assert await rows(ledger, OCCASIONS) == [("a1", True)], "a tombstone, before any push"
    await etermin.until_pushed(2)
    assert await rows(ledger, OCCASIONS) == [("a1", True)]
    assert await rows(ledger, BATCHES) == []


async def test_there_and_back_twice_in_the_same_words_is_polled_each_time(
    etermin: ETermin, ledger: AsyncEngine
) -> None:
    await etermin.book()
    await etermin.poll()
    there = said("MODIFIED", startDateTimeUTC="2036-05-10T08:00:00")
    seen = {await etermin.pokes()}
    for _ in range(3):
        assert await post(etermin, there, GOOD) == (200, "ok")
        seen.add(await etermin.pokes())
    assert len(seen) == 4
    assert len(await rows(ledger, STORED)) == 1
    assert (await etermin.planned())["seen"] not in seen - {""}
    await etermin.poll()
    assert (await etermin.planned())["seen"] == await etermin.pokes()


async def test_a_test_button_starts_nothing(etermin: ETermin, ledger: AsyncEngine) -> None:
    [booked, *_] = etermin.rules(BOOKED)
    await push(etermin)
    for number, command in enumerate(("CREATED", "MODIFIED", "DELETED"), start=1):
        await etermin.order("test", command=command)
        await etermin.until_pushed(number)
    source = await etermin.source()
    assert await judge_due(ledger, booked, source) == ["cancelled"]
    await source.close()


async def test_a_newsletter_box_that_a_push_leaves_out_is_read_before_anybody_is_judged(
    etermin: ETermin, ledger: AsyncEngine
) -> None:
    [booked, _] = etermin.rules(BOOKED | {"newsletter_only": True}, rule("all", {"minutes": 0, "after": "booked"}))
    await push(etermin, newsletter=False)
    await etermin.book("a1", newsletter=True)
    await etermin.book("a2", email="bert@example.org")
    await etermin.until_pushed(2)
    assert {row[0] for row in await rows(ledger, BATCHES)} == {"all"}
    await etermin.poll()
    assert await rows(ledger, OCCASIONS) == [("a1", False), ("a2", False)]
    source = await etermin.source()
    assert await judge_due(ledger, booked, source) == ["judged", "judged"]
    await source.close()
    verdicts = "SELECT included, reason FROM handoff.verdicts ORDER BY included"
    assert await rows(ledger, verdicts) == [(False, "no_newsletter"), (True, "customer")]


@FORMS
async def test_the_secret_key_hash_is_a_proof_and_a_wrong_one_is_none(
    etermin: ETermin, ledger: AsyncEngine, form: str
) -> None:
    await push(etermin, form=form, header="", secret_hash="guessed-secret-99999")
    await etermin.book("a1")
    await until(lambda: len(etermin.pushes()) == 1)
    assert [one["status"] for one in etermin.pushes()] == [401]
    assert await rows(ledger, STORED) == []
    await push(etermin, form=form, header="", secret_hash=SECRET)
    await etermin.book("a2")
    await etermin.until_pushed(1)
    assert await rows(ledger, OCCASIONS) == [("a2", False)]
    assert SECRET not in str(await rows(ledger, "SELECT * FROM handoff.deliveries"))


async def test_what_is_no_push_is_refused_and_reaches_nobody(etermin: ETermin, ledger: AsyncEngine) -> None:
    form = GOOD | {"content-type": "application/x-www-form-urlencoded"}
    nested = b'{"command": "CREATED", "appointmentUID": "a1", "x": ' + b"[" * 40 + b"]" * 40 + b"}"
    for body, headers, status in (
        (b"{", GOOD, 400), (b"\xff", GOOD, 400), (nested, GOOD, 400), (b"[1]", GOOD, 422), (b"{}", GOOD, 422),
        (said("BOOKED"), GOOD, 422), (said("CREATED", ""), GOOD, 422), (b"", form, 422), (b"COMMAND=%ff", form, 400),
        (said("CREATED", startDateTimeUTC="eva@example.org"), GOOD, 422),
        (said("CREATED"), GOOD | {"content-type": "application/xml"}, 415),
        (said("CREATED", secretKeyHash="x" * 20), {"content-type": "application/json"}, 401),
        (b'{"secretKeyHash": {}', {"content-type": "application/json"}, 401),
    ):  # fmt: skip
        found, words = await post(etermin, body, headers)
        assert (found, "eva@" in words) == (status, False), body[:60]
    assert await rows(ledger, STORED) == []
    assert await etermin.pokes() == ""
    variables = urlencode({"COMMAND": "CREATED", "APPOINTMENTUID": "a9"}).encode()
    assert await post(etermin, variables, form) == (200, "ok")
    assert await rows(ledger, OCCASIONS) == [], "without a start it is a doorbell only"


async def test_erasing_a_customer_removes_what_was_pushed(etermin: ETermin, ledger: AsyncEngine) -> None:
    await push(etermin)
    await etermin.book("a1", email="Eva@Example.org")
    await etermin.book("a2", email="bert@example.org")
    await etermin.book("a3", email="")
    await etermin.until_pushed(3)
    async with ledger.begin() as connection:
        await erase(connection, Contact("eva@example.org").key)
    assert [payload["appointment"] for payload, _ in await rows(ledger, STORED)] == ["a2", "a3"]
    await etermin.order("edit", uid="a1", fields={"notes": "neu"})
    await etermin.until_pushed(4)
    assert [payload["appointment"] for payload, _ in await rows(ledger, STORED)] == ["a2", "a3"]


@FORMS
async def test_an_edit_that_no_number_tells_of_is_told_once(
    ledger: AsyncEngine, ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    world = etermin_world(ledger, ledger_url, tmp_path, monkeypatch, sequence=False)
    async with world as etermin, receiving() as etermin.url:
        await push(etermin, form=form)
        await etermin.book()
        await etermin.until_pushed(1)
        await etermin.poll()
        await etermin.order("edit", uid="a1", fields={"notes": "Bitte nicht klingeln"})
        await etermin.until_pushed(2)
        for _ in range(2):
            await etermin.poll()
        assert await rows(ledger, OCCASIONS) == [("a1", False), ("a1/modified/1", False)]
        await etermin.order("edit", uid="a1", fields={"phone": "+49 30 1234567"})
        await etermin.poll()
    assert await rows(ledger, OCCASIONS) == [("a1", False), ("a1/modified/1", False), ("a1/modified/2", False)]


async def test_a_move_that_the_sweep_hears_of_first_is_told_once(etermin: ETermin, ledger: AsyncEngine) -> None:
    await etermin.book()
    await etermin.poll()
    await etermin.order("move", uid="a1", start="+4d")
    source = await etermin.source()
    await record(ledger, (await source.occasions(datetime.now(UTC))).occasions, [])
    await source.close()
    for _ in range(2):
        await etermin.poll()
    assert await rows(ledger, OCCASIONS) == [("a1", False), ("a1/modified/1", False)]
    await etermin.order("edit", uid="a1", fields={"notes": "neu"})
    await etermin.poll()
    assert (await rows(ledger, OCCASIONS))[2:] == [("a1/modified/2", False)]
