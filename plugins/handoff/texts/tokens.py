"""Tokens for links in messages: they name somebody or something, and nobody can make one up."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode

SIGNATURE_BYTES = 16


def sign(secret: bytes, kind: str, subject: str) -> str:
    """Return a token: URL-safe, the same for the same subject, and of use for its kind only.

    The subject is not readable at a glance, but it is not encrypted either: sign keys, never addresses.

    :param secret: the ledger's signing key, see :func:`handoff.ledger.keys.signing_key`.
    :param kind: what the token is for, e.g. ``"unsubscribe"``; free of NUL.
    """
    text = subject.encode()
    signature = hmac.digest(secret, kind.encode() + b"\0" + text, hashlib.sha256)[:SIGNATURE_BYTES]
    return urlsafe_b64encode(signature + text).rstrip(b"=").decode()


def subject_of(secret: bytes, kind: str, token: str) -> str | None:
    """Return what a token of this kind was signed for, ``None`` when it was not signed here.

    How long that takes does not tell how much of a forged signature was right.
    """
    try:
        decoded = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        subject = decoded[SIGNATURE_BYTES:].decode()
    except ValueError:
        return None
    # The whole token is compared, because base64 has several spellings of the same bytes.
    return subject if hmac.compare_digest(sign(secret, kind, subject).encode(), token.encode()) else None
