"""Webhooks: ``POST /handoffs/webhooks/CONNECTION``, where other systems tell of what happened.

No login: the account's own secrets stand for it (``receiver/``), and what is said is understood by ``adapters/``.
An address with a slash at its end is taken too: who pushes does not follow redirects.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from web.receiver.description import described
from web.receiver.receiver import Receiver

router = APIRouter()
_DESCRIBED = described()


@router.post("/webhooks/{account}", **_DESCRIBED)
@router.post("/webhooks/{account}/", include_in_schema=False)
async def push(account: str, request: Request) -> PlainTextResponse:
    """Take a push; its secret is in the query, in a header, or it is signed."""
    return await _receiver(request).receive(request, account)


@router.post("/webhooks/{account}/{secret}", **_DESCRIBED)
@router.post("/webhooks/{account}/{secret}/", include_in_schema=False)
async def push_with_secret(account: str, secret: str, request: Request) -> PlainTextResponse:
    """Take a push whose secret ends the path."""
    return await _receiver(request).receive(request, account, secret)


def _receiver(request: Request) -> Receiver:
    receiver: Receiver = request.app.state.receiver
    return receiver
