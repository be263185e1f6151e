"""Webhooks: ``POST /handoffs/webhooks/CONNECTION``, where other systems tell of what happened.

No login: the account's own secrets stand for it (``receiver/``), and what is said is understood by ``adapters/``.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from web.receiver.receiver import Receiver
from web.receiver.refusal import ANSWERS

router = APIRouter()

_WORDS: dict[int | str, dict[str, Any]] = {
    int(status): {"description": words, "content": {"text/plain": {}}} for status, words in ANSWERS.values()
}
_DESCRIBED: dict[str, Any] = {
    "response_class": PlainTextResponse,
    "responses": {200: {"description": "Stored. Sent again it is not recorded again."}, **_WORDS},
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {}}, "application/x-www-form-urlencoded": {"schema": {}}},
        },
        "parameters": [
            {"name": name, "in": place, "required": False, "schema": {"type": "string"}}
            for place, name in (
                ("query", "secret"), ("header", "X-Webhook-Secret"), ("header", "webhook-id"),
                ("header", "webhook-timestamp"), ("header", "webhook-signature"),
            )
        ],
    },
}  # fmt: skip


@router.post("/webhooks/{account}", **_DESCRIBED)
async def push(account: str, request: Request) -> PlainTextResponse:
    """Take a push; its secret is in the query, in a header, or it is signed."""
    return await _receiver(request).receive(request, account)


@router.post("/webhooks/{account}/{secret}", **_DESCRIBED)
async def push_with_secret(account: str, secret: str, request: Request) -> PlainTextResponse:
    """Take a push whose secret ends the path."""
    return await _receiver(request).receive(request, account, secret)


def _receiver(request: Request) -> Receiver:
    receiver: Receiver = request.app.state.receiver
    return receiver
