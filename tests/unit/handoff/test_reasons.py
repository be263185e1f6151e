"""Every reason that the ledger may hold has words for people."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from handoff.audience import Audience
from handoff.reasons import WORDS, in_words

PLACES = {
    "close": 3, "postpone": 3, "put_off": 3, "Ended": 1, "End": 1, "Judged": 4, "Judgement": 1, "Listed": 3,
    "Outcome": 2, "UnusableAddress": 0,
}  # fmt: skip
"""Where in a call's arguments a reason stands."""
NAMES = {"reason", "unusable", "dropped"}
"""Arguments, keys and parameters of statements by which one is given."""
CODE = re.compile(r"[a-z]+(?:_[a-z]+)*$|[a-z]+(?:_[a-z]+)+(?=: )")
"""A code, or one with an explanation behind it; anything else is words already."""
SQL = re.compile(
    r"\b(?:reason|unusable) = (?:CASE WHEN [^']+ THEN )?'(\w+)'|THEN '(\w+)' ELSE [\w.]*(?:reason|unusable)\b"
)


def modules(project: Path) -> list[ast.Module]:
    found = sorted((project / "plugins" / "handoff").rglob("*.py"))
    return [ast.parse(path.read_text("utf-8")) for path in found if "migrations" not in path.parts]


def constants(trees: list[ast.Module]) -> dict[str, ast.expr]:
    """What is assigned to names in capitals, anywhere."""
    return {
        target.id: node.value
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id.isupper()
    }


def written(node: ast.AST) -> Iterator[ast.expr]:
    """Return the expressions that this node writes as a reason."""
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if len(node.args) > PLACES.get(name, len(node.args)):
            yield node.args[PLACES[name]]
        yield from (word.value for word in node.keywords if word.arg in NAMES)
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        yield from (value for key, value in pairs if isinstance(key, ast.Constant) and key.value in NAMES)


def texts(expression: ast.expr, known: dict[str, ast.expr]) -> Iterator[str]:
    """Return the texts that an expression may stand for, as far as they stand in the source."""
    if isinstance(expression, ast.Constant) and isinstance(expression.value, str):
        yield expression.value
    elif isinstance(expression, ast.IfExp):
        yield from (*texts(expression.body, known), *texts(expression.orelse, known))
    elif isinstance(expression, ast.Name) and expression.id in known:
        yield from texts(known[expression.id], known)


@pytest.fixture(scope="module")
def codes(project: Path) -> set[str]:
    trees = modules(project)
    known = constants(trees)
    nodes = [node for tree in trees for node in ast.walk(tree)]
    found = {text for node in nodes for expression in written(node) for text in texts(expression, known)}
    in_sql = {
        one
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for match in SQL.finditer(node.value)
        for one in match.groups()
        if one
    }
    return {match[0] for text in found | in_sql if (match := CODE.match(text))} | {who.value for who in Audience}


def test_every_reason_has_words(codes: set[str]) -> None:
    assert codes - WORDS.keys() == set()


def test_reasons_are_found_however_they_are_written(codes: set[str]) -> None:
    """An argument, a constant, one of two, a dictionary, SQL, a code with an explanation."""
    assert codes >= {
        "presence_late", "rule_changed", "past_when_first_seen", "unreadable", "withdrawn", "erased", "occasion_moved",
        "dropped_by_person",
    }  # fmt: skip


def test_a_code_with_an_explanation_is_said_in_its_words() -> None:
    assert in_words("occasion_moved: judged for an earlier date") == WORDS["occasion_moved"]
    assert in_words("no answer: twice") == "no answer: twice"
