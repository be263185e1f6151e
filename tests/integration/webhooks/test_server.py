"""The receiver in a real server on loopback: killed under load, and fed with anything."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest
from httpx import AsyncClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.intake import take_up_deliveries
from handoff.delivery.sweep import Sweep
from tests.support.etermin_world import put_rules, rule
from tests.support.pushing import Server, account_connection, booked, serving, won
from tests.support.rows import rows

SECRET = "a-good-secret-01234"
HEADERS = {"content-type": "application/json", "x-webhook-secret": SECRET}
ACCOUNTS = {"crm": account_connection(SECRET), "booking": account_connection(SECRET, "etermin")}
SENDERS, BEFORE_THE_KILL = 24, 150
BOOKED = "SELECT CAST(payload ->> 'appointment' AS int) FROM handoff.deliveries"
OCCASIONS = "SELECT CAST(key AS int) FROM handoff.occasions"
PLANNED = """
    SELECT CAST(occasion.key AS int), batch.rule_id, batch.state
    FROM handoff.batches AS batch JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
"""
STORED = "SELECT CAST(payload ->> 'id' AS int) FROM handoff.deliveries"


async def ready(server: Server) -> None:
    """Wait until the server answers."""
    async with AsyncClient(timeout=120) as client:
        assert (await client.post(f"{server.url}/webhooks/crm")).status_code == 401


async def send_until_killed(
    server: Server, account: str = "crm", content: Callable[[int], bytes] = won
) -> tuple[set[int], set[int]]:
    """Push one after the other from many senders, and kill the server among them.

    :param content: of a push by its number.
    :returns: the ids that were sent, and those that were answered ``ok``.
    """
    sent, accepted = set[int](), set[int]()

    async def one_sender(client: AsyncClient, first: int) -> None:
        for number in range(first, 1_000_000, SENDERS):
            sent.add(number)
            try:
                answer = await client.post(f"{server.url}/webhooks/{account}", content=content(number), headers=HEADERS)
            except httpx.HTTPError:
                return
            if (answer.status_code, answer.text) == (200, "ok"):
                accepted.add(number)
                if len(accepted) == BEFORE_THE_KILL:
                    server.kill()
            elif server.process.poll() is not None:
                return

    async with AsyncClient(timeout=120) as client:
        await asyncio.gather(*(one_sender(client, first) for first in range(1, SENDERS + 1)))
    return sent, accepted


@pytest.mark.chaos
async def test_killed_under_load_it_has_every_event_it_said_ok_to(ledger: AsyncEngine, ledger_url: str) -> None:
    with serving(ledger_url, ACCOUNTS) as server:
        await ready(server)
        sent, accepted = await send_until_killed(server)
    assert len(accepted) >= BEFORE_THE_KILL
    assert len(sent) > len(accepted), "nobody was sending when it was killed"
    stored = [number for (number,) in await rows(ledger, STORED)]
    assert accepted <= set(stored) <= sent
    assert len(stored) == len(set(stored))
    # The senders repeat what they got no answer to; nothing is stored twice.
    with serving(ledger_url, ACCOUNTS) as server:
        await ready(server)
        async with AsyncClient(timeout=120) as client:
            address = f"{server.url}/webhooks/crm"
            again = [client.post(address, content=won(number), headers=HEADERS) for number in sorted(sent)]
            assert {(one.status_code, one.text) for one in await asyncio.gather(*again)} == {(200, "ok")}
    assert sorted(number for (number,) in await rows(ledger, STORED)) == sorted(sent)
    [(counted,)] = await rows(ledger, "SELECT sum(count) FROM handoff.webhook_counts WHERE outcome = 'accepted'")
    assert counted == len(sent)


@pytest.mark.chaos
async def test_killed_while_it_records_bookings_the_sweep_records_each_once(
    ledger: AsyncEngine, ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [reminder] = put_rules(tmp_path, rule("reminder", {"hours": 1, "before": "start"}) | {"conn_id": "booking"})
    monkeypatch.setenv("HANDOFFS_HOME", str(tmp_path))
    with serving(ledger_url, ACCOUNTS) as server:
        await ready(server)
        sent, accepted = await send_until_killed(server, "booking", booked)
    assert len(accepted) >= BEFORE_THE_KILL
    stored = {number for (number,) in await rows(ledger, BOOKED)}
    assert accepted <= stored <= sent
    await take_up_deliveries(Sweep(ledger, [reminder], None))  # type: ignore[arg-type]
    assert await rows(ledger, "SELECT count(*) FROM handoff.deliveries WHERE processed_at IS NULL") == [(0,)]
    assert {number for (number,) in await rows(ledger, OCCASIONS)} == stored
    batches = await rows(ledger, PLANNED)
    assert sorted(batches) == sorted((number, "reminder", "waiting") for number in stored)


@pytest.fixture
def server(ledger_url: str) -> Iterator[Server]:
    """A running server."""
    with serving(ledger_url, ACCOUNTS) as running:
        asyncio.run(ready(running))
        yield running


TYPES = st.sampled_from(["application/json", "text/plain", "text/json; charset=utf-8", "application/xml", "", "\x7f;="])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(["OPPORTUNITY_ID", "PROJECT_ID", "OPPORTUNITY_STATE", "STATUS", "DATE_UPDATED_UTC"])
TIMES = st.integers().map("/Date({})/".format)
ENTITIES = st.dictionaries(FIELDS, VALUES | st.integers(1, 99) | TIMES).map(lambda entity: {"entity": entity})
CLEAR = {200, 400, 401, 413, 415, 422, 429}


def check_alive(server: Server, answer: httpx.Response) -> None:
    assert answer.status_code in CLEAR, answer.text
    assert server.process.poll() is None


@pytest.mark.integration
def test_no_bytes_bring_it_down(server: Server) -> None:
    with httpx.Client(base_url=server.url, timeout=120) as client:

        @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(st.binary(max_size=600), TYPES)
        def any_bytes(body: bytes, content_type: str) -> None:
            headers = HEADERS | {"content-type": content_type}
            check_alive(server, client.post("/webhooks/crm", content=body, headers=headers))

        @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(ENTITIES | VALUES)
        def any_document(document: object) -> None:
            body = json.dumps(document).encode("utf-8", "surrogatepass")
            check_alive(server, client.post("/webhooks/crm", content=body, headers=HEADERS))

        @settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(st.text(max_size=40), st.text(max_size=40), st.binary(max_size=60))
        def any_path_and_header(account: str, secret: str, header: bytes) -> None:
            path = f"/webhooks/{quote(account or 'crm', safe='')}/{quote(secret, safe='')}"
            value = bytes(one for one in header if 32 <= one != 127).strip()
            names = (b"authorization", b"x-webhook-secret", b"webhook-id", b"webhook-timestamp", b"webhook-signature")
            answer = client.post(path, content=b"{}", headers=[(name, value) for name in names])
            assert answer.status_code in CLEAR | {404, 405}, answer.text
            assert server.process.poll() is None

        any_bytes()
        any_document()
        any_path_and_header()
        check_alive(server, client.post("/webhooks/crm", content=won(1), headers=HEADERS))


@pytest.mark.integration
async def test_no_raw_request_brings_it_down(ledger: AsyncEngine, server: Server) -> None:
    head = (
        f"POST /webhooks/crm HTTP/1.1\r\nHost: x\r\nX-Webhook-Secret: {SECRET}\r\nContent-Type: text/json\r\n".encode()
    )
    requests = [
        head + b"Content-Length: 500\r\n\r\n{",
        head + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\nzz\r\n",
        head + b"Content-Length: 99999999999999999999\r\n\r\n{",
        head + b"Content-Length: -1\r\n\r\n{", head + b"Content-Length: x\r\n\r\n{",
        b"POST /webhooks/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"POST", b"",
    ]  # fmt: skip
    for request in requests:
        await asyncio.to_thread(send_and_leave, server, request)
    async with AsyncClient(timeout=120) as client:
        answer = await client.post(f"{server.url}/webhooks/crm", content=won(1), headers=HEADERS)
    assert (answer.status_code, answer.text) == (200, "ok")
    assert await rows(ledger, STORED) == [(1,)]


def send_and_leave(server: Server, request: bytes) -> None:
    """Send something and go away, after what is answered at once."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=60) as connection:
        connection.sendall(request)
        connection.settimeout(0.3)
        ends = time.monotonic() + 0.3
        try:
            while time.monotonic() < ends and connection.recv(4096):
                pass
        except OSError:
            return
