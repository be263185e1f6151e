"""Requests whose body does not come whole: the sender goes away in the middle of it, or falls silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI

Piece = dict[str, Any]
GONE: Piece = {"type": "http.disconnect"}


def part(body: bytes, *, more: bool = True) -> Piece:
    """Return a piece of a body. :param more: whether others follow."""
    return {"type": "http.request", "body": body, "more_body": more}


async def sending(*pieces: Piece) -> AsyncIterator[Piece]:
    """Give the pieces one after the other."""
    for piece in pieces:
        yield piece


async def post(
    app: FastAPI, path: str, pieces: AsyncIterator[Piece], **headers: str
) -> tuple[int, dict[str, str], str]:
    """Return the answer to a POST: status, headers and text. After the last of the pieces the sender is silent.

    :raises TimeoutError: there was none within a minute.
    """
    sent: list[Piece] = []

    async def receive() -> Piece:
        async for piece in pieces:
            return piece
        await asyncio.Event().wait()
        return GONE

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("203.0.113.7", 4711), "server": ("airflow", 80),
    }  # fmt: skip
    await asyncio.wait_for(app(scope, receive, send), 60)
    given = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], given, b"".join(one.get("body", b"") for one in sent[1:]).decode()
