"""Lint: templates that are missing or name unknown variables are told beside what is wrong in the files."""

from __future__ import annotations

from pathlib import Path

import pytest

from handoff.cli import main
from handoff.rules.lint import lint

INCLUDE = Path(__file__).parents[3] / "include"
RULE = """\
id: hello
title: Hello
when: {minutes: 0, after: start}
who: registered
steps:
  - step: klicktipp.contact
    fields: {fieldFirstName: "{{ contact.first_name }}"}
  - step: email
    template: hello
    language: de
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "hello.yaml").write_text(RULE)
    (tmp_path / "hello.de.txt.j2").write_text("{% block subject %}Hallo{% endblock %}\nHallo {{ contact.first_name }}")
    (tmp_path / "hello.de.html.j2").write_text("<p>Hallo {{ contact.first_name }}</p>")
    return tmp_path


def test_what_ships_is_sound() -> None:
    report = lint([INCLUDE / "handoffs"], INCLUDE / "templates")
    assert not report.problems
    assert not report.warnings
    assert len(report.files) >= 4


def test_a_sound_project(project: Path) -> None:
    assert not lint([project], project).problems


def test_a_missing_template_is_placed(project: Path) -> None:
    (project / "hello.yaml").write_text(RULE.replace("template: hello", "template: helo"))
    report = lint([project], project)
    [problem] = report.problems
    assert (problem.line, problem.column, problem.field) == (9, 15, "steps[1].template")
    assert "helo" in problem.what
    assert "missing" in problem.what
    assert [file.rule.id for file in report.files] == ["hello"]


def test_an_unknown_variable_in_a_message(project: Path) -> None:
    (project / "hello.de.html.j2").write_text("<p>Hallo {{ contact.firstname }}</p>")
    [problem] = lint([project], project).problems
    assert "hello.de.html.j2" in problem.what
    assert "contact.firstname" in problem.what
    assert (problem.line, problem.context.strip()) == (9, "template: hello")


def test_a_message_for_every_contact_needs_both_languages(project: Path) -> None:
    (project / "hello.yaml").write_text(RULE.replace("language: de", "language: contact"))
    assert {"hello.en.html.j2", "hello.en.txt.j2"} == {
        problem.what.split(":")[0] for problem in lint([project], project).problems
    }


def test_an_unknown_variable_in_a_field(project: Path) -> None:
    (project / "hello.yaml").write_text(RULE.replace("contact.first_name", "contact.name"))
    [problem] = lint([project], project).problems
    assert problem.field == "steps[0].fields.fieldFirstName"
    assert (problem.line, problem.column) == (7, 30)
    assert "contact.name" in problem.what


def test_a_wrong_rule_and_a_wrong_template_are_both_told(project: Path) -> None:
    (project / "broken.yaml").write_text("id: [")
    (project / "hello.de.html.j2").unlink()
    assert {problem.path.name for problem in lint([project], project).problems} == {"broken.yaml", "hello.yaml"}


ASKS = """\
id: asks
title: Asks
when: {minutes: 0, after: end}
who: registered
steps:
  - step: opt_in
    template: hello
    language: de
    wording: Ich willige ein.
"""
CONFIRMED = """\
id: confirmed
title: Confirmed
source: opt_in
asked_by: [asks, hello]
when: {minutes: 0, after: confirmed}
steps:
  - step: klicktipp.tag
    tag: confirmed
"""


BOOKED = """\
id: booked
title: Booked
source: etermin
when: {minutes: 0, after: booked}
steps:
  - step: quentn.contact
  - step: quentn.campaign
    campaign: 1
  - step: activecampaign.list
    list: News
"""


def test_a_campaign_as_service_for_contacts_of_etermin_is_a_warning(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = project / "booked.yaml"
    file.write_text(BOOKED)
    report = lint([file], project)
    assert not report.problems
    assert [(one.field, one.line) for one in report.warnings] == [("steps[1]", 7), ("steps[2]", 9)]
    assert "campaign (Kampagne) as service" in report.warnings[0].what
    assert main(["lint", str(file), "--templates", str(project)]) == 0
    assert "warning: " in capsys.readouterr().out
    file.write_text(BOOKED + "purpose: marketing\nlegal_basis: consent\n")
    assert not lint([file], project).warnings
    file.write_text(BOOKED.replace("source: etermin", "source: opt_in").replace("booked}", "confirmed}"))
    assert not lint([file], project).warnings


@pytest.mark.parametrize(
    ("url", "purpose", "told"),
    [
        ("http://airflow.example.org", "survey", 1), ("https://airflow.example.org", "survey", 0),
        ("http://127.0.0.1:8080", "survey", 0), ("", "survey", 0), ("http://airflow.example.org", "service", 0),
    ],
)  # fmt: skip
def test_links_to_unsubscribe_without_https_are_a_warning(
    project: Path, monkeypatch: pytest.MonkeyPatch, url: str, purpose: str, told: int
) -> None:
    monkeypatch.setenv("HANDOFF_PUBLIC_URL", url)
    basis = "" if purpose == "service" else "legal_basis: consent\n"
    (project / "hello.yaml").write_text(f"purpose: {purpose}\n{basis}{RULE}")
    report = lint([project], project)
    assert not report.problems
    assert [(one.field, one.line, one.what[:18]) for one in report.warnings] == [
        ("purpose", 1, "HANDOFF_PUBLIC_URL")
    ] * told


def test_a_consent_that_nobody_asks_for_is_told(project: Path) -> None:
    (project / "asks.yaml").write_text(ASKS)
    waits = project / "confirmed.yaml"
    waits.write_text(CONFIRMED)
    # Also where the file is checked alone, those beside it count.
    for checked in (project, waits):
        [problem] = [one for one in lint([checked], project).problems if one.path == waits]
        assert (problem.line, problem.column, problem.field) == (4, 18, "asked_by[1]")
        assert 'no rule "hello" has a step opt_in' in problem.what
        assert problem.right == "name one of: asks"
    waits.write_text(CONFIRMED.replace("asks, hello", "asks"))
    assert not [one for one in lint([project], project).problems if one.path == waits]
