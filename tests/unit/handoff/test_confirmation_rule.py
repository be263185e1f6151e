"""Rules that begin with a confirmed consent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from handoff.occasion import Occasion
from handoff.planning.confirmation import Confirmation
from handoff.registration import Registration
from handoff.rules.confirmation import ConfirmationRule
from handoff.rules.page import doc_md
from handoff.rules.rule import Rule

AT = datetime(2026, 3, 2, 14, 22, 5, tzinfo=UTC)
SPEC: dict[str, Any] = {
    "id": "after", "title": "After", "source": "opt_in", "when": {"days": 1, "after": "confirmed"},
    "steps": [{"step": "quentn.term", "term": "Newsletter"}],
}  # fmt: skip


def confirmed(asked_by: str = "doi", purpose: str = "marketing") -> Occasion:
    return Confirmation(4711, asked_by, "email", purpose, AT).occasion


def test_the_source_decides_the_kind_and_what_is_dumped_is_the_same_rule_again() -> None:
    rule = Rule.model_validate(SPEC)
    again = Rule.model_validate_json(rule.model_dump_json())
    assert type(rule) is ConfirmationRule
    assert (again, again.spec_hash) == (rule, rule.spec_hash)


@pytest.mark.parametrize(
    ("options", "occasion", "expected"),
    [
        ({}, confirmed(), True),
        ({}, confirmed(purpose="survey"), False),
        ({"agreed_to": "survey"}, confirmed(purpose="survey"), True),
        ({"asked_by": ["doi", "other"]}, confirmed(), True),
        ({"asked_by": ["other"]}, confirmed(), False),
    ],
)
def test_which_confirmations_are_waited_for(options: dict[str, Any], occasion: Occasion, expected: bool) -> None:
    assert Rule.model_validate(SPEC | options).matches(occasion) is expected


def test_the_one_who_confirmed_is_meant_from_then_on() -> None:
    rule = Rule.model_validate(SPEC)
    found = rule.judge(Registration("7", "eva@example.org", AT), AT, confirmed())
    assert (found.included, found.reason) == (True, "opted_in")
    assert found.facts["confirmed"] == AT.isoformat()
    assert "1 day after the confirmation (1 Tag nach Bestätigung der Einwilligung)" in doc_md(rule)


@pytest.mark.parametrize(
    "changes", [{"when": {"days": 1, "after": "end"}}, {"conn_id": "other"}, {"asked_by": ["Not a slug"]}]
)
def test_what_cannot_be(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Rule.model_validate(SPEC | changes)
