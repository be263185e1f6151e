"""Messages: what people read, in which language and zone, and what is wrong with a template."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from handoff.contact import Contact
from handoff.errors import TemplateError
from handoff.occasion import Occasion
from handoff.texts.messages import Templates
from handoff.texts.survey_mail import survey_variables
from handoff.texts.template_check import check_text
from handoff.texts.templates import RuleFacts, render_text, variables_of

SHIPPED = Templates(Path(__file__).parents[3] / "include" / "templates")
NAMES = ["appointment_reminder", "pitch_missed", "pitch_seen", "webinar_attended", "webinar_missed"]
START = datetime(2026, 3, 24, 18, tzinfo=UTC)


def variables(title: str = "Mehr Termine", language: str = "de", **contact: str) -> dict[str, object]:
    occasion = Occasion(
        "webinaris", "a", "d1", title, {"start": START, "end": START}, facts={"offer_url": "https://o/"}
    )
    person = Contact("eva@example.org", **{"first_name": "Eva", "last_name": "Müller", **contact})
    return variables_of(person, occasion, RuleFacts("r1", "Nachfassen", language))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "_layout.txt.j2").write_text("{% block body %}{% endblock %}")
    write(tmp_path, "hello.de", "Hallo {{ occasion.title }}", "Text {{ contact.first_name }}", "<p>{{ subject }}</p>")
    return tmp_path


def write(folder: Path, name: str, subject: str, text: str, html: str) -> None:
    block = '{% extends "_layout.txt.j2" %}\n{% block subject %}SUBJECT{% endblock %}\n{% block body %}\n'
    (folder / f"{name}.txt.j2").write_text(block.replace("SUBJECT", subject) + text + "{% endblock %}")
    (folder / f"{name}.html.j2").write_text(html)


def test_the_seed_pages_recommendations_have_messages() -> None:
    assert SHIPPED.names() == sorted([*NAMES, "opt_in", "survey"])


@pytest.mark.parametrize("name", NAMES)
def test_what_ships_is_sound_in_both_languages(name: str) -> None:
    assert SHIPPED.check(name, ("de", "en")) == []


def test_the_survey_s_message_needs_the_scale_and_no_more() -> None:
    assert SHIPPED.check("survey", given=survey_variables()) == []
    problems = "\n".join(SHIPPED.check("survey"))
    assert "unknown variable 'scores'" in problems
    assert "unknown variable 'survey_url'" in problems


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("language", "greeting"), [("de", "Guten Tag Eva Müller,"), ("en", "Hello Eva Müller,")])
def test_what_ships_greets_and_says_why(name: str, language: str, greeting: str) -> None:
    message = SHIPPED.render(name, language, variables())
    assert message.language == language
    assert "Mehr Termine" in message.subject or "24" in message.subject
    for part in (message.text, message.html):
        assert greeting in part
        assert "Mehr Termine" in part
        assert "24" in part
        assert "19:00" in part
    assert "<style>" not in message.html.split("@media")[0].replace("<style>", "", 1)
    assert '<div class="card" style="background-color' in message.html


def test_a_fact_that_is_there_is_shown_and_one_that_is_not_leaves_no_gap() -> None:
    assert 'href="https://o/"' in SHIPPED.render("pitch_seen", "de", variables()).html
    assert "Aufzeichnung:" not in SHIPPED.render("webinar_attended", "de", variables()).text


def test_a_contact_without_a_name_is_greeted_politely() -> None:
    assert SHIPPED.render("pitch_seen", "de", variables(first_name="", last_name="")).text.startswith("Guten Tag,\n")


def test_html_is_escaped_and_text_is_not() -> None:
    message = SHIPPED.render("webinar_attended", "de", variables('<b>A & "B"</b>', first_name="<script>"))
    assert "<script>" not in message.html
    assert "<b>" not in message.html
    assert "Guten Tag <script> Müller" in message.text
    assert message.subject == 'Schön, dass Sie dabei waren: <b>A & "B"</b>'


@pytest.mark.parametrize("break_", ["\r\n", "\n", "\u2028", "\x00\x0b", " \n "])
def test_a_subject_is_one_line(break_: str) -> None:
    assert SHIPPED.render("webinar_attended", "en", variables(f"A{break_}Bcc: x@example.org ")).subject == (
        "Thank you for joining us: A Bcc: x@example.org"
    )


def test_the_language_falls_back_to_the_rules_and_then_to_german(folder: Path) -> None:
    write(folder, "hello.en", "Hello", "Text", "<p></p>")
    templates = Templates(folder)
    assert templates.render("hello", "fr", variables(language="en")).language == "en"
    assert templates.render("hello", "fr", variables(language="it")).language == "de"
    assert templates.render("hello", "", variables(language="")).language == "de"


def test_no_stylesheet_is_fetched_or_read(folder: Path) -> None:
    (folder / "local.css").write_text("p { color: red }")
    links = "".join(f'<link rel="stylesheet" href="{href}">' for href in ("http://127.0.0.1:9/a.css", "local.css"))
    write(folder, "hello.de", "S", "T", f"<html><head>{links}<style>p {{ color: blue }}</style></head><p>x</p></html>")
    html = Templates(folder).render("hello", "de", variables()).html
    assert '<p style="color: blue;">' in html
    assert "red" not in html


@pytest.mark.parametrize(
    ("moment", "zone", "german", "english"),
    [
        ("2026-03-24T18:00Z", "", "24. März 2026 19:00 Uhr", "24 March 2026 19:00 CET"),
        ("2026-07-01T18:00Z", "", "1. Juli 2026 20:00 Uhr", "1 July 2026 20:00 CEST"),
        ("2026-03-24T23:30Z", "", "25. März 2026 00:30 Uhr", "25 March 2026 00:30 CET"),
        ("2026-03-24T18:00Z", "America/New_York", "24. März 2026 14:00 Uhr (EDT)", "24 March 2026 14:00 EDT"),
        ("2026-03-24T18:00Z", "America/Sao_Paulo", "24. März 2026 15:00 Uhr (UTC-03)", "24 March 2026 15:00 UTC-03"),
        ("2026-03-24T18:00Z", "Atlantis/Nowhere", "24. März 2026 19:00 Uhr", "24 March 2026 19:00 CET"),
    ],
)
def test_moments_are_written_in_the_contacts_zone_or_the_occasions(
    moment: str, zone: str, german: str, english: str
) -> None:
    known = variables(timezone=zone)
    known["occasion"].start = datetime.fromisoformat(moment)  # type: ignore[attr-defined]
    assert render_text("{{ occasion.start | datum }} {{ occasion.start | uhrzeit }}", known) == german
    assert render_text("{{ occasion.start | date }} {{ occasion.start | time }}", known) == english


def test_the_occasions_own_zone_can_be_asked_for() -> None:
    text = "{{ occasion.start | uhrzeit('occasion') }}"
    assert render_text(text, variables(timezone="America/New_York")) == "19:00 Uhr"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{ contact.frist_name }}", "template:1: unknown variable 'contact.frist_name'; did you mean 'first_name'?"),
        ("\n{{ ocasion.title }}", "template:2: unknown variable 'ocasion'; did you mean 'occasion'?"),
        ("{{ rule.titel }}", "template:1: unknown variable 'rule.titel'; did you mean 'title'?"),
        ("{{ '' and occasion.strat }}", "template:1: unknown variable 'occasion.strat'; did you mean 'start'?"),
        ("{{ occasion.start | datm }}", "template:1: No filter named 'datm'; did you mean 'datum'?"),
        ("{{ contact.email", "template:1: unexpected end of template"),
        ("{{ contact['nme'] }}", "template:1: unknown variable 'nme'"),
        ("{{ contact.email | date }}", "template:1: a date or time filter needs a moment"),
        ("{{ contact.__class__ }}", "template:1: unknown variable 'contact.__class__'"),
    ],
)  # fmt: skip
def test_a_rules_short_templates_are_checked(text: str, problem: str) -> None:
    problems = check_text(text)
    assert len(problems) == 1
    assert problems[0].startswith(problem)
    if "and" not in text:
        with pytest.raises(TemplateError):
            render_text(text, variables())


def test_facts_are_the_sources_own() -> None:
    assert check_text("{{ occasion.facts.whatever }} {{ contact.first_name | upper }}") == []


def test_the_sandbox_holds() -> None:
    with pytest.raises(TemplateError):
        render_text("{{ ''.__class__.__mro__ }}", variables())
    with pytest.raises(TemplateError):
        render_text("{{ occasion.facts.update({'a': 1}) }}", variables())


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("hello.de.html.j2", "<p>\n{{ contact.emial }}</p>", "hello.de.html.j2:2: unknown variable 'contact.emial'"),
        ("hello.de.html.j2", "{% if %}", "hello.de.html.j2:1: Expected an expression"),
        ("_layout.txt.j2", "\n{{ oops }}{% block body %}{% endblock %}", "_layout.txt.j2:2: unknown variable 'oops'"),
        ("hello.de.txt.j2", "no subject", "hello.de.txt.j2:1: has no subject; add {% block subject %}"),
        ("hello.de.txt.j2", "{% block subject %} {% endblock %}", "hello.de.txt.j2:1: the subject is empty"),
        ("hello.de.html.j2", '{% extends "_layuot.html.j2" %}', "_layuot.html.j2: missing"),
        ("hello.de.html.j2", "{{ 1 // contact.phone | length }}", "hello.de.html.j2:1: cannot be rendered (ZeroDiv"),
    ],
)  # fmt: skip
def test_a_message_is_checked_with_its_layout(folder: Path, file: str, content: str, problem: str) -> None:
    (folder / file).write_text(content)
    problems = Templates(folder).check("hello", ("de",))
    assert len(problems) == 1
    assert problems[0].startswith(problem)


def test_missing_files_are_named(folder: Path) -> None:
    templates = Templates(folder)
    place = folder.name
    assert templates.check("hello", ("de", "en")) == [
        f"hello.en.html.j2: missing in {place}", f"hello.en.txt.j2: missing in {place}"
    ]  # fmt: skip
    assert templates.check("helo") == [f"template 'helo' is missing in {place}; did you mean 'hello'?"]
    with pytest.raises(TemplateError, match="helo.de.txt.j2: missing .* did you mean 'hello'"):
        templates.render("helo", "de", variables())


def test_errors_never_show_a_contacts_data(folder: Path) -> None:
    for expression in ("contact.email | round", "{}[contact.email].x", "contact.email + 1", "contact[contact.email].x"):
        (folder / "hello.de.html.j2").write_text(f"\n{{{{ {expression} }}}}")
        with pytest.raises(TemplateError, match=r"hello\.de\.html\.j2:2: ") as caught:
            Templates(folder).render("hello", "de", variables())
        assert "eva@" not in str(caught.value)
        assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("{{ occasion.start | iso }}", "2026-03-24T19:00:00+01:00"),
        ("{{ occasion.start | iso('contact') }}", "2026-03-24T14:00:00-04:00"),
        ("{{ occasion.start | unix }}", "1774375200"),
        ("{{ occasion.start | datetime }}", "2026-03-24 19:00:00"),
        ("{{ occasion.start | datetime('%d.%m.%Y %H:%M') }}", "24.03.2026 19:00"),
        ("{{ occasion.start | datetime('%H:%M', 'contact') }}", "14:00"),
        ("{{ occasion.start | datetime(zone='contact') }}", "2026-03-24 14:00:00"),
    ],
)
def test_fields_are_written_in_the_occasions_zone(text: str, written: str) -> None:
    assert check_text(text) == []
    assert render_text(text, variables(timezone="America/New_York")) == written


@pytest.mark.parametrize("name", ["iso", "unix", "datetime"])
def test_only_moments_become_dates(name: str) -> None:
    (problem,) = check_text(f"{{{{ contact.email | {name} }}}}")
    assert "a date or time filter needs a moment" in problem
    with pytest.raises(TemplateError, match="unknown variable 'strat'"):
        render_text(f"{{{{ occasion.strat | {name} }}}}", variables())


def test_of_the_hour_that_comes_twice_the_offset_tells_which() -> None:
    known = variables()
    texts = []
    for hour in (0, 1):
        known["occasion"].start = datetime(2026, 10, 25, hour, 30, tzinfo=UTC)  # type: ignore[attr-defined]
        texts.append(render_text("{{ occasion.start | iso }} {{ occasion.start | unix }}", known))
    assert texts == ["2026-10-25T02:30:00+02:00 1792888200", "2026-10-25T02:30:00+01:00 1792891800"]
