from __future__ import annotations

import pytest

from sandbox.addresses import is_address
from sandbox.exchange import UnreadableBody, nest
from sandbox.klicktipp.fields import stored_phone, stored_value


def test_php_style_names_are_nested() -> None:
    pairs = [
        ("email", "a@b.de"),
        ("fields[fieldFirstName]", "Jörg"),
        ("tagids[]", "1"),
        ("tagids[]", "2"),
        ("x[0]", "9"),
    ]
    nested = {"email": "a@b.de", "fields": {"fieldFirstName": "Jörg"}, "tagids": ["1", "2"], "x": ["9"]}
    assert nest(pairs) == nested


def test_a_name_cannot_be_value_and_group() -> None:
    with pytest.raises(UnreadableBody):
        nest([("a", "1"), ("a[b]", "2")])


@pytest.mark.parametrize(
    ("kind", "value", "stored"),
    [("line", "Größe", "Größe"), ("decimal", 1999, "19.99"), ("number", "5", "5"), ("time", 86399, "86399"),
     ("url", "https://example.org", "https://example.org"), ("date", 0, "0"), ("number", "", "")],
)  # fmt: skip
def test_fields_are_stored_by_type(kind: str, value: object, stored: str) -> None:
    assert stored_value(kind, value) == stored


@pytest.mark.parametrize(
    ("kind", "value"), [("date", "24.03.2026"), ("number", "1.5"), ("time", 86400), ("url", "ftp://example.org")]
)
def test_a_field_refuses_what_its_type_does_not_take(kind: str, value: object) -> None:
    with pytest.raises(ValueError, match="does not take"):
        stored_value(kind, value)


def test_phones_are_stored_with_two_zeros() -> None:
    assert stored_phone("+49 170 1234567") == stored_phone("00491701234567") == "00491701234567"
    with pytest.raises(ValueError, match="country code"):
        stored_phone("0170 1234567")


@pytest.mark.parametrize(
    ("text", "valid"),
    [("a@example.org", True), ("müller@bücher.example", True), ("a.b+c@sub.example.org", True), ("", False),
     ("a(at)example.org", False), ("a@b", False), ("a@@example.org", False), ("a..b@example.org", False),
     ("a b@example.org", False)],
)  # fmt: skip
def test_addresses(text: str, valid: bool) -> None:
    assert is_address(text) is valid
