"""Addresses as other systems spell them."""

from __future__ import annotations

import unicodedata

import pytest

from handoff.contact import comparable, normalise_email, same_address

EVA = normalise_email("eva@xn--mller-kva.de")


def test_a_contact_is_known_by_the_unicode_spelling() -> None:
    assert EVA == "eva@müller.de"


@pytest.mark.parametrize(
    "shown",
    [
        "eva@xn--mller-kva.de", " Eva@XN--Mller-KVA.de ", "EVA@MÜLLER.DE", "eva@müller.de",
        unicodedata.normalize("NFD", "eva@müller.de"),
    ],
)  # fmt: skip
def test_an_address_is_the_same_however_it_is_shown(shown: str) -> None:
    assert same_address(shown, EVA)
    assert comparable(shown) == EVA


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("eva@mueller.de", EVA, False),
        ("eva@example.org", "EVA@Example.org ", True),
        ("eva@xn--kaputt-.de", "EVA@xn--kaputt-.de", True),
        ("", EVA, False),
        ("no address", "No Address", True),
    ],
)
def test_what_is_compared_otherwise(one: str, other: str, same: bool) -> None:
    assert same_address(one, other) is same
