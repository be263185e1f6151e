from __future__ import annotations

import base64

import pytest

from sandbox.basic import basic_credentials, basic_header


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("value", "credentials"),
    [(f"Basic {encoded('key:')}", ("key", "")), (f"basic {encoded('key')}", ("key", "")),
     (f"Basic {encoded('ü@example.org:a:b')}", ("ü@example.org", "a:b")), (f"Bearer {encoded('key:')}", None),
     ("Basic key:", None), ("Basic", ("", "")), ("", None)],
)  # fmt: skip
def test_credentials(value: str, credentials: tuple[str, str] | None) -> None:
    assert basic_credentials({"Authorization": value}) == credentials


def test_what_is_written_can_be_read() -> None:
    assert basic_credentials({"Authorization": basic_header("a", "b:ö")}) == ("a", "b:ö")
