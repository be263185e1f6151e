"""A small HTTP server on loopback whose behaviour a test writes itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Loopback:
    """The running server.

    :ivar seen: method and path of every request that arrived, in order.
    """

    def __init__(self, handler: Handler) -> None:
        self.seen: list[tuple[str, str]] = []
        self.url = ""
        self._handler = handler

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Note the request and do what the test wants."""
        self.seen.append((request.method, request.path))
        return await self._handler(request)


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Loopback]:
    """Serve in this event loop."""
    server = Loopback(handler)
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()
