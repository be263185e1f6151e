"""An account's secrets, and whether a sender proved to know one of them.

Every comparison takes the same time whatever is compared, and all secrets are tried: the answer's time does not tell
how near a guess was. An account without secrets has random ones that nobody knows, and so has one that does not exist.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

Place = Literal["url", "header", "credentials", "hash", "signature"]
"""Where a push can prove its sender: in its address, in ``X-Webhook-Secret``, by the password of Basic credentials, in
its body, or signed."""
PLACES: frozenset[str] = frozenset(get_args(Place))
SHORTEST = 16
"""Characters of a secret; and bytes of one that signs."""
SIGNING_PREFIX = "whsec_"
TOLERANCE_SECONDS = 300
"""How far the timestamp of a signature may be from this machine's clock (Standard Webhooks, "Verifying webhook
authenticity")."""
VERSION = b"v1,"


@dataclass(frozen=True, slots=True)
class Signature:
    """The headers of a Standard Webhooks signature.

    :param values: the signatures, each with its version.
    """

    id: bytes
    timestamp: bytes
    values: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """With what a sender proves who it is. :param tokens: secrets that it names, each with where it does."""

    tokens: tuple[tuple[Place, bytes], ...] = ()
    signature: Signature | None = None


class Keyring:
    """The secrets of one account, more than one while they are rotated.

    A secret with the prefix ``whsec_`` is the base64 of a key that signs, and is never sent; every other one is sent.

    :param required: :data:`PLACES` in all of which a push must prove its sender; none is known for another word.
    :ivar usable: whether there is any. :ivar unusable: how many are too short, or no base64.
    """

    def __init__(self, given: Iterable[str] = (), required: Iterable[str] = ()) -> None:
        self._required = frozenset(required)
        tokens, keys, self.unusable = list[bytes](), list[bytes](), 0
        for secret in given:
            if secret.startswith(SIGNING_PREFIX):
                key = _signing_key(secret)
                keys += [key] if len(key) >= SHORTEST else []
                self.unusable += len(key) < SHORTEST
            else:
                tokens += [_digest(secret.encode())] if len(secret) >= SHORTEST else []
                self.unusable += len(secret) < SHORTEST
        self.usable = bool(tokens or keys)
        self._tokens = tokens or [secrets.token_bytes(32)]
        self._keys, self._verifies = keys or [secrets.token_bytes(32)], bool(keys)

    def proven(self, proof: Proof, body: bytes, now: float | None = None) -> Literal["secret", "signature"] | None:
        """Return by what the sender is known, ``None`` when it is not: whatever it names must be right.

        :param now: unix seconds, the present unless given.
        """
        right = dict[str, bool]()
        for place, token in proof.tokens:
            right[place] = self._holds(token) & right.get(place, True)
        if proof.signature is not None:
            signed = self._signed(proof.signature, body) and _fresh(proof.signature.timestamp, now)
            # Some sign whatever they send; who has not given the key here relies on another proof.
            right |= {"signature": signed} if self._verifies else {}
        if len(right) > 1 and "credentials" not in self._required:
            # A proxy in front may have asked for them; the sender proves itself by the other.
            right.pop("credentials", None)
        if not (self.usable and right and all(right.values()) and self._required <= right.keys()):
            return None
        return "signature" if "signature" in right else "secret"

    def _holds(self, token: bytes) -> bool:
        found, given = False, _digest(token)
        for known in self._tokens:
            found |= hmac.compare_digest(given, known)
        return found

    def _signed(self, signature: Signature, body: bytes) -> bool:
        found = False
        for key in self._keys:
            signed = b".".join((signature.id, signature.timestamp, body))
            expected = VERSION + base64.b64encode(hmac.digest(key, signed, hashlib.sha256))
            for value in signature.values:
                found |= hmac.compare_digest(value, expected)
        return found


def _digest(secret: bytes) -> bytes:
    # Of equal length, whatever is given.
    return hashlib.sha256(secret).digest()


def _signing_key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(SIGNING_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _fresh(timestamp: bytes, now: float | None) -> bool:
    if not timestamp.isdigit() or len(timestamp) > 12:
        return False
    return abs((time.time() if now is None else now) - int(timestamp)) <= TOLERANCE_SECONDS
