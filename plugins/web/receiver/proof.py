"""Where a request carries its sender's proof: the URL, a header, Basic credentials, its body, or a signature."""

from __future__ import annotations

import base64
import binascii

from starlette.requests import Request

from web.receiver.keyring import Place, Proof, Signature

PARAMETER, HEADER = "secret", "x-webhook-secret"
MOST_SIGNATURES = 8
"""A sender that rotates its keys sends one for each."""


def proof_of(request: Request, in_path: str = "", in_body: tuple[bytes, ...] = ()) -> Proof:
    """Return what a request proves its sender with; what makes no sense is left out.

    :param in_path: the last part of the path, when it is a secret. :param in_body: secrets that the body names.
    """
    tokens: list[tuple[Place, bytes]] = [
        ("url", in_path.encode("utf-8", "replace")),
        ("url", request.query_params.get(PARAMETER, "").encode("utf-8", "replace")),
        ("header", _header(request, HEADER).strip()),
        ("credentials", _password(_header(request, "authorization"))),
        *(("hash", token) for token in in_body),
    ]
    return Proof(tuple((place, token) for place, token in tokens if token), _signature(request))


def _header(request: Request, name: str) -> bytes:
    # Starlette reads headers as latin-1, so this gives back the bytes that were sent.
    return request.headers.get(name, "").encode("latin-1", "replace")


def _password(authorization: bytes) -> bytes:
    """Return the password of Basic credentials; the user's name does not matter."""
    scheme, _, credentials = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return b""
    try:
        return base64.b64decode(credentials.strip(), validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""


def _signature(request: Request) -> Signature | None:
    """Return the signature (Standard Webhooks): header ``webhook-signature`` is a list with blanks between."""
    identity, timestamp = _header(request, "webhook-id"), _header(request, "webhook-timestamp").strip()
    values = _header(request, "webhook-signature").split()[:MOST_SIGNATURES]
    return Signature(identity, timestamp, tuple(values)) if identity and timestamp and values else None
