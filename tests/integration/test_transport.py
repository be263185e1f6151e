"""Both transports against a real server that misbehaves."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from handoff.errors import TargetError, Transient, UnknownOutcome
from hooks.protocols.shared import Aside, Conversation, Shared
from hooks.protocols.wire import Request, Response
from hooks.transport import AsyncTransport, SyncTransport
from tests.support.loopback import Handler, serving

pytestmark = pytest.mark.integration
Carry = Callable[..., Any]


def one(method: str = "POST", path: str = "/thing", **values: Any) -> Conversation[Response]:
    return (yield Request(method, path, "do it", **{"changes": method != "GET", **values}))


async def by_aiohttp(url: str, *operations: Conversation[Any]) -> Any:
    transport = AsyncTransport("acc", url, timeout=0.4, connect_timeout=0.4)
    try:
        return [await transport.run(operation) for operation in operations][-1]
    finally:
        await transport.close()


async def by_requests(url: str, *operations: Conversation[Any]) -> Any:
    def run() -> Any:
        with requests.Session() as session:
            transport = SyncTransport(session, "acc", url, timeout=0.4, connect_timeout=0.4)
            return [transport.run(operation) for operation in operations][-1]

    return await asyncio.to_thread(run)


@pytest.fixture(params=[by_aiohttp, by_requests], ids=["aiohttp", "requests"])
def carry(request: pytest.FixtureRequest) -> Carry:
    return request.param


async def drop(request: web.Request) -> web.StreamResponse:
    await request.read()
    request.transport.abort()
    return web.Response()


async def drop_in_the_body(request: web.Request) -> web.StreamResponse:
    reply = web.StreamResponse(headers={"Content-Length": "100"})
    await reply.prepare(request)
    await reply.write(b"[tr")
    request.transport.close()
    return reply


async def hang(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(1)
    return web.Response()


async def drip(request: web.Request) -> web.StreamResponse:
    reply = web.StreamResponse()
    await reply.prepare(request)
    for _ in range(10):
        await reply.write(b" ")
        await asyncio.sleep(0.1)
    return reply


async def flood(request: web.Request) -> web.StreamResponse:
    return web.Response(body=b" " * 5000)


FAULTS: dict[str, Handler] = {
    "drop": drop,
    "drop in the body": drop_in_the_body,
    "hang": hang,
    "drip": drip,
    "flood": flood,
}


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_lost_answer_is_unknown_after_a_change_transient_after_a_read_and_never_repeated(carry, fault, method):
    async with serving(fault) as server:
        with pytest.raises(Transient if method == "GET" else UnknownOutcome, match="acc: do it"):
            await carry(server.url, one(method, most_bytes=4096))
        assert server.seen == [(method, "/thing")]


async def test_a_request_says_how_large_its_answer_may_be_and_how_long_it_may_take(carry):
    async with serving(flood) as server:
        assert len((await carry(server.url, one("GET", most_bytes=5000))).body) == 5000
        with pytest.raises(Transient, match=r"the answer is larger than 0.00390625 MiB and was not read"):
            await carry(server.url, one("GET", most_bytes=4096))
    for slow in (hang, drip):
        async with serving(slow) as server:
            assert (await carry(server.url, one("GET", timeout=60.0))).status == 200
            with pytest.raises(Transient):
                await carry(server.url, one("GET", timeout=0.1))


async def test_work_that_takes_long_is_done_aside_and_its_error_is_the_operations(carry):
    def reading(work: Callable[[], Any]) -> Conversation[Any]:
        try:
            return (yield Aside(work))
        except Transient as error:
            return str(error)

    def fail() -> None:
        raise Transient("acc", "do it")

    assert await carry("http://127.0.0.1", reading(threading.get_ident)) != threading.get_ident()
    assert "acc: do it" in await carry("http://127.0.0.1", reading(fail))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "GET"])
async def test_a_dropped_connection_is_not_tried_twice(carry, method):
    async with serving(drop) as server:
        with pytest.raises(Transient if method == "GET" else UnknownOutcome):
            await carry(server.url, one(method))
        assert server.seen == [(method, "/thing")]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "GET"])
async def test_a_kept_connection_that_turns_out_dead_is_not_tried_twice(carry, method):
    async def first_well_then_drop(request: web.Request) -> web.StreamResponse:
        return web.Response(text="[]") if request.path == "/first" else await drop(request)

    async with serving(first_well_then_drop) as server:
        with pytest.raises(Transient if method == "GET" else UnknownOutcome):
            await carry(server.url, one("GET", "/first"), one(method, "/second"))
        assert server.seen == [("GET", "/first"), (method, "/second")]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def test_a_refused_connection_had_no_effect(carry):
    with pytest.raises(Transient, match="refused"):
        await carry(f"http://127.0.0.1:{_free_port()}", one())


async def test_an_unknown_host_had_no_effect(carry, monkeypatch):
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Transient, match="host name is not known"):
        await carry("http://nowhere.invalid", one())


async def test_a_connection_that_is_not_accepted_in_time_had_no_effect(carry):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for queued in waiting:
            queued.setblocking(False)
            queued.connect_ex(address)
        with pytest.raises(Transient, match="no connection in time"):
            await carry(f"http://127.0.0.1:{address[1]}", one())
        for queued in waiting:
            queued.close()


async def test_a_request_that_cannot_be_written_ends_in_a_typed_error(carry):
    async with serving(hang) as server:
        with pytest.raises(TargetError):
            await carry(server.url, one(headers={"Api-Token": "two\nlines"}))
        assert server.seen == []


async def test_an_untrusted_certificate_had_no_effect(carry, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_self_signed(tmp_path / "server.pem"))
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context)
    async with server:
        with pytest.raises(Transient, match="TLS failed"):
            await carry(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", one())


def _self_signed(file: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    certificate = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    encoding = serialization.Encoding.PEM
    file.write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(encoding)
    )
    return file


async def test_what_goes_over_the_wire(carry):
    arrived: list[dict[str, Any]] = []

    async def note(request: web.Request) -> web.StreamResponse:
        arrived.append({
            "query": dict(request.query),
            "raw": request.query_string,
            "type": request.content_type,
            "body": await request.text(),
            "headers": request.headers,
        })
        return web.json_response([True], headers={"X-Answer": "yes", "Set-Cookie": "sid=1"})

    async with serving(note) as server:
        base = server.url + "/api/3/"
        form = one("POST", form={"email": "a+b@example.org", "name": "Öz"})
        read = one("GET", query={"email": "a+b@example.org"}, headers={"Api-Token": "t"})
        answer = await carry(base, one("POST", json={"name": "Öz 😀"}), form, read)
    assert server.seen == [("POST", "/api/3/thing"), ("POST", "/api/3/thing"), ("GET", "/api/3/thing")]
    assert (answer.status, answer.json(), answer.headers["x-answer"]) == (200, [True], "yes")
    sent_json, sent_form, sent_read = arrived
    assert (sent_json["type"], json.loads(sent_json["body"])) == ("application/json", {"name": "Öz 😀"})
    assert sent_form["type"] == "application/x-www-form-urlencoded"
    assert sent_form["body"] == "email=a%2Bb%40example.org&name=%C3%96z"
    assert sent_read["query"] == {"email": "a+b@example.org"}
    assert sent_read["headers"]["Api-Token"] == "t"
    assert not any("Cookie" in item["headers"] or "Authorization" in item["headers"] for item in arrived)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_handed_to_the_protocol_and_not_followed(carry, status):
    async def redirect(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with serving(redirect) as server:
        assert (await carry(server.url, one())).status == status
        assert server.seen == [("POST", "/thing")]


async def test_an_error_never_shows_the_query(carry):
    async with serving(drop) as server:
        operation = one("GET", query={"email": "eva@example.org"})
        with pytest.raises(Transient) as error:
            await carry(server.url, operation)
    shown = "".join(traceback.format_exception(error.value))
    assert "eva" not in shown


async def test_an_operation_may_handle_a_lost_answer(carry):
    def recover() -> Conversation[str]:
        try:
            yield Request("POST", "/first", "try", changes=True)
        except UnknownOutcome:
            yield Request("GET", "/second", "look", changes=False)
        return "recovered"

    async def drop_first(request: web.Request) -> web.StreamResponse:
        return await drop(request) if request.path == "/first" else web.Response()

    async with serving(drop_first) as server:
        assert await carry(server.url, recover()) == "recovered"


def shared_login(key: str = "login") -> Conversation[int]:
    def login() -> Conversation[int]:
        return (yield Request("POST", "/login", "sign in", changes=False)).status

    return (yield Shared(key, login))


async def test_shared_work_is_done_once_for_all_who_want_it_at_the_same_time():
    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.05)
        return web.Response()

    async with serving(slow) as server:
        transport = AsyncTransport("acc", server.url)
        assert await asyncio.gather(*(transport.run(shared_login()) for _ in range(128))) == [200] * 128
        assert len(server.seen) == 1
        await transport.run(shared_login())
        assert len(server.seen) == 2
        await transport.close()


async def test_the_error_of_shared_work_reaches_all_and_the_next_tries_again():
    async with serving(drop) as server:
        transport = AsyncTransport("acc", server.url)
        results = await asyncio.gather(*(transport.run(shared_login()) for _ in range(20)), return_exceptions=True)
        assert all(isinstance(result, Transient) for result in results)
        with pytest.raises(Transient):
            await transport.run(shared_login())
        assert len(server.seen) == 2
        await transport.close()


async def test_shared_work_outlives_one_who_gave_up():
    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.1)
        return web.Response()

    async with serving(slow) as server:
        transport = AsyncTransport("acc", server.url)
        first, second = (asyncio.create_task(transport.run(shared_login())) for _ in range(2))
        await asyncio.sleep(0.02)
        first.cancel()
        assert await second == 200
        assert len(server.seen) == 1
        await transport.close()
        await transport.close()


async def test_the_throttle_is_awaited_before_every_request_and_outside_the_timeout():
    log: list[str] = []

    async def throttle() -> None:
        log.append("wait")
        await asyncio.sleep(0.15)

    async def note(request: web.Request) -> web.StreamResponse:
        log.append(request.path)
        return web.Response()

    def two() -> Conversation[None]:
        yield Request("GET", "/a", "read", changes=False)
        yield Request("POST", "/b", "write", changes=True)

    async with serving(note) as server:
        transport = AsyncTransport("acc", server.url, timeout=0.05, connect_timeout=0.05, throttle=throttle)
        await transport.run(two())
        await transport.close()
    assert log == ["wait", "/a", "wait", "/b"]


async def test_waiting_for_the_turn_is_no_part_of_what_an_answer_took():
    async def throttle() -> None:
        await asyncio.sleep(0.3)

    async def at_once(request: web.Request) -> web.StreamResponse:
        return web.Response()

    async with serving(at_once) as server:
        transport, began = AsyncTransport("acc", server.url, throttle=throttle), time.monotonic()
        answered = await transport.run(one())
        await transport.close()
    assert 0 < answered.took <= time.monotonic() - began - 0.3


async def test_waiting_for_a_connection_of_the_pool_has_no_effect():
    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(2)
        return web.Response()

    async with serving(slow) as server:
        transport = AsyncTransport("acc", server.url, timeout=10, connect_timeout=0.7, connections=1)
        results = await asyncio.gather(transport.run(one()), transport.run(one()), return_exceptions=True)
        await transport.close()
        assert len(server.seen) == 1
    assert [type(result) for result in results] == [Response, Transient]
