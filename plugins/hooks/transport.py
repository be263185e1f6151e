"""Carries a vendor's protocol over HTTP: aiohttp for many calls at once, requests for single ones.

Both follow no redirect, keep no cookie, repeat nothing by themselves, limit time and size,
and say of every failure whether the request may have had its effect.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import requests
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from handoff.errors import TargetError
from hooks.lost_answer import AnswerTooLarge, lost
from hooks.protocols.shared import Aside, Conversation, Shared
from hooks.protocols.wire import Request, Response

Result = TypeVar("Result")
Throttle = Callable[[], Awaitable[None]]

CHUNK = 64 * 1024
KEEP_ALIVE_SECONDS = 4.0
"""Shorter than common servers keep a connection (5 s and more), so that calls seldom meet one just closed."""
USER_AGENT = "airflow-handoffs"
NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
"""Failures to get a connection at all; after any other, the request may have left."""


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Hide a dead connection from aiohttp, which would send PUT, DELETE and GET a second time by itself."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        failure = aiohttp.ClientConnectionError(str(error))
    raise failure


def _proxy(base_url: str) -> str | None:
    parts = urlsplit(base_url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


class AsyncTransport:
    """Drives operations of one account over one aiohttp session.

    :param account: Airflow connection id, for errors.
    :param base_url: what every request's path is appended to.
    :param timeout: seconds for a whole answer, unless a request gives it more.
    :param connect_timeout: seconds to get a connection.
    :param connections: size of the connection pool.
    :param throttle: awaited before every HTTP request, reads and logins included.
    """

    def __init__(
        self,
        account: str,
        base_url: str,
        *,
        timeout: float = 10.0,
        connect_timeout: float = 5.0,
        connections: int = 512,
        throttle: Throttle | None = None,
    ) -> None:
        self.account, self.base_url = account, base_url.rstrip("/")
        self._timeout, self._connect_timeout = timeout, connect_timeout
        self._connections, self._throttle = connections, throttle
        self._session: aiohttp.ClientSession | None = None
        self._shared: dict[str, asyncio.Task[Any]] = {}

    async def run(self, operation: Conversation[Result]) -> Result:
        """Drive an operation to its end and return its result.

        :raises TargetError: what the operation made of the answers, or the failure to get one.
        """
        step: Callable[[], Request | Shared | Aside] = partial(operation.send, None)
        try:
            while True:
                wanted = step()
                try:
                    step = partial(operation.send, await self._answer(wanted))
                except TargetError as error:
                    step = partial(operation.throw, error)
        except StopIteration as stop:
            return stop.value
        finally:
            operation.close()

    async def close(self) -> None:
        """End shared work and close the connections; safe to call twice."""
        tasks = list(self._shared.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session:
            await self._session.close()

    async def _answer(self, wanted: Request | Shared | Aside) -> Any:
        if isinstance(wanted, Request):
            return await self._exchange(wanted)
        if isinstance(wanted, Aside):
            return await asyncio.to_thread(wanted.work)
        task = self._shared.get(wanted.key)
        if task is None:
            task = self._shared[wanted.key] = asyncio.create_task(self.run(wanted.start()))
            task.add_done_callback(partial(self._forget, wanted.key))
        return await asyncio.shield(task)

    def _forget(self, key: str, task: asyncio.Task[Any]) -> None:
        self._shared.pop(key, None)
        if not task.cancelled():
            task.exception()

    async def _exchange(self, request: Request) -> Response:
        if self._throttle:
            await self._throttle()
        began = time.monotonic()
        try:
            async with self._client().request(
                request.method,
                self.base_url + request.path,
                params=request.query,
                headers=request.headers,
                json=request.json,
                data=request.form,
                allow_redirects=False,
                timeout=self._patience(request),
            ) as reply:
                headers = {name.lower(): value for name, value in reply.headers.items()}
                body = await self._body(request, reply)
                return Response(reply.status, headers, body, time.monotonic() - began)
        except (aiohttp.ClientError, OSError, ValueError, AnswerTooLarge) as error:
            failure = lost(self.account, request, error, not isinstance(error, NEVER_SENT))
        raise failure

    def _patience(self, request: Request) -> aiohttp.ClientTimeout:
        seconds = self._connect_timeout + max(self._timeout, request.timeout)
        return aiohttp.ClientTimeout(total=seconds, connect=self._connect_timeout)

    @staticmethod
    async def _body(request: Request, reply: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in reply.content.iter_any():
            body += chunk
            if len(body) > request.most_bytes:
                raise AnswerTooLarge
        return bytes(body)

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=KEEP_ALIVE_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": USER_AGENT},
                proxy=_proxy(self.base_url),
                middlewares=(_send_once,),
            )
        return self._session


class SyncTransport:
    """Drives operations of one account over a requests session, one request at a time.

    :param session: e.g. from :meth:`HttpHook.get_conn`; its cookie policy is closed.
    :param timeout: seconds for a whole answer, unless a request gives it more.
    :param connect_timeout: seconds to get a connection.
    """

    def __init__(
        self,
        session: requests.Session,
        account: str,
        base_url: str,
        *,
        timeout: float = 10.0,
        connect_timeout: float = 5.0,
    ) -> None:
        self.session, self.account, self.base_url = session, account, base_url.rstrip("/")
        self.timeout, self.connect_timeout = timeout, connect_timeout
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        session.headers["User-Agent"] = USER_AGENT

    def run(self, operation: Conversation[Result]) -> Result:
        """Drive an operation to its end and return its result.

        :raises TargetError: what the operation made of the answers, or the failure to get one.
        """
        step: Callable[[], Request | Shared | Aside] = partial(operation.send, None)
        try:
            while True:
                wanted = step()
                try:
                    step = partial(operation.send, self._answer(wanted))
                except TargetError as error:
                    step = partial(operation.throw, error)
        except StopIteration as stop:
            return stop.value
        finally:
            operation.close()

    def _answer(self, wanted: Request | Shared | Aside) -> Any:
        if isinstance(wanted, Request):
            return self._exchange(wanted)
        return wanted.work() if isinstance(wanted, Aside) else self.run(wanted.start())

    def _exchange(self, request: Request) -> Response:
        timeout, began = max(self.timeout, request.timeout), time.monotonic()
        try:
            with self.session.request(
                request.method,
                self.base_url + request.path,
                params=dict(request.query),
                headers=dict(request.headers),
                json=request.json,
                data=request.form,
                allow_redirects=False,
                stream=True,
                timeout=(self.connect_timeout, timeout),
            ) as reply:
                headers = {name.lower(): value for name, value in reply.headers.items()}
                body = self._body(request, reply, timeout)
                return Response(reply.status_code, headers, body, time.monotonic() - began)
        except (requests.RequestException, OSError, ValueError, AnswerTooLarge) as error:
            failure = lost(self.account, request, _inner(error), sent=not _never_connected(error))
        raise failure

    @staticmethod
    def _body(request: Request, reply: requests.Response, timeout: float) -> bytes:
        deadline = time.monotonic() + timeout
        body = bytearray()
        for chunk in reply.iter_content(CHUNK):
            body += chunk
            if len(body) > request.most_bytes:
                raise AnswerTooLarge
            if time.monotonic() > deadline:
                raise TimeoutError
        return bytes(body)


def _inner(error: BaseException) -> BaseException:
    """Return urllib3's reason for a failed connection, which names the cause better than requests does."""
    reason = error.args[0].reason if error.args and isinstance(error.args[0], MaxRetryError) else None
    return reason if isinstance(reason, NewConnectionError) else error


def _never_connected(error: BaseException) -> bool:
    """Whether requests failed before anything was sent; a ``ValueError`` is about writing the request.

    A failed TLS check counts as sent unless it is about the certificate: requests does not tell a
    handshake from an encrypted connection that broke later.
    """
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError | ValueError):
        return True
    reason = error.args[0].reason if error.args and isinstance(error.args[0], MaxRetryError) else None
    return isinstance(reason, ConnectTimeoutError | NewConnectionError) or "CERTIFICATE_VERIFY_FAILED" in str(reason)
