"""Rules: which occasions they wait for, when their content counts as changed, and their page."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from handoff.audience import Audience
from handoff.occasion import Occasion
from handoff.rules.file import load_folder
from handoff.rules.page import doc_md
from handoff.rules.rule import Rule
from handoff.rules.webinar import WebinarRule

SHIPPED = Path(__file__).parents[3] / "include" / "handoffs"
MINIMAL: dict[str, Any] = {
    "id": "thanks",
    "title": "Thanks",
    "when": {"minutes": 10, "after": "end"},
    "who": "attended",
    "steps": [{"step": "klicktipp.tag", "tag": "Da"}],
}
NOON = datetime(2026, 3, 24, 12, tzinfo=UTC)
OCCASION = Occasion("webinaris", "webinaris_default", "d1", "T", {"start": NOON, "end": NOON}, series="7167W1")


def rule(**changes: Any) -> Rule:
    return Rule.model_validate({**MINIMAL, **changes})


def test_defaults() -> None:
    found = rule()
    assert (found.source, found.conn_id, found.webinars) == ("webinaris", "webinaris_default", ())
    assert (found.order, found.order_group, found.language) == ("contact", "thanks", "de")
    assert (found.attended_from_percent, found.late_after.elapsed.total_seconds()) == (50, 86_400)


def test_a_rule_is_the_same_after_it_was_pinned() -> None:
    found = rule(webinars=["7167W1"], order="strict", order_group="all", tags=["a"])
    again = Rule.model_validate_json(found.model_dump_json())
    assert again == found
    assert again.spec_hash == found.spec_hash


@pytest.mark.parametrize(
    "changes",
    [
        {"when": {"minutes": 11, "after": "end"}},
        {"when": {"minutes": 10, "after": "start"}},
        {"who": "registered"},
        {"attended_from_percent": 51},
        {"order": "strict"},
        {"webinars": ["7167W1"]},
        {"conn_id": "other"},
        {"language": "en"},
        {"late_after": {"hours": 1}},
        {"late_after": {"days": 1, "then": "skip"}},
        {"again": "never"},
        {"again": {"days": 90}},
        {"steps": [{"step": "klicktipp.tag", "tag": "Da", "window": {"not_before": "08:00"}}]},
        {"title": "Messages may show it"},
        {"steps": [{"step": "klicktipp.tag", "tag": "Weg"}]},
        {"steps": [*MINIMAL["steps"], *MINIMAL["steps"]]},
    ],
)
def test_the_hash_changes_with_what_is_done(changes: dict[str, Any]) -> None:
    assert rule(**changes).spec_hash != rule().spec_hash


@pytest.mark.parametrize(
    "changes",
    [
        {"description": "x"},
        {"docs": "x"},
        {"tags": ["x"]},
        {"owner": "x"},
        {"when": {"after": "end", "hours": 0, "minutes": 10}},
        {"order_group": "thanks"},
        {"late_after": {"days": 1, "then": "hold"}},
        {"again": "per_occasion"},
    ],
)
def test_the_hash_stays_when_only_the_presentation_changes(changes: dict[str, Any]) -> None:
    assert rule(**changes).spec_hash == rule().spec_hash


def test_a_rule_without_later_options_is_still_the_version_it_was() -> None:
    """What waits was pinned by this hash and this spec before there were windows, re-entry and late policies."""
    spec = {
        "id": "thanks", "title": "Thanks", "description": "", "tags": [], "owner": "handoffs", "docs": "",
        "source": "webinaris", "conn_id": "webinaris_default", "webinars": [],
        "when": {"minutes": 10, "hours": 0, "days": 0, "before": None, "after": "end"},
        "late_after": {"minutes": 0, "hours": 0, "days": 1}, "who": "attended", "attended_from_percent": 50,
        "order": "contact", "order_group": "thanks", "language": "de",
        "steps": [{"step": "klicktipp.tag", "conn_id": "klicktipp_default", "tag": "Da", "create": False}],
    }  # fmt: skip
    assert Rule.model_validate(spec) == rule()
    assert rule().model_dump(mode="json") == spec
    assert rule().spec_hash == "f20f4540820f2fb086c9cc83ef03d6fdb70bc1c82160210ec1cbadec2f533074"


def test_later_options_are_pinned_too() -> None:
    found = rule(
        late_after={"hours": 2, "then": "skip"},
        again={"days": 90},
        window={"not_before": "08:00", "weekdays": ["mon"], "holidays": "BY"},
        steps=[{"step": "email", "template": "hello"}, {**MINIMAL["steps"][0], "window": {"not_after": "20:00"}}],
    )
    again = Rule.model_validate_json(found.model_dump_json())
    assert again == found
    assert again.spec_hash == found.spec_hash


@pytest.mark.parametrize(
    ("changes", "occasion", "matches"),
    [
        ({}, OCCASION, True),
        ({"webinars": ["7167W1", "x"]}, OCCASION, True),
        ({"webinars": ["x"]}, OCCASION, False),
        ({"conn_id": "other"}, OCCASION, False),
        ({}, replace(OCCASION, source="manual"), False),
        ({}, replace(OCCASION, anchors={"start": NOON}), False),
    ],
)
def test_which_occasions_a_rule_waits_for(changes: dict[str, Any], occasion: Occasion, matches: bool) -> None:
    assert rule(**changes).matches(occasion) is matches


def test_a_rule_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        rule().title = "other"  # type: ignore[misc]


def test_the_page_shows_moment_audience_and_steps_in_order() -> None:
    steps = [{"step": "klicktipp.tag", "tag": "a|b"}, {"step": "email", "template": "hello"}]
    page = doc_md(rule(steps=steps, docs="Mind the *gap*.", attended_from_percent=30))
    assert "| When (Zeitpunkt) | 10 minutes after the end (10 Minuten nach Ende) |" in page
    assert "| attended (Teilgenommen), from 30 % of the webinar on |" in page
    assert r"| 1 | `klicktipp.tag` | Tag the contact in KlickTipp (Tag vergeben) | tag: a\|b |" in page
    assert page.index("| 1 | `klicktipp.tag` |") < page.index("| 2 | `email` |")
    assert page.endswith("Mind the *gap*.\n")


def test_the_shipped_rules_are_the_seeds_recommendations() -> None:
    files, problems = load_folder(SHIPPED)
    assert not problems
    rules = [file.rule for file in files if isinstance(file.rule, WebinarRule)]
    found = {rule.id: (rule.when.describe("de"), rule.who) for rule in rules}
    assert found == {
        "webinar_attended": ("1 Minute nach Ende", Audience.ATTENDED),
        "webinar_missed": ("1 Minute nach Ende", Audience.NOT_ATTENDED),
        "pitch_seen": ("45 Minuten nach Start", Audience.ONLINE),
        "pitch_missed": ("45 Minuten nach Start", Audience.NOT_ONLINE),
    }
    shares = {rule.attended_from_percent for rule in rules if rule.who.value.endswith("attended")}
    assert len(shares) == 1
