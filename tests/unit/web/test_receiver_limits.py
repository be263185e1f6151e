"""What is checked of a body before it is parsed, and floods."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from web.receiver import body
from web.receiver.body import DEEPEST, MOST_BYTES, json_of, media_type, read_body
from web.receiver.flood import Floods
from web.receiver.refusal import ANSWERS, Refusal


def request(chunks: Sequence[bytes] = (), *, stuck: bool = False, **headers: str) -> Request:
    """Return a request whose body comes in chunks, and never ends when it is stuck."""
    left = list(chunks)

    async def receive() -> dict[str, Any]:
        if stuck and not left:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": left.pop(0) if left else b"", "more_body": bool(left) or stuck}

    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": raw}, receive)


def hold(_: int) -> None:
    """There is room for everything."""


def reason(error: pytest.ExceptionInfo[Refusal]) -> str:
    return error.value.reason


async def test_a_body_of_just_the_limit_is_read() -> None:
    chunk = b"x" * 1024
    assert len(await read_body(request([chunk] * 256, content_length=str(MOST_BYTES)), hold)) == MOST_BYTES


@pytest.mark.parametrize("length", ["", "12", "nonsense", str(MOST_BYTES + 1), "9" * 400])
async def test_a_larger_one_is_not_whatever_it_announces(length: str) -> None:
    with pytest.raises(Refusal) as error:
        await read_body(request([b"x" * 1024] * 257, content_length=length), hold)
    assert reason(error) == "too_large"


async def test_nothing_of_an_announced_giant_is_read() -> None:
    with pytest.raises(Refusal) as error:
        await asyncio.wait_for(read_body(request(stuck=True, content_length="9" * 13), hold), 60)
    assert reason(error) == "too_large"


async def test_a_body_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "BODY_SECONDS", 0.01)
    with pytest.raises(Refusal) as error:
        await read_body(request([b"{"], stuck=True), hold)
    assert reason(error) == "too_slow"


async def test_a_sender_who_goes_away_is_no_error() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    with pytest.raises(Refusal) as error:
        await read_body(Request({"type": "http", "headers": []}, receive), hold)
    assert reason(error) == "unreadable"


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        ("application/json", "application/json"), ("Application/JSON ; charset=UTF-8", "application/json"),
        ('text/plain; x=y; charset="utf-8"', "text/plain"), ("", ""), (";;;", ""),
    ],
)  # fmt: skip
def test_content_types(sent: str, kind: str) -> None:
    assert media_type(request(content_type=sent)) == kind


@pytest.mark.parametrize(
    "headers",
    [
        {"content_type": "application/json; charset=utf-16"}, {"content_type": "text/plain;charset=latin-1"},
        {"content_encoding": "gzip"}, {"content_encoding": "identity, br"},
    ],
)  # fmt: skip
def test_other_encodings_are_not_taken(headers: dict[str, str]) -> None:
    with pytest.raises(Refusal) as error:
        media_type(request(**headers))
    assert reason(error) == "wrong_type"


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_nesting_ends_at_a_depth(opening: str) -> None:
    levels = DEEPEST // opening.count("[") if opening == "[" else DEEPEST // (1 if opening[0] == "{" else 2)
    closing = "".join({"[": "]", "{": "}"}[one] for one in reversed(opening) if one in "[{")
    fine = opening * levels + "1" + closing * levels
    assert json_of(fine.encode()) == json.loads(fine)
    for deep in (f"[{fine}]", "[" * 200_000, opening * 50_000):
        with pytest.raises(Refusal) as error:
            json_of(deep.encode())
        assert (reason(error), "nested" in error.value.words) == ("unreadable", True)


def test_brackets_in_texts_are_no_nesting() -> None:
    text = json.dumps({"a": '[{"\\' * 200, "b": "\\\\"})
    assert json_of(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    "sent",
    [
        b"", b"{", b"\xff\xfe{\x00}\x00", b'"\xff"', b"NaN", b"-Infinity", b"[1e999]", b"9" * 5000, b"{} {}", b"'a'",
        b'"\x00"', b"\xef\xbb\xbf",
    ],
)  # fmt: skip
def test_what_is_no_json_is_not_read(sent: bytes) -> None:
    with pytest.raises(Refusal) as error:
        json_of(sent)
    assert reason(error) == "unreadable"


@given(st.binary(max_size=300) | st.text(alphabet='[]{}",:\\0e.tun \n', max_size=300).map(str.encode))
def test_any_bytes_are_json_or_refused(sent: bytes) -> None:
    refused = None
    try:
        json.dumps(json_of(sent), allow_nan=False)
    except Refusal as refusal:
        refused = refusal
    assert refused is None or refused.reason == "unreadable"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=12,
    )
)
def test_all_json_within_the_limits_is_read(value: object) -> None:
    assert json_of(json.dumps(value).encode()) == value


def test_a_bucket_holds_so_many_and_fills_again() -> None:
    now = [100.0]
    floods = Floods(2.0, 3.0, clock=lambda: now[0])
    for _ in range(3):
        floods.take("a")
    with pytest.raises(Refusal) as error:
        floods.take("a")
    assert (reason(error), error.value.retry_after) == ("too_many", 0.5)
    assert error.value.response().headers["retry-after"] == "1"
    floods.take("b")
    now[0] += 0.5
    floods.take("a")
    with pytest.raises(Refusal):
        floods.take("a")
    now[0] += 1000
    for _ in range(3):
        floods.take("a")
    with pytest.raises(Refusal):
        floods.take("a")


def test_who_is_not_known_and_who_has_no_secret_get_the_same() -> None:
    answers = [Refusal(name).response() for name in ("unauthenticated", "no_secret")]
    assert len({(one.status_code, one.body, tuple(one.raw_headers)) for one in answers}) == 1


def test_waiting_is_never_told_as_less_than_a_second() -> None:
    assert all(Refusal(name, retry_after=math.ulp(0)).response().headers["retry-after"] == "1" for name in ANSWERS)
