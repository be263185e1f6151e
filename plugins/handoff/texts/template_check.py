"""What can be said about a template before anybody is written to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, meta, nodes

from handoff.contact import Contact
from handoff.occasion import Occasion
from handoff.texts.templates import RuleFacts, Variables, did_you_mean, environment, error_of, variables_of


class AnyFact(dict[str, object]):
    """Facts are the source's own and unknown before an occasion exists: every name is there."""

    def __missing__(self, key: str) -> str:
        return f"https://example.org/{key}"


WEBINAR = ("start", "end")


def samples(anchors_named: Sequence[str] = WEBINAR) -> list[dict[str, Any]]:
    """Return two sets of variables, one with everything filled in and one with the least a source gives.

    :param anchors_named: the moments that the source's occasions have.
    """
    first = datetime(2026, 3, 24, 18, tzinfo=UTC)
    anchors = {name: first + timedelta(hours=number) for number, name in enumerate(anchors_named)}
    occasion = Occasion("sample", "sample", "d1", "Sample", anchors, series="w1", facts=AnyFact())
    full = Contact("sample@example.org", "Ada", "Sample", "+49 30 1234", "de", "America/New_York")
    rule = RuleFacts("sample", "Sample")
    return [variables_of(contact, occasion, rule) for contact in (full, Contact("sample@example.org"))]


def check_text(template: str, anchors: Sequence[str] = WEBINAR, given: Variables = MappingProxyType({})) -> list[str]:
    """Return the problems of one short template of a rule; empty when it is sound.

    :param anchors: see :func:`samples`. :param given: samples of further names.
    """
    env, shown = environment(), [one | dict(given) for one in samples(anchors)]
    return check_source(env, template, "template", shown[0]) or _dry_run(env, template, shown)


def check_source(
    env: Environment, source: str, file: str, variables: Variables, extra: tuple[str, ...] = ()
) -> list[str]:
    """Return the problems of one file's text: syntax, unknown variables and unknown attributes.

    :param variables: a sample of what it may use. :param extra: further names whose attributes are not checked.
    """
    try:
        tree = env.parse(source, file)
        env.compile(source, file)
    except TemplateSyntaxError as error:
        return [str(error_of(error, file))]
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
        if isinstance(variables[node.node.name], AnyFact):
            continue
        known = [name for name in dir(variables[node.node.name]) if not name.startswith("_")]
        if node.attr not in known:
            wrong = f"{node.node.name}.{node.attr}"
            yield node.lineno, f"unknown variable {wrong!r}{did_you_mean(node.attr, known)}"


def _dry_run(env: Environment, template: str, shown: list[dict[str, Any]]) -> list[str]:
    for variables in shown:
        try:
            env.from_string(template).render(**variables)
        except Exception as error:
            return [str(error_of(error, "template"))]
    return []
