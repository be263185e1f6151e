"""Links in messages: their tokens cannot be made up, bent or used for something else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff.texts.links import Links, public_url, survey_effect, unsubscriber
from handoff.texts.tokens import sign, subject_of

SECRET, OTHER = b"s" * 32, b"t" * 32
KEY = "0123456789abcdef" * 2


def test_a_link_leads_back_to_whom_it_was_made_for() -> None:
    links = Links("https://airflow.example.org/prefix", SECRET)
    unsubscribe, survey = links.unsubscribe(KEY, "survey"), links.survey(KEY, 9)
    assert unsubscribe.startswith("https://airflow.example.org/prefix/handoffs/unsubscribe/")
    assert re.fullmatch(r"https://airflow\.example\.org/prefix/handoffs/survey/[\w-]+\?score=9", survey)
    assert unsubscriber(SECRET, unsubscribe.rpartition("/")[2]) == (KEY, "survey")
    assert survey_effect(SECRET, survey.rpartition("/")[2].removesuffix("?score=9")) == KEY
    assert "?" not in links.survey(KEY)
    assert links.survey(KEY, 0).endswith("?score=0")


@given(st.text(), st.sampled_from(["unsubscribe", "survey"]))
def test_a_token_is_of_use_for_its_kind_and_its_ledger_only(subject: str, kind: str) -> None:
    subject = subject.encode(errors="replace").decode()
    token = sign(SECRET, kind, subject)
    assert re.fullmatch(r"[\w-]+", token, re.ASCII)
    assert subject_of(SECRET, kind, token) == subject
    assert subject_of(OTHER, kind, token) is None
    assert subject_of(SECRET, {"survey": "unsubscribe", "unsubscribe": "survey"}[kind], token) is None


@given(st.integers(min_value=0), st.characters())
def test_no_character_of_a_token_can_be_changed(place: int, other: str) -> None:
    token = sign(SECRET, "unsubscribe", f"{KEY}:survey")
    place %= len(token)
    bent = token[:place] + other + token[place + 1 :]
    assert bent == token or subject_of(SECRET, "unsubscribe", bent) is None
    assert subject_of(SECRET, "unsubscribe", token[:place] + other + token[place:]) is None


@given(st.text())
def test_no_text_at_all_is_a_token(text: str) -> None:
    assert subject_of(SECRET, "survey", text) is None


@pytest.mark.parametrize("url", ["https://airflow.example.org", "http://127.0.0.1:8080", "https://example.org/airflow"])
def test_the_public_address_is_taken_without_a_slash_at_its_end(url: str) -> None:
    assert public_url({"HANDOFF_PUBLIC_URL": f" {url}/ "}) == url
    assert public_url({"HANDOFF_PUBLIC_URL": " "}) is public_url({}) is None


@pytest.mark.parametrize(
    "url", ["airflow.example.org", "ftp://x", "https://", "https://x?a=b", "https://x>,<y", "x\ny"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    assert public_url({"HANDOFF_PUBLIC_URL": url}) is None
