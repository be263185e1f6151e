"""What users can set, call and press is documented, and every link leads somewhere."""

from __future__ import annotations

import argparse
import json
import re
from inspect import signature
from pathlib import Path
from typing import Any, get_args

import psycopg
import pytest
from pydantic.fields import FieldInfo

from handoff.audience import Audience
from handoff.cli import COMMANDS, command_of
from handoff.rules.document import Document
from handoff.rules.kinds import KINDS
from handoff.rules.lint import Shown
from handoff.rules.rule import Rule
from handoff.rules.steps import AnyStep, Step
from handoff.rules.webinar import WebinarRule
from handoff.texts.messages import RENDERED
from handoff.texts.opt_in_mail import opt_in_variables
from handoff.texts.survey_mail import survey_variables
from handoff.texts.template_check import samples
from handoff.texts.template_dates import FILTERS
from handoff.times.late import Then
from handoff.times.timing import Language, When
from handoff.times.windows import WEEKDAYS, Window
from hooks.activecampaign import ActiveCampaignHook
from hooks.callexa import CallexaHook
from hooks.etermin import ETerminHook
from hooks.insightly import InsightlyHook
from hooks.klicktipp import KlickTippHook
from hooks.ledger import LedgerHook
from hooks.provider_info import CONNECTION_TYPES
from hooks.quentn import QuentnHook
from hooks.vendor_hook import VendorHook
from hooks.webinaris import WebinarisHook

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path.relative_to(ROOT)
    for pattern in ("*.md", "docs/**/*.md", "sandbox/*.md", "include/templates/*.md")
    for path in ROOT.glob(pattern)
)
STEPS: dict[str, type[Step]] = {
    get_args(model.model_fields["step"].annotation)[0]: model for model in get_args(get_args(AnyStep)[0])
}
HOOKS = {
    hook.conn_type: hook
    for hook in (
        ActiveCampaignHook,
        CallexaHook,
        ETerminHook,
        InsightlyHook,
        KlickTippHook,
        LedgerHook,
        QuentnHook,
        WebinarisHook,
    )
}
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
PICTURES = ROOT / "docs" / "pictures"


