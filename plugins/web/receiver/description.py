"""How the routes that take pushes describe themselves (OpenAPI): what may be sent, and every answer, with headers."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from fastapi.responses import PlainTextResponse

from web.adapters import ADAPTERS, Adapter
from web.receiver.refusal import ANSWERS, CHALLENGE, HEADERS

Described = dict[str, Any]

STORED = "ok"
TEXT = "text/plain"
LATER = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
"""Answers that say in ``Retry-After`` when to come back; the last one only when that is known."""
PROOFS = {
    "secret": ("query", "One of the account's secrets."),
    "X-Webhook-Secret": ("header", "One of the account's secrets."),
    "webhook-id": ("header", "Of a signed push (Standard Webhooks): its id, the same when it is sent again."),
    "webhook-timestamp": ("header", "Of a signed push: unix seconds, near to now."),
    "webhook-signature": ("header", "Of a signed push: `v1,` and the base64 of the HMAC-SHA256, or several of these."),
}
"""Where a push proves its sender, by name; beside the end of the path, and the password of Basic credentials."""
ALIKE: dict[str, Described] = {
    "text/json": {"type": "object", "description": "The same as application/json."},
    TEXT: {"type": "string", "description": "One of the others; the body tells which."},
}
"""Content types that are taken for one of the others."""


def described(adapters: Iterable[Adapter] = tuple(ADAPTERS.values())) -> Described:
    """Return what a route that takes pushes is declared with.

    :param adapters: of the systems that may push.
    """
    refused = {int(status): _refused(status) for status, _ in ANSWERS.values()}
    return {
        "response_class": PlainTextResponse,
        "responses": {int(HTTPStatus.OK): _stored(), **refused},
        "openapi_extra": {
            "requestBody": {"required": True, "content": _bodies(list(adapters))},
            "parameters": [
                {"name": name, "in": place, "required": False, "description": words, "schema": {"type": "string"}}
                for name, (place, words) in PROOFS.items()
            ],
        },
    }


def _bodies(adapters: list[Adapter]) -> Described:
    """Return the bodies by content type: what each of the systems sends."""
    schemas = dict[str, list[Described]]()
    for adapter in adapters:
        for kind in sorted(adapter.content_types - {""}):
            schemas.setdefault(kind, []).append(dict(adapter.schema))
    return {kind: {"schema": ALIKE.get(kind, {"anyOf": known})} for kind, known in schemas.items()}


def _stored() -> Described:
    words = "Stored, or it was before: sent again it is not recorded again."
    return _answer(words, {"type": "string", "const": STORED}, set(HEADERS))


def _refused(status: HTTPStatus) -> Described:
    names = set(HEADERS)
    if status is HTTPStatus.UNAUTHORIZED:
        names |= set(CHALLENGE)
    if status in LATER:
        names.add("Retry-After")
    words = "; or: ".join(sorted({words for known, words in ANSWERS.values() if known is status}))
    return _answer(words.capitalize() + ".", {"type": "string", "minLength": 1}, names)


def _answer(words: str, text: Described, headers: set[str]) -> Described:
    return {
        "description": words,
        "content": {TEXT: {"schema": text}},
        "headers": {name: _header(name) for name in sorted(headers)},
    }


def _header(name: str) -> Described:
    if name == "Retry-After":
        return {"description": "Seconds.", "required": False, "schema": {"type": "integer", "minimum": 1}}
    return {"required": True, "schema": {"const": (HEADERS | CHALLENGE)[name]}}
