"""Who may push: every way to prove it, and every way that does not."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from web.receiver.keyring import TOLERANCE_SECONDS, Keyring, Proof, Signature
from web.receiver.proof import proof_of

OLD, NEW, OTHER = "old-secret-0123456", "new-secret-0123456", "a-guess-012345678"
KEY = b"k" * 24
SIGNING = "whsec_" + base64.b64encode(KEY).decode()
NOW = 1_770_000_000
BODY = b'{"entity": {}}'


def request(query: str = "", **headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": raw, "query_string": query.encode()})


def basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()


def signed(
    key: bytes = KEY, body: bytes = BODY, at: int = NOW, ids: str = "msg_1", version: str = "v1"
) -> dict[str, str]:
    value = base64.b64encode(hmac.digest(key, f"{ids}.{at}.".encode() + body, hashlib.sha256)).decode()
    return {"webhook_id": ids, "webhook_timestamp": str(at), "webhook_signature": f"{version},{value}"}


def proven(
    keyring: Keyring, *, path: str = "", query: str = "", body: bytes = BODY, hashed: str = "", **headers: str
) -> str | None:
    return keyring.proven(proof_of(request(query, **headers), path, (hashed.encode(),)), body, NOW)


def places(secret: str) -> list[dict[str, Any]]:
    """Return every place in which a secret can be given."""
    return [
        {"path": secret}, {"query": f"a=b&secret={secret}"}, {"x_webhook_secret": secret},
        {"authorization": basic(f"crm:{secret}")}, {"authorization": basic(f":{secret}").replace("Basic", "bAsIc")},
    ]  # fmt: skip


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("given", [OLD, NEW])
def test_each_secret_is_good_in_each_place_while_they_are_rotated(place: int, given: str) -> None:
    assert proven(Keyring([OLD, NEW]), **places(given)[place]) == "secret"


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("given", ["", OTHER, OLD[:-1], OLD + "x", OLD.upper(), f"{OLD} {NEW}", SIGNING])
def test_nothing_else_is(place: int, given: str) -> None:
    assert proven(Keyring([OLD, NEW, SIGNING]), **places(given)[place]) is None


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", f"Bearer {OLD}", OLD, basic(OLD), basic(f"{OLD}:x")])
def test_broken_basic_credentials_prove_nothing(header: str) -> None:
    assert proven(Keyring([OLD]), authorization=header) is None


ALL: dict[str, Any] = {"path": OLD, "query": f"secret={NEW}", "x_webhook_secret": NEW, "hashed": OLD, **signed()}


def test_all_that_is_named_may_be_another_one_of_the_secrets() -> None:
    assert proven(Keyring([OLD, NEW, SIGNING]), **ALL) == "signature"


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": OTHER}, {"query": f"secret={OTHER}"}, {"x_webhook_secret": OTHER}, {"hashed": OTHER},
        signed(b"o" * 24), signed(at=NOW - TOLERANCE_SECONDS - 1),
    ],
)  # fmt: skip
def test_one_of_several_that_is_wrong_is_enough_to_be_nobody(wrong: dict[str, Any]) -> None:
    assert proven(Keyring([OLD, NEW, SIGNING]), **ALL | wrong) is None
    assert proven(Keyring([OLD, NEW, SIGNING]), **{"path": OLD} | wrong) is None or "path" in wrong


def test_what_is_not_for_this_account_does_not_count() -> None:
    """Credentials that a proxy asked for, and the signature of a sender that signs everything."""
    assert proven(Keyring([OLD]), x_webhook_secret=OLD, authorization=basic(f"proxy:{OTHER}")) == "secret"
    assert proven(Keyring([OLD, SIGNING]), authorization=basic(f"proxy:{OTHER}"), **signed()) == "signature"
    assert proven(Keyring([OLD]), path=OLD, **signed()) == "secret"
    assert proven(Keyring([OLD]), authorization=basic(f"proxy:{OTHER}"), **signed()) is None


@pytest.mark.parametrize("left_out", [*ALL, "authorization"])
def test_an_account_can_require_each_proof(left_out: str) -> None:
    given = ALL | {"authorization": basic(f"crm:{OLD}")}
    keyring = Keyring([OLD, NEW, SIGNING], ["url", "header", "credentials", "hash", "signature"])
    assert proven(keyring, **given) == "signature"
    known = proven(keyring, **{name: value for name, value in given.items() if name != left_out})
    # Of the two places in the URL one is enough.
    assert known == ("signature" if left_out in {"path", "query"} else None)
    assert proven(keyring, **given | {"authorization": basic(f"crm:{OTHER}")}) is None


def test_for_a_required_proof_that_there_is_not_nobody_is_known() -> None:
    assert proven(Keyring([OLD, NEW, SIGNING], ["headers"]), **ALL) is None


def test_a_secret_that_is_no_ascii_is_compared_byte_by_byte() -> None:
    keyring = Keyring(["geheimniß-geheimniß"])
    assert proven(keyring, x_webhook_secret="geheimniß-geheimniß") == "secret"
    assert proven(keyring, path="geheimniß-geheimniß") == "secret"


@pytest.mark.parametrize("late", [-TOLERANCE_SECONDS, 0, TOLERANCE_SECONDS])
def test_a_signature_within_five_minutes_is_good(late: int) -> None:
    assert proven(Keyring([OLD, SIGNING]), **signed(at=NOW - late)) == "signature"


def test_one_good_signature_of_several_is_enough() -> None:
    headers, other = signed(), signed(b"o" * 24)
    headers["webhook_signature"] = f"v1a,xyz {other['webhook_signature']} {headers['webhook_signature']}"
    assert proven(Keyring(["whsec_" + base64.b64encode(b"n" * 32).decode(), SIGNING]), **headers) == "signature"


@pytest.mark.parametrize(
    "headers",
    [
        signed(b"o" * 24), signed(body=BODY + b" "), signed(version="v2"), signed(at=NOW - TOLERANCE_SECONDS - 1),
        signed(at=NOW + TOLERANCE_SECONDS + 1), signed() | {"webhook_id": "msg_2"},
        signed() | {"webhook_timestamp": str(NOW - 1)}, signed() | {"webhook_timestamp": f"{NOW}.0"},
        signed() | {"webhook_timestamp": "9" * 5000}, signed() | {"webhook_timestamp": "\u0661"},
        signed() | {"webhook_signature": ""}, signed() | {"webhook_signature": "v1,"}, signed() | {"webhook_id": ""},
    ],
)  # fmt: skip
def test_any_other_signature_is_not(headers: dict[str, str]) -> None:
    assert proven(Keyring([OLD, SIGNING]), **headers) is None


@pytest.mark.parametrize("given", [[], ["short"], ["whsec_"], ["whsec_!!!!"], ["whsec_c2hvcnQ="], ["x" * 15]])
def test_without_a_usable_secret_nobody_is_known(given: list[str]) -> None:
    keyring = Keyring(given)
    assert (keyring.usable, keyring.unusable) == (False, len(given))
    for secret in ["", *given]:
        assert all(proven(keyring, **place) is None for place in places(secret))
    assert proven(keyring, **signed(b"")) is proven(keyring, **signed(b"short")) is None


def test_secrets_do_not_show() -> None:
    assert OLD not in repr(Keyring([OLD])) + str(vars(Keyring([OLD])))


@given(st.binary(), st.binary(), st.lists(st.binary(), max_size=3), st.binary(), st.binary())
def test_no_bytes_prove_anything_or_break_it(a: bytes, b: bytes, values: list[bytes], at: bytes, body: bytes) -> None:
    proof = Proof((("url", a), ("hash", b)), Signature(a, at, tuple(values)))
    assert Keyring([OLD, SIGNING]).proven(proof, body) is None


@given(st.text(), st.text(alphabet=st.characters(max_codepoint=255)))
def test_no_header_breaks_the_reading_of_proofs(path: str, header: str) -> None:
    names = ("authorization", "x-webhook-secret", "webhook-id", "webhook-timestamp", "webhook-signature")
    raw = [(name.encode(), header.encode("latin-1")) for name in names]
    raw += [(b"authorization", b"Basic " + header.encode("latin-1"))]
    scope = {"type": "http", "headers": raw, "query_string": b"secret=" + header.encode("latin-1")}
    assert Keyring([OLD]).proven(proof_of(Request(scope), path), b"") is None
