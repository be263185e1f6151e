"""What a sender is told: who is let in, what is stored before ``ok``, and what is refused."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.openapi.utils import get_openapi
from httpx import ASGITransport, AsyncClient
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger import cursors
from tests.support import half_sent
from tests.support.chaos import cut_off
from tests.support.commands import handoff
from tests.support.pushing import account_connection, ledger_connection, won
from tests.support.receiving import COUNTS, GOOD, JSON, KEY, NEW, OLD, STORED, said
from tests.support.rows import change, rows, rows_become
from web import webhooks
from web.app import create_app
from web.ledger import close_ledger
from web.receiver import accounts as accounts_module
from web.receiver import journal as journal_module
from web.receiver.body import MOST_BYTES
from web.receiver.flood import Floods
from web.receiver.receiver import MOST_BYTES_TO_NAME_IT, REFUSAL_SECONDS, Receiver
from web.receiver.room import Room

pytestmark = pytest.mark.usefixtures("connections")


async def pokes(ledger: AsyncEngine, conn_id: str = "crm") -> str:
    async with ledger.connect() as connection:
        return await cursors.poked(connection, "insightly", conn_id)


def signature(body: bytes, ids: str) -> dict[str, str]:
    at = int(time.time())
    value = base64.b64encode(hmac.digest(KEY, f"{ids}.{at}.".encode() + body, hashlib.sha256)).decode()
    return JSON | {"webhook-id": ids, "webhook-timestamp": str(at), "webhook-signature": f"v1,{value}"}


async def test_ok_is_said_once_it_is_stored_and_the_poll_is_poked(ledger: AsyncEngine, sender: AsyncClient) -> None:
    assert await pokes(ledger) == ""
    answer = await sender.post("/webhooks/crm", content=won(31), headers=GOOD)
    assert said(answer) == (200, "ok")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    kept = {"kind": "opportunity", "id": 31, "state": "WON", "updated": "2017-03-10T03:34:10.787000+00:00"}
    assert await rows(ledger, STORED) == [("crm", kept)]
    query = "SELECT source, contact_key, occasions, problem, processed_at IS NULL FROM handoff.deliveries"
    assert await rows(ledger, query) == [("insightly", None, [], None, False)]
    assert await pokes(ledger) == "1"


async def test_every_proof_is_good_and_a_repetition_only_lets_poll(ledger: AsyncEngine, sender: AsyncClient) -> None:
    basic = "Basic " + base64.b64encode(f"insightly:{OLD}".encode()).decode()
    for headers, path in (
        (GOOD, ""), (JSON | {"x-webhook-secret": NEW}, ""), (JSON | {"authorization": basic}, ""), (JSON, f"/{OLD}"),
        (JSON, f"?secret={NEW}"), ({"x-webhook-secret": OLD}, ""),
    ):  # fmt: skip
        assert said(await sender.post(f"/webhooks/crm{path}", content=won(31), headers=headers)) == (200, "ok")
    assert said(await sender.post("/webhooks/crm", content=b" " + won(31), headers=GOOD)) == (200, "ok")
    assert len(await rows(ledger, STORED)) == 1
    assert await pokes(ledger) == "7"
    assert await rows(ledger, COUNTS) == [("crm", "accepted", 1), ("crm", "repeated", 6)]
    assert said(await sender.post("/webhooks/crm", content=won(31, 1489116850788), headers=GOOD)) == (200, "ok")
    assert (len(await rows(ledger, STORED)), await pokes(ledger)) == (2, "8")


async def test_whatever_is_named_must_be_right(
    ledger: AsyncEngine, sender: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_BOOKING", account_connection(f"{OLD} {NEW}", "etermin"))
    monkeypatch.setenv("AIRFLOW_CONN_STRICT", account_connection(OLD, "etermin", "header, hash"))
    guess = {"x-webhook-secret": "guessed-secret-99999"}
    for path, headers, hashed, status in (
        (f"booking/{OLD}", {}, "", 200), (f"booking/{OLD}", GOOD, NEW, 200), (f"booking/{OLD}", guess, "", 401),
        (f"booking/{OLD}", {}, "guess", 401), ("booking/guess", GOOD, OLD, 401),
        (f"booking/{NEW}?secret=x", {}, "", 401),
        (f"strict/{OLD}", {}, "", 401), (f"strict/{OLD}", GOOD, "", 401), (f"strict/{OLD}", GOOD, OLD, 200),
        ("strict", GOOD, OLD, 200), ("strict", guess, OLD, 401), ("strict", GOOD, NEW, 401),
    ):  # fmt: skip
        body = json.dumps({"command": "MODIFIED", "appointmentUID": "a1", "secretKeyHash": hashed}).encode()
        answer = await sender.post(f"/webhooks/{path}", content=body, headers=JSON | headers)
        assert answer.status_code == status, (path, headers, hashed)


async def test_a_large_body_is_not_parsed_for_its_secret(sender: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_BOOKING", account_connection(OLD, "etermin"))
    for notes, named, in_header in ((20_000, 200, 200), (MOST_BYTES_TO_NAME_IT, 401, 200)):
        push = {"command": "MODIFIED", "appointmentUID": "a1", "notes": "x" * notes, "secretKeyHash": OLD}
        body = json.dumps(push).encode()
        assert (await sender.post("/webhooks/booking", content=body, headers=JSON)).status_code == named
        assert (await sender.post("/webhooks/booking", content=body, headers=GOOD)).status_code == in_header


async def test_an_address_may_end_with_a_slash(ledger: AsyncEngine, sender: AsyncClient) -> None:
    for path, headers in (("crm/", GOOD), (f"crm/{OLD}/", JSON), ("crm/?secret=" + OLD, JSON)):
        assert said(await sender.post(f"/webhooks/{path}", content=won(31), headers=headers)) == (200, "ok")
    for path in ("crm/", "crm/guess/", "nowhere/"):
        assert said(await sender.post(f"/webhooks/{path}", content=won(31), headers=JSON)) == (401, "not accepted")


async def test_a_signed_push_is_known_by_its_id(ledger: AsyncEngine, sender: AsyncClient) -> None:
    for ids, body in (("msg_1", won(31)), ("msg_1", won(32)), ("msg_2", won(31))):
        assert said(await sender.post("/webhooks/crm", content=body, headers=signature(body, ids))) == (200, "ok")
    assert [payload["id"] for _, payload in await rows(ledger, STORED)] == [31, 31]
    forged = await sender.post("/webhooks/crm", content=won(33), headers=signature(won(31), "msg_3"))
    assert forged.status_code == 401


async def test_without_a_time_only_the_same_bytes_are_a_repetition(ledger: AsyncEngine, sender: AsyncClient) -> None:
    for name in ("a", "b", "a"):
        body = json.dumps({"entity": {"PROJECT_ID": 7, "PROJECT_NAME": name}}).encode()
        assert said(await sender.post("/webhooks/crm", content=body, headers=GOOD)) == (200, "ok")
    assert [payload for _, payload in await rows(ledger, STORED)] == [
        {"kind": "project", "id": 7, "state": "", "updated": None}
    ] * 2


async def test_who_is_not_known_gets_one_answer_whatever_is_wrong(
    ledger: AsyncEngine, sender: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    guess, answers = "guessed-secret-99999", set()
    requests: list[tuple[str, dict[str, str]]] = [
        ("crm", JSON), ("crm", JSON | {"x-webhook-secret": guess}), (f"crm/{guess}", JSON),
        (f"crm?secret={guess}", JSON), ("crm", signature(b"", "msg_1")), ("crm", {}), ("bare", GOOD), ("weak", GOOD),
        ("weak/short", JSON), ("other", GOOD), (f"other/{OLD}", JSON), ("nowhere", GOOD), ("handoff_ledger", GOOD),
        ("crm", {"content-type": "image/png"}), ("crm%00", GOOD), ("%C3%BC", GOOD), ("x" * 300, GOOD),
    ]  # fmt: skip
    with caplog.at_level(logging.DEBUG):
        for path, headers in requests:
            began = time.monotonic()
            answer = await sender.post(f"/webhooks/{path}", content=won(31), headers=headers)
            assert time.monotonic() - began >= REFUSAL_SECONDS * 0.99, path
            answers.add((answer.status_code, answer.content, tuple(sorted(answer.headers.items()))))
    assert len(answers) == 1
    assert {status for status, *_ in answers} == {401}
    ours = "\n".join(one.getMessage() for one in caplog.records if not one.name.startswith(("httpx", "httpcore")))
    assert all(secret not in ours for secret in (OLD, NEW, guess))
    assert await rows(ledger, STORED) == []
    await rows_become(
        ledger, COUNTS, [("bare", "no_secret", 1), ("crm", "unauthenticated", 7), ("weak", "no_secret", 2)]
    )


async def test_a_secret_is_rotated_without_a_gap(
    ledger: AsyncEngine, sender: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts_module, "KNOWN_SECONDS", 0.0)

    async def statuses(secrets: str) -> list[int]:
        monkeypatch.setenv("AIRFLOW_CONN_CRM", account_connection(secrets))
        return [
            (await sender.post(f"/webhooks/crm/{secret}", content=won(31), headers=JSON)).status_code
            for secret in (OLD, NEW)
        ]

    assert await statuses(OLD) == [200, 401]
    assert await statuses(f"{OLD}\n{NEW}") == [200, 200]
    assert await statuses(NEW) == [401, 200]


async def test_refusals_are_clear_counted_and_reach_nobody(
    ledger: AsyncEngine, ledger_url: str, sender: AsyncClient
) -> None:
    large = b'{"entity": "' + b"x" * MOST_BYTES + b'"}'
    for content, headers, status in (
        (large, GOOD, 413), (won(31), GOOD | {"content-type": "application/xml"}, 415),
        (won(31), GOOD | {"content-encoding": "gzip"}, 415), (b"{", GOOD, 400), (b"\xff", GOOD, 400),
        (b"[" * 1000, GOOD, 400), (b"{}", GOOD, 422), (b'{"entity": {"CONTACT_ID": 1}}', GOOD, 422),
        (large, JSON, 413),
    ):  # fmt: skip
        answer = await sender.post("/webhooks/crm", content=content, headers=headers)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"].startswith("text/plain")
    nobody = await sender.post("/webhooks/nowhere", content=large, headers=JSON)
    assert said(nobody) == said(await sender.post("/webhooks/crm", content=large, headers=JSON))
    for method in ("GET", "PUT", "DELETE"):
        answer = await sender.request(method, "/webhooks/crm", headers=GOOD)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    expected = {"too_large": 3, "wrong_type": 2, "unreadable": 3, "unexpected": 2}
    await rows_become(ledger, COUNTS, [("crm", reason, count) for reason, count in sorted(expected.items())])
    assert await rows(ledger, STORED) == []
    assert await pokes(ledger) == ""
    await sender.post("/webhooks/crm", content=won(31), headers=GOOD)
    [shown] = (await handoff(ledger_url, "webhooks", "--json")).json["accounts"]
    counts = {name: shown[name] for name in ("account", "accepted", "repeated", "refused", "waiting", "problems")}
    assert counts == {
        "account": "crm", "accepted": 1, "repeated": 0, "refused": expected, "waiting": 0, "problems": 0
    }  # fmt: skip
    assert datetime.fromisoformat(shown["last_at"]) > datetime.now(UTC) - timedelta(hours=1)
    plain = await handoff(ledger_url, "webhooks", "--days", 1)
    assert (plain.status, "unreadable: 3" in plain.out) == (0, True)
    await change(ledger, "UPDATE handoff.webhook_counts SET day = day - 2")
    assert (await handoff(ledger_url, "webhooks", "--days", 2)).out.endswith("\nNothing was pushed here.\n")
    assert (await handoff(ledger_url, "webhooks", "--days", 3, "--json")).json["accounts"][0]["accepted"] == 1


async def test_a_flood_is_told_to_come_back_and_the_others_do_not_notice(
    ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CRM2", account_connection(OLD))
    app = create_app(Receiver(floods=Floods(0.001, 5)))
    async with AsyncClient(transport=ASGITransport(app), base_url="http://airflow") as sender:
        # Who is not known cannot use up what the account may send.
        for _ in range(7):
            assert (await sender.post("/webhooks/crm", content=b"{}", headers=JSON)).status_code == 401
        answers = [await sender.post("/webhooks/crm", content=won(n), headers=GOOD) for n in range(1, 9)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 3
        assert all(int(answer.headers["retry-after"]) > 100 for answer in answers[5:])
        assert said(await sender.post("/webhooks/crm2", content=won(1), headers=GOOD)) == (200, "ok")
    await rows_become(
        ledger, COUNTS,
        [("crm", "accepted", 5), ("crm", "too_many", 3), ("crm", "unauthenticated", 7), ("crm2", "accepted", 1)],
    )  # fmt: skip
    await close_ledger()


async def test_bodies_that_are_held_at_once_have_a_limit(ledger: AsyncEngine) -> None:
    app, held, goes_on = create_app(Receiver(room=Room(300 * 1024))), asyncio.Event(), asyncio.Event()
    large, small = (won(number).rjust(length) for number, length in ((31, 200 * 1024), (32, 50 * 1024)))

    async def slowly() -> AsyncIterator[half_sent.Piece]:
        for beginning in (0, 100 * 1024):
            yield half_sent.part(large[beginning : beginning + 100 * 1024])
        held.set()
        await goes_on.wait()
        yield half_sent.part(b"", more=False)

    async def push(pieces: AsyncIterator[half_sent.Piece], account: str = "crm") -> tuple[int, str]:
        status, headers, _ = await half_sent.post(app, f"/webhooks/{account}", pieces, **GOOD)
        return status, headers.get("retry-after", "")

    first = asyncio.create_task(push(slowly()))
    await asyncio.wait_for(held.wait(), 60)
    for account in ("crm", "nowhere"):
        assert await push(half_sent.sending(half_sent.part(large)), account) == (503, "5")
    assert await push(half_sent.sending(half_sent.part(small, more=False))) == (200, "")
    goes_on.set()
    assert await first == (200, "")
    assert await push(half_sent.sending(half_sent.part(large, more=False))) == (200, "")
    assert len(await rows(ledger, STORED)) == 2
    await close_ledger()


async def test_many_at_once_share_commits_and_the_same_among_them_is_stored_once(
    ledger: AsyncEngine, sender: AsyncClient
) -> None:
    numbers = [*range(1, 101)] * 2
    answers = await asyncio.gather(
        *(sender.post("/webhooks/crm", content=won(number), headers=GOOD) for number in numbers)
    )
    assert {said(answer) for answer in answers} == {(200, "ok")}
    assert sorted(payload["id"] for _, payload in await rows(ledger, STORED)) == [*range(1, 101)]
    assert await rows(ledger, COUNTS) == [("crm", "accepted", 100), ("crm", "repeated", 100)]
    [(commits,)] = await rows(ledger, "SELECT count(DISTINCT xmin::text) FROM handoff.deliveries")
    assert commits < 50


async def test_without_the_ledger_nothing_is_said_to_be_ok(
    ledger: AsyncEngine, ledger_url: str, sender: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_HANDOFF_LEDGER", json.dumps(
        {"conn_type": "handoff_ledger", "host": "127.0.0.1", "port": 1, "schema": "x"}
    ))  # fmt: skip
    answers = await asyncio.gather(*(sender.post("/webhooks/crm", content=won(n), headers=GOOD) for n in range(1, 9)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(503, "it may not be stored; send it again")}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
    await close_ledger()
    monkeypatch.setenv("AIRFLOW_CONN_HANDOFF_LEDGER", ledger_connection(ledger_url))
    assert (await sender.post("/webhooks/crm", content=won(1), headers=GOOD)).status_code == 200
    await cut_off(ledger_url)
    statuses = []
    while (status := (await sender.post("/webhooks/crm", content=won(2), headers=GOOD)).status_code) != 200:
        statuses.append(status)
        assert len(statuses) < 20
    assert set(statuses) <= {503}
    assert sorted(payload["id"] for _, payload in await rows(ledger, STORED)) == [1, 2]


async def test_a_commit_that_hangs_is_not_waited_for_for_ever(
    ledger: AsyncEngine, sender: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "COMMIT_SECONDS", 0.2)
    async with ledger.begin() as connection:
        await connection.exec_driver_sql("LOCK TABLE handoff.deliveries")
        assert (await sender.post("/webhooks/crm", content=won(1), headers=GOOD)).status_code == 503
        monkeypatch.setattr(journal_module, "MOST_WAITING", 0)
        assert (await sender.post("/webhooks/crm", content=won(2), headers=GOOD)).status_code == 503
    monkeypatch.undo()
    await rows_become(ledger, "SELECT count(*) FROM handoff.deliveries", [(1,)])


def test_the_routes_describe_themselves() -> None:
    described = get_openapi(title="Webhooks", version="1", routes=webhooks.router.routes)
    paths = described["paths"]
    for path in ("/webhooks/{account}", "/webhooks/{account}/{secret}"):
        push = paths[path]["post"]
        statuses = {"200", "400", "401", "408", "413", "415", "422", "429", "503"}
        assert statuses <= push["responses"].keys()
        assert "application/json" in push["requestBody"]["content"]
