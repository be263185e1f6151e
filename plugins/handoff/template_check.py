"""What can be said about a template before anybody is written to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, meta, nodes

from handoff.contact import Contact
from handoff.occasion import Occasion
from handoff.templates import RuleFacts, Variables, did_you_mean, environment, error_of, variables_of


class AnyFact(dict[str, object]):
    """Facts are the source's own and unknown before an occasion exists: every name is there."""

    def __missing__(self, key: str) -> str:
        return f"https://example.org/{key}"


def samples() -> list[dict[str, Any]]:
    """Return two sets of variables, one with everything filled in and one with the least a source gives."""
    anchors = {"start": datetime(2026, 3, 24, 18, tzinfo=UTC), "end": datetime(2026, 3, 24, 19, tzinfo=UTC)}
    occasion = Occasion("sample", "sample", "d1", "Sample", anchors, series="w1", facts=AnyFact())
    full = Contact("sample@example.org", "Ada", "Sample", "+49 30 1234", "de", "America/New_York")
    rule = RuleFacts("sample", "Sample")
    return [variables_of(contact, occasion, rule) for contact in (full, Contact("sample@example.org"))]


def check_text(template: str) -> list[str]:
    """Return the problems of one short template of a rule; empty when it is sound."""
    env = environment()
    return check_source(env, template, "template") or _dry_run(env, template)


def check_source(env: Environment, source: str, file: str, extra: tuple[str, ...] = ()) -> list[str]:
    """Return the problems of one file's text: syntax, unknown variables and unknown attributes.

    :param extra: names besides ``contact``, ``occasion`` and ``rule`` that this file may use.
    """
    try:
        tree = env.parse(source, file)
        env.compile(source, file)
    except TemplateSyntaxError as error:
        return [str(error_of(error, file))]
    variables = samples()[0]
    found = [*_unknown_names(tree, {*variables, *extra}), *_unknown_attributes(tree, variables)]
    return [f"{file}:{line}: {words}" for line, words in sorted(found)]


def references(env: Environment, source: str) -> list[str]:
    """Return the files that a template extends or includes."""
    return [name for name in meta.find_referenced_templates(env.parse(source)) if name]


def _unknown_names(tree: nodes.Template, known: set[str]) -> Iterator[tuple[int, str]]:
    for name in meta.find_undeclared_variables(tree) - known:
        lines = [node.lineno for node in tree.find_all(nodes.Name) if node.name == name]
        yield min(lines, default=1), f"unknown variable {name!r}{did_you_mean(name, known)}"


def _unknown_attributes(tree: nodes.Template, variables: Variables) -> Iterator[tuple[int, str]]:
    for node in tree.find_all(nodes.Getattr):
        if not isinstance(node.node, nodes.Name) or node.node.name not in variables:
            continue
        known = [name for name in dir(variables[node.node.name]) if not name.startswith("_")]
        if node.attr not in known:
            wrong = f"{node.node.name}.{node.attr}"
            yield node.lineno, f"unknown variable {wrong!r}{did_you_mean(node.attr, known)}"


def _dry_run(env: Environment, template: str) -> list[str]:
    for variables in samples():
        try:
            env.from_string(template).render(**variables)
        except Exception as error:
            return [str(error_of(error, "template"))]
    return []
