"""Reading a target's answer strictly: what does it say about the effect?"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from handoff.errors import RateLimited, Refused, TargetError, Transient, UnknownOutcome, WrongCredentials
from handoff.spellings import left_out
from hooks.protocols.wire import Request, Response

ADDRESS = re.compile(r"[^\s\"'<>()\[\],;:=]+(?:@|%(?:25)*40)[^\s\"'<>()\[\],;:=]+")
"""Also percent-encoded, as in the URL of a lookup that the vendor repeats."""
NUMBER = re.compile(r"\+?\d[\d /-]{6,}\d")
NOT_PERSONAL = frozenset({"name", "tag", "tagType", "tags", "field", "contact", "list"})
"""Keys of request bodies whose texts are the account's names and ids, not the contact's data."""
MAX_WORDS = 300
LONGEST_NAME = 200
"""What is longer is a text, which nobody puts into a link or writes in another case."""
TURNED_AWAY = frozenset({401, 403, 407})
"""Nothing is carried out for somebody who is not let in, by the target or by a proxy before it."""
NOT_THERE = frozenset({404, 405, 410, 421})
"""Nobody there carries such a call out: the host, its path, or what answers in the vendor's place is another one."""
NOT_LIKE_THIS = frozenset({400, 411, 413, 414, 415, 422, 431})
"""The request was turned down for its form, before anything was done with it."""


class Denied(Refused):
    """A refusal with the facts a protocol needs to decide what comes next.

    :param status: HTTP status. :param code: the vendor's own error number, if it gave one.
    """

    def __init__(self, account: str, operation: str, words: str, status: int, code: int | None = None) -> None:
        super().__init__(account, operation, words)
        self.status, self.code = status, code


def unreadable(account: str, request: Request, words: str) -> TargetError:
    """Return the error for an answer that cannot be trusted: did the request change anything?"""
    kind = UnknownOutcome if request.changes else Transient
    return kind(account, request.operation, words)


def decode(account: str, request: Request, response: Response) -> Any:
    """Decode a JSON answer.

    :raises TargetError: it is empty, HTML or malformed; its status may still say what became of the request
        (:func:`undecodable`).
    """
    try:
        return response.json()
    except (ValueError, RecursionError):
        pass
    raise undecodable(account, request, response)


def undecodable(account: str, request: Request, response: Response) -> TargetError:
    """Return what an answer without JSON says of the effect, by its status alone.

    Such an answer is seldom the vendor's own, so that 404 never says that a contact or a record is gone. 408, 409 and
    425 may come after a beginning (a proxy that grew impatient, the same call twice), and 406 after everything was
    done; they and all others say nothing.
    """
    kind = response.headers.get("content-type", "no content type").partition(";")[0]
    words = f"HTTP {response.status} without JSON: {len(response.body)} bytes of {kind}"
    if response.status in TURNED_AWAY:
        words += ", from the target or from a proxy or firewall before it"
        return WrongCredentials(account, request.operation, words)
    if response.status in NOT_THERE:
        return Transient(account, request.operation, f"{words}; check the connection's host")
    if response.status in NOT_LIKE_THIS:
        return Denied(account, request.operation, words, response.status)
    return unreadable(account, request, words)


def retry_after(response: Response) -> float | None:
    """Return the seconds that ``Retry-After`` (seconds or HTTP date) asks to wait; ``None`` without it."""
    text = response.headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def read(account: str, request: Request, response: Response, explain: Callable[[Any], tuple[str, int | None]]) -> Any:
    """Return the document of a successful answer.

    :param explain: the vendor's words and error number in the document of a refusal.
    :raises RateLimited: status 429. :raises Denied: another status 4xx with a JSON document.
    :raises UnknownOutcome: nothing can be said of the effect. :raises Transient: the same, after a read.
    :raises TargetError: there is no JSON document, see :func:`undecodable`.
    """
    if response.status == 429:
        raise RateLimited(account, request.operation, "HTTP 429", retry_after(response))
    if response.status >= 500:
        raise unreadable(account, request, f"HTTP {response.status}")
    if response.status < 200 or 300 <= response.status < 400:
        raise unreadable(account, request, f"HTTP {response.status}: redirected; check the connection's host")
    document = decode(account, request, response)
    if response.status < 300:
        return document
    words, code = explain(document)
    raise Denied(account, request.operation, f"HTTP {response.status}: {clean(words, request)}", response.status, code)


def clean(words: str, request: Request, private: Collection[str] = ()) -> str:
    """Return a vendor's words without the contact's data and our secrets.

    Left out are addresses, long numbers, what we sent of the contact, and the values of our headers; in either case,
    and percent-encoded too.

    :param private: what is to be left out besides, e.g. what stood of the contact in a query.
    """
    for value in sorted({*private, *_sent(request.json), *_secrets(request)}, key=len, reverse=True):
        words = left_out(value, words) if len(value) <= LONGEST_NAME else words.replace(value, "…")
    words = NUMBER.sub("…", ADDRESS.sub("…", words))
    return " ".join(words.split())[:MAX_WORDS]


def _secrets(request: Request) -> Iterator[str]:
    """Yield what our headers carry, keys and sessions among it, and credentials sent as a form."""
    for name, value in request.headers.items():
        if name.lower() not in {"accept", "content-type"} and value.strip():
            yield value.strip()
            yield value.strip().rpartition("=")[2] or value.strip()
    yield from filter(None, (request.form or {}).values())


def _sent(document: Any, key: str = "") -> Iterator[str]:
    """Yield the texts of a request's body that describe the contact."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield from _sent(value, name)
    elif isinstance(document, list):
        for value in document:
            yield from _sent(value, key)
    elif isinstance(document, str) and key not in NOT_PERSONAL and len(document.strip()) > 1:
        yield document.strip()
        yield json.dumps(document.strip())[1:-1]
