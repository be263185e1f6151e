"""Who may be written to: the decision from the facts, and the file that brings facts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff.consent import REASONS, SAID, Standing, Subject, channel_of, confirmed_only, refusal, subject_of
from handoff.consent_file import read_consents
from handoff.contact import Contact
from handoff.errors import HandoffError
from handoff.reasons import WORDS, in_words
from handoff.rules.kinds import kind_of
from handoff.rules.rule import LegalBasis
from handoff.rules.steps import STEPS, Email
from handoff.rules.webinar import WebinarRule

SUPPRESSED = st.frozensets(st.sampled_from(REASONS))
SAYINGS = st.sampled_from([None, *SAID])
STANDINGS = st.builds(Standing, SUPPRESSED, SAYINGS, st.booleans(), st.text(max_size=3))
BASES = st.sampled_from([*get_args(LegalBasis), None])


@given(BASES, STANDINGS)
def test_nothing_goes_out_against_a_no_or_without_a_ground(basis: str | None, standing: Standing) -> None:
    allowed = refusal(basis, standing) is None
    if allowed:
        assert not standing.suppressed
        assert standing.said not in {"withdrawn", "objected"}
        agreed = basis == "consent" and standing.said in {"granted", "confirmed"}
        assert agreed or (basis == "existing_customer" and standing.notice_given)


@given(BASES, STANDINGS, st.sampled_from(REASONS))
def test_a_suppression_more_never_allows_more(basis: str | None, standing: Standing, reason: str) -> None:
    more = replace(standing, suppressed=standing.suppressed | {reason})
    assert refusal(basis, more) in {"unsubscribed", "suppressed"}


@given(BASES, STANDINGS, st.booleans())
def test_every_refusal_has_words(basis: str | None, standing: Standing, confirmed: bool) -> None:
    reason = refusal(basis, standing, confirmed=confirmed)
    assert reason is None or (reason in WORDS and in_words(reason) != reason)


@pytest.mark.parametrize(
    ("basis", "standing", "reason"),
    [
        ("consent", Standing(said="granted"), None),
        ("consent", Standing(said="confirmed"), None),
        ("consent", Standing(), "no_consent"),
        ("consent", Standing(notice_given=True), "no_consent"),
        ("consent", Standing(said="withdrawn"), "consent_withdrawn"),
        ("consent", Standing(said="objected", notice_given=True), "objected"),
        ("existing_customer", Standing(notice_given=True), None),
        ("existing_customer", Standing(), "no_objection_notice"),
        ("existing_customer", Standing(said="granted"), "no_objection_notice"),
        ("existing_customer", Standing(said="objected", notice_given=True), "objected"),
        ("consent", Standing(frozenset({"hard_bounce"}), "confirmed"), "suppressed"),
        ("consent", Standing(frozenset({"hard_bounce", "unsubscribed"}), "withdrawn"), "unsubscribed"),
        (None, Standing(said="confirmed", notice_given=True), "no_consent"),
    ],
)
def test_the_reason_is_the_weightiest(basis: str | None, standing: Standing, reason: str | None) -> None:
    assert refusal(basis, standing) == reason


def test_where_a_double_opt_in_is_needed_nothing_else_counts_as_a_consent() -> None:
    assert refusal("consent", Standing(said="granted"), confirmed=True) == "not_confirmed"
    assert refusal("consent", Standing(said="confirmed"), confirmed=True) is None
    assert refusal("consent", Standing(), confirmed=True) == "no_consent"
    assert refusal("existing_customer", Standing(notice_given=True), confirmed=True) is None


@pytest.mark.parametrize(("source", "purpose", "needed"), [
    ("etermin", "marketing", True), ("etermin", "survey", False), ("webinaris", "marketing", False),
])  # fmt: skip
def test_advertising_to_contacts_of_etermin_needs_a_double_opt_in(source: str, purpose: str, needed: bool) -> None:
    assert confirmed_only(kind_of({"source": source}).model_construct(), purpose) is needed


ASKING = {"email", "survey", "opt_in", "callexa.recipient", "klicktipp.contact", "klicktipp.tag",
          "activecampaign.tag", "activecampaign.list", "quentn.term", "quentn.campaign"}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_whatever_may_lead_to_a_mail_needs_a_ground_and_nothing_does_as_service(name: str) -> None:
    step = STEPS[name].model_construct(step=name)
    marketing, service = (WebinarRule.model_construct(purpose=purpose) for purpose in ("marketing", "service"))
    subject = Subject("k", "email", "marketing") if name in ASKING else None
    assert (subject_of(marketing, step, "k"), subject_of(service, step, "k")) == (subject, None)


def test_a_mail_needs_consent_for_mail() -> None:
    assert channel_of(Email(step="email", template="x")) == "email"


HEAD = "email,purpose,at,source,wording,what,channel,doi_message_id"


def written(folder: Path, *lines: str, head: str = HEAD, encoding: str = "utf-8") -> Path:
    path = folder / "consents.csv"
    path.write_text("\n".join([head, *lines]), encoding)
    return path


def test_a_file_of_consents(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        'Änna@Example.org,survey,2026-01-02T03:04:05+01:00,form,"Ich willige\nein, gerne",confirmed,,<m1@x>',
        "ben@example.org,marketing,2026-01-02T03:04:05Z,call,Ja,,phone,",
        "",
        "ben@example.org,marketing,2026-01-02T02:04:05-01:00,call,Ja,,phone,",
    )
    found = read_consents(path)
    anna, ben = found.entries
    assert found.problems == []
    assert anna.subject.contact_key == Contact("änna@example.org").key
    assert (anna.what, anna.wording, anna.evidence) == (
        "confirmed",
        "Ich willige\nein, gerne",
        {"doi_message_id": "<m1@x>"},
    )
    assert anna.at == datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC)
    assert (ben.what, ben.subject.channel, ben.evidence) == ("granted", "phone", {})


def test_bad_lines_are_named_by_number_and_the_others_read(tmp_path: Path) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    good = "ben@example.org,survey,2026-01-02T03:04:05Z,form,Ja,,,"
    bad = {
        "xenia.q7@,survey,2026-01-02T03:04:05Z,form,Ja,,,": "not valid",
        ",survey,2026-01-02T03:04:05Z,form,Ja,,,": "no e-mail address",
        "xenia.q7@example.org,news,2026-01-02T03:04:05Z,form,Ja,,,": "purpose is none of: survey, marketing",
        "xenia.q7@example.org,survey,2026-01-02,form,Ja,,,": "time and zone",
        "xenia.q7@example.org,survey,2026-01-02T03:04:05,form,Ja,,,": "time and zone",
        "xenia.q7@example.org,survey,0001-01-01T00:00:00+14:00,form,Ja,,,": "time and zone",
        f"xenia.q7@example.org,survey,{tomorrow},form,Ja,,,": "future",
        "xenia.q7@example.org,survey,2026-01-02T03:04:05Z,,Ja,,,": "source is empty",
        "xenia.q7@example.org,survey,2026-01-02T03:04:05Z,form,,,,": "wording is empty",
        "xenia.q7@example.org,survey,2026-01-02T03:04:05Z,form,Ja,used,,": "what is none of",
        "xenia.q7@example.org,survey,2026-01-02T03:04:05Z,form,Ja,,fax,": "channel is none of",
        "xenia.q7@example.org,survey,2026-01-02T03:04:05Z,form,Ja,,,,more": "more cells",
        "xenia.q7@example.org": "purpose is none of",
    }
    lines = [line for wrong in bad for line in (wrong, good)]
    found = read_consents(written(tmp_path, *lines))
    assert [line for line, _ in found.problems] == list(range(2, 2 + len(lines), 2))
    for (_, words), expected in zip(found.problems, bad.values(), strict=True):
        assert expected in words
        assert "xenia" not in words
    assert len(found.entries) == 1


def test_semicolons_and_a_mark_at_the_beginning_as_excel_writes_them(tmp_path: Path) -> None:
    line = "ben@example.org;survey;2026-01-02T03:04:05Z;form;Ja, gerne"
    path = written(tmp_path, line, head="E-Mail;x", encoding="utf-8-sig")
    with pytest.raises(HandoffError, match="missing: email, purpose, at, source"):
        read_consents(path)
    [entry] = read_consents(
        written(tmp_path, line, head="Email;Purpose;At;Source;Wording", encoding="utf-8-sig")
    ).entries
    assert entry.wording == "Ja, gerne"


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "ü@example.org", encoding="latin-1")
    with pytest.raises(HandoffError, match="UTF-8"):
        read_consents(path)
