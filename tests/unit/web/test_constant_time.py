"""How long a check takes does not tell how near a guess was: everything is compared, and only in constant time."""

from __future__ import annotations

import base64
import hmac

import pytest

from web.receiver import keyring as keyring_module
from web.receiver.keyring import Keyring, Proof, Signature

SECRETS = ["first-secret-012345", "second-secret-01234", "third-secret-012345"]
KEYS = ["whsec_" + base64.b64encode(one * 24).decode() for one in (b"a", b"b")]
NOW = 1_770_000_000


class Comparisons:
    """Counts what the constant-time comparison is asked. :ivar asked: pairs of operands, in order."""

    digest = staticmethod(hmac.digest)

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, bytes]] = []

    def compare_digest(self, one: bytes, other: bytes) -> bool:
        self.asked.append((one, other))
        return hmac.compare_digest(one, other)


@pytest.fixture
def comparisons(monkeypatch: pytest.MonkeyPatch) -> Comparisons:
    counted = Comparisons()
    monkeypatch.setattr(keyring_module, "hmac", counted)
    return counted


@pytest.mark.parametrize("given", [*SECRETS, "a-guess-of-anything", "x", SECRETS[0][:-1]])
def test_every_secret_is_compared_whichever_fits(comparisons: Comparisons, given: str) -> None:
    known = Keyring(SECRETS).proven(Proof((("url", given.encode()), ("hash", b"another"))), b"", NOW)
    assert known is None, "each must be right"
    assert len(comparisons.asked) == 2 * len(SECRETS)
    assert {len(operand) for pair in comparisons.asked for operand in pair} == {32}


@pytest.mark.parametrize("stale", [False, True])
@pytest.mark.parametrize("key", [b"a" * 24, b"b" * 24, b"guess" * 5])
def test_every_key_is_compared_with_every_signature(comparisons: Comparisons, key: bytes, stale: bool) -> None:
    at = b"1" if stale else str(NOW).encode()
    value = b"v1," + base64.b64encode(hmac.digest(key, b"msg." + at + b".body", "sha256"))
    proof = Proof(signature=Signature(b"msg", at, (value, b"v1,nonsense")))
    known = Keyring(KEYS).proven(proof, b"body", NOW)
    assert known == (None if stale or key == b"guess" * 5 else "signature")
    assert len(comparisons.asked) == 2 * len(KEYS)


def test_an_account_without_secrets_takes_as_long_as_one_with_one(comparisons: Comparisons) -> None:
    proof = Proof((("header", b"guess"),), Signature(b"msg", str(NOW).encode(), (b"v1,x",)))
    asked = []
    for given in ([], [SECRETS[0], KEYS[0]]):
        assert Keyring(given).proven(proof, b"", NOW) is None
        asked.append(len(comparisons.asked))
        comparisons.asked.clear()
    assert asked == [2, 2]
