"""Signed calls to the stand-in of eTermin, written without the hook's code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from typing import Any

import aiohttp

from sandbox import ETERMIN_PRIVATEKEY, ETERMIN_PUBLICKEY

API = "/etermin/api"


def signed(salt: str = "", key: str = ETERMIN_PRIVATEKEY) -> dict[str, str]:
    """Return the three headers, with a fresh salt unless one is given."""
    salt = salt or uuid.uuid4().hex
    digest = hmac.new(key.encode(), salt.encode(), hashlib.sha256).digest()
    return {"publickey": ETERMIN_PUBLICKEY, "salt": salt, "signature": base64.b64encode(digest).decode()}


async def call(http: aiohttp.ClientSession, method: str, path: str, **params: str) -> Any:
    """Call the API with parameters in the query and return its JSON."""
    async with http.request(method, f"{API}/{path}", params=params, headers=signed()) as response:
        assert response.status == 200, await response.text()
        return await response.json(content_type=None)


async def book(http: aiohttp.ClientSession, start: str, end: str, **params: str) -> dict[str, Any]:
    """Create an appointment, in the calendar 90709 unless another one is given, and return the answer's row."""
    (row,) = await call(http, "POST", "appointment", start=start, end=end, **{"calendarid": "90709", **params})
    return row


async def order(http: aiohttp.ClientSession, call_name: str, **body: Any) -> Any:
    """Give the sandbox an order about eTermin and return its answer."""
    async with http.post(f"/_sandbox/etermin/{call_name}", json=body) as response:
        assert response.status in {200, 201}, await response.text()
        return await response.json()
