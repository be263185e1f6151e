"""The app as Airflow's plugin manager gets it: made on the first request, and not before.

Every part of Airflow loads its plugins, also the workers, and importing FastAPI with Airflow's
security takes most of a second. Only the API server serves requests.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from importlib import import_module
from typing import Any

Message = MutableMapping[str, Any]


@cache
def _app() -> Callable[..., Awaitable[None]]:
    app: Callable[..., Awaitable[None]] = import_module("web.app").create_app()
    return app


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Answer a request (ASGI)."""
    await _app()(scope, receive, send)
