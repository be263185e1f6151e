"""What an answer without JSON says of the effect: of a proxy, a firewall, or a host that is not the vendor's."""

from __future__ import annotations

from typing import Any

import pytest

from handoff.errors import RateLimited, TargetError, Transient, UnknownOutcome, WrongCredentials
from hooks.protocols.answers import Denied, read
from hooks.protocols.wire import Request
from tests.support.conversation import answer

WRITING = Request("POST", "/tags", "tag contact", changes=True, json={"email": "eva@example.org"})
READING = Request("GET", "/tags", "read tags", changes=False)
BODIES = [b"", b"<html>eva@example.org</html>", b"no json", b"[" * 200_000]


def error_of(request: Request, status: int, body: bytes) -> TargetError:
    with pytest.raises(TargetError) as caught:
        read("account", request, answer(status=status, body=body), explain)
    assert f"HTTP {status}" in str(caught.value)
    assert "eva" not in str(caught.value)
    return caught.value


def explain(document: Any) -> tuple[str, int | None]:
    raise AssertionError(f"there is no document to explain: {document!r}")


@pytest.mark.parametrize("body", BODIES, ids=["empty", "html", "text", "deep"])
@pytest.mark.parametrize(
    ("statuses", "writing", "reading"),
    [
        ((401, 403, 407), WrongCredentials, WrongCredentials),
        ((404, 405, 410, 421), Transient, Transient),
        ((400, 411, 413, 414, 415, 422, 431), Denied, Denied),
        ((402, 406, 408, 409, 412, 418, 425, 499, 200, 500, 502, 302), UnknownOutcome, Transient),
        ((429,), RateLimited, RateLimited),
    ],
)
def test_the_status_says_what_became_of_the_request(statuses, writing, reading, body):
    for status in statuses:
        assert type(error_of(WRITING, status, body)) is writing, status
        assert type(error_of(READING, status, body)) is reading, status


def test_who_reads_the_error_learns_what_to_look_at():
    assert "proxy or firewall" in str(error_of(WRITING, 403, b"<html>"))
    assert "check the connection's host" in str(error_of(WRITING, 404, b"<html>"))
    assert "HTTP 413 without JSON: 6 bytes of text/html" in str(error_of(WRITING, 413, b"<html>"))


def test_a_refusal_keeps_its_status():
    error = error_of(WRITING, 422, b"")
    assert isinstance(error, Denied)
    assert (error.status, error.code) == (422, None)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("17.5", 17.5),
        (" 0 ", 0.0),
        ("-3", 0.0),
        ("1795000000", 3600.0),
        ("1e15", 3600.0),
        ("1e999", None),
        ("nan", None),
        ("soon", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2093 07:28:00 GMT", 3600.0),
        ("Wed, 21 Oct 2093 07:28:00", 3600.0),
        ("Wed, 21 Oct 99999 07:28:00 GMT", None),
        ("Wed, 99999999999999999999 Oct 2093 07:28:00 GMT", None),
        ("Wed, 21 Oct 2093 07:28:00 +99999999999999", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 3600.0),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
    ],
)
def test_how_long_the_target_asks_to_wait(header, seconds):
    with pytest.raises(RateLimited) as caught:
        read("account", WRITING, answer(status=429, body=b"", retry_after=header), explain)
    assert caught.value.retry_after == seconds
