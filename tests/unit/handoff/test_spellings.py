"""Addresses, names and numbers in the words of others, in all the ways in which links spell them."""

from __future__ import annotations

from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff.contact import Contact
from handoff.spellings import folded
from hooks.protocols.answers import clean
from hooks.protocols.wire import Request

ANNA = Contact("anna+x@exämple.org", "Anna", "O'Neil", "+49 151 7007")


@pytest.mark.parametrize("spelled", [str, str.upper, quote, quote_plus, lambda text: quote(quote(text)).lower()])
def test_a_contact_is_left_out_however_it_is_spelled(spelled) -> None:
    for private in (ANNA.email, ANNA.last_name, ANNA.phone):
        words = f"GET /contact/{spelled(private)}?x=1 is wrong"
        assert ANNA.left_out_of(words) == "GET /contact/…?x=1 is wrong"


def test_names_are_left_out_as_words_of_their_own() -> None:
    assert ANNA.left_out_of("Annalena, anna; %22Anna%22 and Johanna") == "Annalena, …; %22…%22 and Johanna"


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1, max_size=20).filter(str.strip)
)
def test_any_text_is_found_in_a_link(text: str) -> None:
    contact = Contact("x@example.org", last_name=text)
    assert contact.left_out_of(f"/{quote(text, safe='')}/") == "/…/"


@pytest.mark.parametrize("form", ["anna%40example.org", "ANNA%2540example.org", "Anna@example.org"])
def test_a_vendors_words_lose_addresses_of_every_form(form: str) -> None:
    request = Request("GET", f"/contact/{form}", "find contact", changes=False)
    assert clean(f"no /contact/{form}, sorry", request) == "no …, sorry"


def test_what_was_sent_is_left_out_in_either_case_and_long_texts_as_they_are() -> None:
    text = "Ein langer Text " * 20
    request = Request("POST", "/", "write", changes=True, json={"last": "Özil", "text": text})
    assert clean(f"özil, %c3%96zil: {text.strip()}", request) == "…, …: …"


def test_an_umlaut_is_the_same_however_it_was_typed() -> None:
    assert folded(" S\u00fcd  West") == folded("SU\u0308D west")
