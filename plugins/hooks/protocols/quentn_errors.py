"""What Quentn's answers say when a call did not work (quentn.md 4.1)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from handoff.errors import RateLimited, WrongCredentials
from hooks.protocols.answers import Denied, clean, read, retry_after
from hooks.protocols.quentn_assumed import FLOOD_SECONDS, NOTES, is_flood, reset_seconds
from hooks.protocols.wire import Request, Response

NOT_FOUND = "not found"
"""In the message of a look-up that found nothing (4.2)."""


def accepted(account: str, request: Request, response: Response, secret: str, *, empty: bool = False) -> Any:
    """Return the document of a successful answer.

    :param secret: the API key, which no error repeats.
    :param empty: an answer without a body is a success too (204); then ``None`` is returned.
    :raises WrongCredentials: 403, this vendor's word for a wrong key, or 401.
    :raises RateLimited: 429, or a refusal for ``flood_limit``; nothing was done.
    :raises Denied: another status 4xx, or ``"error": true`` in an answer of any status.
    :raises UnknownOutcome: nothing can be said of the effect. :raises Transient: the same, after a read.
    """
    if response.status in {401, 403}:
        raise WrongCredentials(account, request.operation, f"HTTP {response.status}: the API key is not accepted")
    if response.status == 429:
        raise _limited(account, request, response)
    if empty and 200 <= response.status < 300 and not response.body.strip():
        return None
    request = _of_contact(request)
    try:
        document = read(account, request, response, lambda said: (_words(said, request, secret), None))
    except Denied as error:
        refusal = error
    else:
        if not isinstance(document, dict) or document.get("error") in {None, False}:
            return document
        words = clean(_words(document, request, secret), request)
        refusal = Denied(account, request.operation, f"HTTP {response.status}: {words}", response.status)
    if is_flood(refusal.words):
        raise RateLimited(account, request.operation, refusal.words, _pause(response) or FLOOD_SECONDS)
    raise refusal


def is_absent(error: Denied) -> bool:
    """Whether a refusal says that the contact looked up does not exist (4.2)."""
    return error.status in {200, 404} and NOT_FOUND in error.words.lower()


def _of_contact(request: Request) -> Request:
    """Return the request as if it held the contact alone: the words of its options may be told."""
    contact = request.json.get("contact") if isinstance(request.json, dict) else None
    return replace(request, json=contact) if isinstance(contact, dict) else request


def _pause(response: Response) -> float | None:
    asked = retry_after(response)
    return reset_seconds(response.headers) if asked is None else asked


def _limited(account: str, request: Request, response: Response) -> RateLimited:
    limit = response.headers.get("x-rate-limit-limit", "").strip()
    of = f" of {limit}" if limit.isdecimal() else ""
    words = f"HTTP 429: no request{of} left for now"
    return RateLimited(account, request.operation, words, _pause(response))


def _words(document: Any, request: Request, secret: str) -> str:
    """Return the words of ``{"error": true, "message": ...}``; of notes nothing is told, they are the contact's own."""
    message = document.get("message") if isinstance(document, dict) else None
    if not isinstance(message, str) or not message.strip():
        return "an error in an unknown form"
    if isinstance(request.json, dict) and NOTES in request.json:
        return "the notes were not accepted"
    encoded = request.path.rpartition("/")[2]
    hidden = message.replace(secret, "…")
    return hidden.replace(encoded, "…") if "%" in encoded else hidden
