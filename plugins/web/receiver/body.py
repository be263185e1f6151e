"""Reading a body within limits, all of them checked before anything is parsed."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from typing import Any, Literal, NoReturn

from starlette.requests import ClientDisconnect, Request

from web.receiver.refusal import Refusal

MOST_BYTES = 256 * 1024
BODY_SECONDS = 10.0
DEEPEST = 32
"""Levels of nesting of JSON."""


Ending = Literal["whole", "too_large", "too_slow", "ended_early"]
Hold = Callable[[int], None]
"""Told of each piece of a body, by its length, before it is kept; what it raises ends the reading."""


async def read_into(body: bytearray, request: Request, most: int, hold: Hold = lambda _: None) -> Ending:
    """Read a request's body for at most :data:`BODY_SECONDS`; say how that ended.

    :param body: gets what arrives. :param most: bytes; reading ends with what is beyond.
    """
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                hold(len(chunk))
                body += chunk
                if len(body) > most:
                    return "too_large"
    except TimeoutError:
        return "too_slow"
    except ClientDisconnect:
        return "ended_early"
    return "whole"


async def read_body(request: Request, hold: Hold) -> bytes:
    """Return a request's whole body.

    :param hold: takes room for it, see :class:`web.receiver.room.Room`.
    :raises Refusal: it is larger than :data:`MOST_BYTES`, came too slowly, the sender went away, or there is no room.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > 12 or int(announced) > MOST_BYTES):
        raise Refusal("too_large", f"at most {MOST_BYTES} bytes")
    body = bytearray()
    ending = await read_into(body, request, MOST_BYTES, hold)
    if ending == "too_large":
        raise Refusal("too_large", f"at most {MOST_BYTES} bytes")
    if ending == "too_slow":
        raise Refusal("too_slow")
    if ending == "ended_early":
        raise Refusal("unreadable", "it ended early")
    return bytes(body)


def media_type(request: Request) -> str:
    """Return a request's content type in lower case without its parameters, empty when it names none.

    :raises Refusal: its body is compressed, or in another character set than UTF-8.
    """
    kind, *parameters = request.headers.get("content-type", "").lower().split(";")
    if request.headers.get("content-encoding", "identity").strip().lower() not in {"identity", ""}:
        raise Refusal("wrong_type", "send it uncompressed")
    for name, _, value in (parameter.partition("=") for parameter in parameters):
        if name.strip() == "charset" and value.strip(' "') not in {"utf-8", "utf8", "us-ascii"}:
            raise Refusal("wrong_type", "send UTF-8")
    return kind.strip()


def text_of(body: bytes) -> str:
    """Return a body as text. :raises Refusal: it is not UTF-8."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refusal("unreadable", "it is not UTF-8") from None


def json_of(body: bytes) -> Any:
    """Return a body's JSON; numbers are finite, as PostgreSQL wants them.

    :raises Refusal: it is not UTF-8, nested too deeply, or not JSON.
    """
    words = text_of(body)
    refuse_deep(words)
    try:
        return json.loads(words, parse_constant=_no_number, parse_float=_finite)
    except ValueError:
        raise Refusal("unreadable", "it is not JSON") from None


def refuse_deep(words: str) -> None:
    """Check the nesting of JSON. :raises Refusal: it is nested too deeply."""
    if _deeper(words, DEEPEST):
        raise Refusal("unreadable", f"it is nested deeper than {DEEPEST} levels")


def _deeper(words: str, levels: int) -> bool:
    """Tell whether JSON is nested deeper, without a parser that would itself go so deep."""
    if words.count("[") + words.count("{") <= levels:
        return False
    depth, in_text, escaped = 0, False, False
    for character in words:
        if in_text:
            in_text, escaped = escaped or character != '"', not escaped and character == "\\"
        elif character == '"':
            in_text = True
        elif character in "[{":
            depth += 1
            if depth > levels:
                return True
        elif character in "]}":
            depth -= 1
    return False


def _no_number(_: str) -> NoReturn:
    raise ValueError("not a number of JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number too large")
    return number