def page(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def section(text: str, heading: str) -> str:
    """Return what stands below a heading, up to the next one of its rank or higher."""
    rank = heading.split(" ")[0]
    found = re.search(rf"^{re.escape(heading)}$\n(.*?)(?=^#{{1,{len(rank)}}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"there is no heading {heading!r}"
    return found[1]


def rows(text: str) -> dict[str, list[str]]:
    """Return the cells of all tables by the code words in the first cell."""
    found = {}
    for line in re.findall(r"^\| (.+) \|$", text, re.MULTILINE):
        cells = [cell.strip() for cell in line.split(" | ")]
        found |= dict.fromkeys(re.findall(r"`([^`]+)`", cells[0]), cells)
    return found


def default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=field.default_factory in {dict, list, tuple})
    if isinstance(value, bool | int):
        return f"`{json.dumps(value)}`"
    return f"`{value}`" if isinstance(value, str) and value else ""


@pytest.mark.parametrize("name", Rule.model_fields)
def test_rule_option(name):
    cells = rows(section(page("docs/rules.md"), "## Options of a rule").partition("\n### ")[0])[name]
    field = WebinarRule.model_fields[name]
    if name != "order_group":  # its default is the rule's id
        assert default_of(field) in cells[1]
    for choice in [value for value in get_args(field.annotation) if isinstance(value, str)]:
        assert f"`{choice}`" in " ".join(cells)


@pytest.mark.parametrize("source", KINDS)
def test_the_options_of_a_source(source):
    [heading] = re.findall(rf"^### `source: {source}`.*$", page("docs/rules.md"), re.MULTILINE)
    table = rows(section(page("docs/rules.md"), heading))
    own = {name: field for name, field in KINDS[source].model_fields.items() if name not in Rule.model_fields}
    assert own.keys() <= table.keys()
    for name, field in own.items():
        assert default_of(field) in table[name][1], name
        for choice in [value for value in get_args(get_args(field.annotation)[:1]) if isinstance(value, str)]:
            assert f"`{choice}`" in " ".join(table[name])
    assert source in page("docs/rules.md")


@pytest.mark.parametrize("name", When.model_fields)
def test_moment(name):
    assert f"`{name}`" in section(page("docs/rules.md"), "### `when`: the moment (*Zeitpunkt*)")


@pytest.mark.parametrize("name", get_args(Then))
def test_what_becomes_of_what_is_late(name):
    assert f"`{name}`" in section(page("docs/rules.md"), "### `late_after`: how late is too late (*verspätet*)")


@pytest.mark.parametrize("name", [*Window.model_fields, *WEEKDAYS])
def test_window(name):
    heading = "### `window`: when messages may go out (*Sendefenster, Ruhezeiten*)"
    assert f"`{name}`" in section(page("docs/rules.md"), heading)


@pytest.mark.parametrize("audience", Audience)
def test_audience(audience):
    cells = rows(section(page("docs/rules.md"), "### `who`: the audience (*für wen*)"))[audience.value]
    assert cells[1] == audience.label("de")


@pytest.mark.parametrize("name", [*get_args(Rule.model_fields["order"].annotation), *get_args(Language)])
def test_choice(name):
    assert f"`{name}`" in section(page("docs/rules.md"), "## Options of a rule")


@pytest.mark.parametrize("step", STEPS)
def test_step(step):
    table = rows(section(page("docs/rules.md"), f"### `{step}`"))
    fields = STEPS[step].model_fields
    assert fields.keys() <= table.keys()
    for name, field in fields.items():
        assert default_of(field) in table[name][1], f"{step}: {name}"
        if name != "step":
            for choice in [value for value in get_args(field.annotation) if isinstance(value, str)]:
                assert f"`{choice}`" in " ".join(table[name]), f"{step}: {name}: {choice}"


def shown_names():
    """Return what lint lets a rule's templates use, each name with its parts; facts are their source's own."""
    anchors = sorted({anchor for kind in KINDS.values() for anchor in kind.anchors})
    names = samples(anchors)[0] | Shown((), answer=True, details=True).given()
    parts = {name: [part for part in dir(thing) if is_part(thing, part)] for name, thing in names.items()}
    return parts | {"entry": ["notes", "town"]}


def is_part(thing, name):
    return not name.startswith("_") and not callable(getattr(thing, name))


@pytest.mark.parametrize(
    ("name", "heading"), [("docs/rules.md", "## Templates"), ("include/templates/README.md", "## Names")]
)
def test_the_names_of_templates(name, heading):
    text = section(page(name), heading)
    moments = " ".join(re.findall(r"^\| .*", text, re.MULTILINE))
    for shown, parts in shown_names().items():
        [line] = re.findall(rf"^- `{shown}`(.*(?:\n  .*)*)", text, re.MULTILINE)
        assert [part for part in parts if f"`{part}`" not in line + moments] == [], shown


@pytest.mark.parametrize("name", [*RENDERED, *survey_variables(), *opt_in_variables()])
def test_the_further_names_of_messages(name):
    assert f"`{name}`" in section(page("include/templates/README.md"), "## Names")


@pytest.mark.parametrize("name", FILTERS)
def test_the_filters_of_templates(name):
    for text in (page("docs/rules.md"), section(page("include/templates/README.md"), "## Dates")):
        assert f"`{name}`" in text or f"| {name}" in text


@pytest.mark.parametrize("form", CONNECTION_TYPES, ids=lambda form: form["connection-type"])
def test_connection(form):
    kind = form["connection-type"]
    heading = {"handoff_ledger": "Ledger"}.get(kind, form["hook-name"])
    text = section(page("docs/accounts.md"), f"## {heading}")
    assert f"Type `{kind}`, default id `{HOOKS[kind].default_conn_name}`" in text
    table = rows(text)
    for name, field in form["conn-fields"].items():
        assert field["label"] in table[name][0], f"{kind}: {name}"
        default = field["schema"].get("default")
        assert default is None or f"`{default}`" in table[name][1], f"{kind}: {name}"
    behaviour = form["ui-field-behaviour"]
    shown = {"host", "port", "schema", "login", "password"} - set(behaviour["hidden-fields"])
    assert shown <= table.keys()
    for name, label in behaviour["relabeling"].items():
        assert label in table[name][0], f"{kind}: {name}"


@pytest.mark.parametrize("hook", [hook for hook in HOOKS.values() if issubclass(hook, VendorHook)])
def test_hook(hook):
    given = ", ".join(name for name in signature(hook).parameters if name != "kwargs")
    named = f"`{hook.__module__}.{hook.__name__}({given})`"
    [row] = [line for line in page("docs/hooks.md").splitlines() if named in line]
    # Whichever of its classes has it, and class methods too.
    own = set(dir(hook)) - set(dir(VendorHook)) - {"read_account"}
    calls = {name for name in own if not name.startswith("_") and callable(getattr(hook, name))}
    documented = re.findall(r"`([a-z_]+)`", row)
    assert sorted(documented) == sorted(calls)


@pytest.mark.parametrize("command", [command_of(name) for name in COMMANDS], ids=COMMANDS)
def test_command(command):
    everything = "\n".join(page(name) for name in map(str, PAGES))
    assert f"handoff {command.name}" in everything
    parser = argparse.ArgumentParser(add_help=False)
    command.add_options(parser)
    for action in parser._actions:
        for option in action.option_strings:
            assert option in everything, f"handoff {command.name} {option}"


def test_every_documented_command_exists():
    named = {name for text in map(page, map(str, PAGES)) for name in re.findall(r"`(?:\S+/)?handoff ([a-z-]+)\b", text)}
    assert named
    assert named <= set(COMMANDS)


def test_make_targets():
    targets = set(re.findall(r"^([a-z]+):.*## ", page("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", page("README.md"), re.MULTILINE))
    assert named == targets
    for text in map(page, map(str, PAGES)):
        assert set(re.findall(r"`make ([a-z]+)", text)) <= targets


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_links(path):
    for link in LINK.findall(without_code(page(str(path)))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / path.parent / name).resolve() if name else ROOT / path
        if target.parent == PICTURES and not PICTURES.exists():
            continue  # taken from the running program, all at once
        assert target.is_relative_to(ROOT), link
        assert target.exists(), f"{path}: {link}"
        assert not anchor or anchor in anchors(target), f"{path}: {link}"


def anchors(target: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", without_code(target.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_can_be_reached_from_the_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        found = waiting.pop()
        if found in reached or found.suffix != ".md":
            continue
        reached.add(found)
        links = LINK.findall(without_code(found.read_text("utf-8")))
        waiting += [(found.parent / link.split("#")[0]).resolve() for link in links if ".md" in link]
    assert {ROOT / path for path in PAGES} <= reached


def test_decisions_are_numbered_without_a_gap_and_say_what_they_must():
    records = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert [record.name[:4] for record in records] == [f"{number:04}" for number in range(1, len(records) + 1)]
    for record in records:
        text = record.read_text("utf-8")
        assert text.startswith(f"# {record.name[:4]}: ")
        assert all(f"**{part}.**" in text for part in ("Context", "Decision", "Consequence")), record.name


@pytest.mark.parametrize("path", [path for path in PAGES if path.parts[0] != "sandbox"], ids=str)
def test_yaml_rules_in_the_docs_are_valid(path):
    for text in re.findall(r"^```yaml\n(.*?)^```$", page(str(path)), re.MULTILINE | re.DOTALL):
        data = Document.parse(text).data
        if isinstance(data, dict) and "id" in data:
            Rule.model_validate(data)
        elif isinstance(data, list):
            for step in data:
                STEPS[step["step"]].model_validate(step)


@pytest.mark.integration
def test_the_ledger_understands_the_queries(ledger_url):
    pages = "\n".join(page(str(path)) for path in PAGES)
    queries = re.findall(r"^```sql\n(.*?)^```$", pages, re.MULTILINE | re.DOTALL)
    assert queries
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        for query in queries:
            connection.execute(query.encode())
