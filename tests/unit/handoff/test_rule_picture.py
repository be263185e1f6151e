"""The picture of a rule's steps: always well-formed, everything in order, nothing too wide."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as some

from handoff.rules.page import doc_md, flow
from handoff.rules.picture import svg
from handoff.rules.picture_text import clean, columns, wrap
from handoff.rules.rule import Rule

SVG = "{http://www.w3.org/2000/svg}"
STEPS = [
    {"step": "klicktipp.contact", "fields": {"fieldFirstName": "{{ contact.first_name }}"}},
    {"step": "klicktipp.tag", "tag": "Webinar besucht", "conn_id": "klicktipp_second"},
    {"step": "email", "template": "webinar_attended"},
]
HOSTILE = '</title></svg><script>alert("1")</script> & Grüße 🎉👩‍👩‍👧 \x00\x0b\ufffe ]]> <!--'


def rule(**changes: Any) -> Rule:
    made = {
        "id": "thanks", "title": "Thanks", "when": {"minutes": 1, "after": "end"}, "who": "attended", "steps": STEPS,
    }  # fmt: skip
    return Rule.model_validate({**made, **changes})


def parsed(of: Rule) -> ElementTree.Element:
    return ElementTree.fromstring(svg(of))


def texts(root: ElementTree.Element, kind: str) -> list[str]:
    return [text.text or "" for text in root.iter(f"{SVG}text") if text.get("class") == kind]


def test_it_shows_moment_audience_order_and_the_steps_in_order() -> None:
    root = parsed(rule(attended_from_percent=30))
    assert texts(root, "name") == [
        "1 minute after the end (1 Minute nach Ende)",
        "attended (Teilgenommen), from 30 % of the webinar on",
        "klicktipp.contact", "klicktipp.tag", "email",
    ]  # fmt: skip
    assert texts(root, "digit") == ["1", "2", "3"]
    assert texts(root, "account") == ["klicktipp_default", "klicktipp_second", "smtp_default"]
    assert "tag: Webinar besucht" in texts(root, "note")
    assert "Tag the contact in KlickTipp (Tag vergeben)" in texts(root, "does")
    assert "contacts in parallel" in texts(root, "note")[0]
    assert "der Reihe nach" in texts(parsed(rule(order="strict")), "note")[0]


def test_a_step_shows_its_sending_window() -> None:
    root = parsed(rule(window={"not_before": "08:00", "not_after": "20:00", "weekdays": ["mon"]}))
    notes = " ".join(texts(root, "note"))
    assert notes.endswith("template: webinar_attended; window (Sendefenster): 08:00-20:00, Mon (08:00-20:00, Mo)")
    assert notes.count("Sendefenster") == 1


def test_the_page_says_what_becomes_of_late_ones_and_of_repeated_ones() -> None:
    page = doc_md(rule(late_after={"hours": 2, "then": "skip"}, again={"days": 90}))
    assert "| Late (verspätet) | later than 2 hours: is left out (später als 2 Stunden: entfällt) |" in page
    assert "| Again (erneut) | once in 90 days (einmal in 90 Tagen) |" in page


def test_boxes_and_arrows_stand_below_each_other() -> None:
    root = parsed(rule())
    boxes = [(float(box.get("y", "")), float(box.get("height", ""))) for box in root.iter(f"{SVG}rect")
             if box.get("class") == "box"]  # fmt: skip
    arrows = [path for path in root.iter(f"{SVG}path") if path.get("class") == "head"]
    assert (len(boxes), len(arrows)) == (5, 4)
    assert all(top + height < below for (top, height), (below, _) in zip(boxes, boxes[1:], strict=False))
    assert boxes[-1][0] + boxes[-1][1] <= float(root.get("viewBox", "").split()[3])
    baselines = [float(text.get("y", "")) for text in root.iter(f"{SVG}text") if text.get("class") == "name"]
    assert all(top < y < top + height for y, (top, height) in zip(baselines, boxes, strict=True))


def test_it_says_the_same_to_those_who_do_not_see_it() -> None:
    root = parsed(rule())
    title, desc = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert desc is not None
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"
    assert (title.text or "").startswith("Thanks")
    said = desc.text or ""
    assert said.index("1 Minute nach Ende") < said.index("Teilgenommen") < said.index("1. klicktipp.contact")
    assert said.index("1. klicktipp.contact") < said.index("2. klicktipp.tag") < said.index("3. email")


def test_hostile_texts_stay_texts() -> None:
    steps = [{"step": "klicktipp.tag", "tag": HOSTILE, "conn_id": HOSTILE}]
    root = parsed(rule(title=HOSTILE, steps=steps))
    kinds = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert kinds == {"svg", "title", "desc", "style", "g", "rect", "text", "path"}
    title = root.find(f"{SVG}title")
    assert title is not None
    assert (title.text or "").startswith('</title></svg><script>alert("1")</script> & Grüße 🎉👩‍👩‍👧 ? ? ]]> <!--')
    assert any("Grüße 🎉" in note for note in texts(root, "note"))


def test_long_texts_are_broken_and_then_cut() -> None:
    told = "Donaudampfschifffahrt " * 11 + "Ende"
    steps = [{"step": "klicktipp.tag", "tag": told[:250], "conn_id": "account_" * 20}]
    root = parsed(rule(steps=steps))
    notes = texts(root, "note")[1:]
    assert len(notes) == 3
    assert all(columns(note) <= 84 for note in notes)
    [account] = texts(root, "account")
    assert account.endswith("\u2026")
    assert columns(account) == 34


def test_a_hundred_steps() -> None:
    root = parsed(rule(steps=STEPS[1:2] * 100))
    assert texts(root, "digit") == [str(number) for number in range(1, 101)]


@given(title=some.text(min_size=1, max_size=250), tag=some.text(min_size=1, max_size=250))
def test_any_text_gives_a_well_formed_picture(title: str, tag: str) -> None:
    root = parsed(rule(title=title, steps=[{"step": "klicktipp.tag", "tag": tag}]))
    assert texts(root, "digit") == ["1"]


@given(text=some.text(max_size=200), width=some.integers(2, 40), lines=some.integers(1, 4))
def test_lines_are_never_too_many_nor_too_wide_and_nothing_is_lost_without_a_sign(
    text: str, width: int, lines: int
) -> None:
    broken = wrap(text, width, lines)
    assert 1 <= len(broken) <= lines
    assert all(columns(line) <= width for line in broken)
    kept = "".join(broken).replace(" ", "")
    whole = clean(text).replace(" ", "")
    if kept != whole:
        assert broken[-1].endswith("\u2026")
        assert whole.startswith(kept[:-1])


@pytest.mark.parametrize(("text", "wide"), [("abc", 3), ("ü", 1), ("u\u0308", 1), ("🎉", 2), ("日本", 4), ("", 0)])
def test_columns(text: str, wide: int) -> None:
    assert columns(text) == wide


def test_the_page_has_the_flow_in_characters() -> None:
    steps = [*STEPS, {"step": "klicktipp.untag", "tag": "```\nlong " * 25}]
    made = rule(steps=steps)
    moment, who, *rest = flow(made).splitlines()
    assert moment == "\u25cf 1 minute after the end (1 Minute nach Ende)"
    assert who == "\u2502 attended (Teilgenommen), from 50 % of the webinar on"
    assert [line.split()[:3] for line in rest] == [
        ["\u25bc", "1.", "klicktipp.contact"], ["\u25bc", "2.", "klicktipp.tag"], ["\u25bc", "3.", "email"],
        ["\u25bc", "4.", "klicktipp.untag"],
    ]  # fmt: skip
    assert rest[1] == "\u25bc 2. klicktipp.tag      tag: Webinar besucht"
    assert (len(rest[3]), rest[3][-1]) == (54, "\u2026")
    page = doc_md(made)
    assert f"```text\n{flow(made)}\n```\n" in page
    assert page.split("\n").count("```") == 1
