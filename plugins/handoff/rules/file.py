"""Rule files: read, validated, and kept apart, so that a wrong file never hides another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from handoff.errors import HandoffError
from handoff.home import rules_folder
from handoff.rules.document import Document, NotParsed
from handoff.rules.problem import RuleProblem
from handoff.rules.rule import Rule
from handoff.rules.wording import dotted, explain, problem_at

_HINTS = {
    "mapping values are not allowed": "check the indentation, and put a text that contains ': ' in quotes",
    "tab character": "indent with spaces, not tabs",
    "cannot start any token": "indent with spaces, not tabs, and put a text that begins with a special sign in quotes",
    "unhashable key": 'put a template in quotes: "{{ contact.first_name }}"',
    "undefined alias": "put a text that begins with * in quotes",
    "could not determine a constructor": "put a text that begins with ! in quotes",
    "single document": "one rule a file: make two files, or remove the line ---",
    "expected ','": "close the bracket, or put a text that begins with a bracket in quotes",
    "expected ':'": "write each field as name: value",
    "did not find expected": "check the indentation and the quotes",
    "unexpected end of stream": "close the quote",
    "control character": "remove the invisible character",
}


MOST_KEPT = 256
"""Rules that a process remembers by their text: who serves or polls asks for them again and again."""


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A valid rule and the file (with its text) that it comes from."""

    path: Path
    rule: Rule
    text: str


class RuleFileError(HandoffError):
    """A rule file cannot be used; ``problems`` says where and why, at least once."""

    def __init__(self, problems: list[RuleProblem]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


def load(path: Path) -> RuleFile:
    """Read and validate one rule file.

    :raises RuleFileError: when it cannot be read, does not parse or is no valid rule.
    """
    return _understood(path, _read(path))


@lru_cache(MOST_KEPT)
def _understood(path: Path, text: str) -> RuleFile:
    document = _parse(path, text)
    problems = _repeated_keys(path, document)
    try:
        rule = Rule.model_validate(document.data)
    except ValidationError as error:
        raise RuleFileError(problems + explain(error, document, path)) from error
    if problems:
        raise RuleFileError(problems)
    return RuleFile(path, rule, text)


def load_folder(folder: Path) -> tuple[list[RuleFile], list[RuleProblem]]:
    """Return the valid rules of a folder's ``*.yaml`` and ``*.yml`` files, and the problems of the others.

    Subfolders and hidden files are not read. See :func:`load_paths`, which never raises either.
    """
    return load_paths([folder])


def project_rules() -> list[Rule]:
    """Return the project's valid rules, as their files are now."""
    return [file.rule for file in load_folder(rules_folder())[0]]


def load_paths(paths: Iterable[Path]) -> tuple[list[RuleFile], list[RuleProblem]]:
    """Return the valid rules of files and folders, by path, and the problems of the others.

    Never raises for what is in the files. Of files with the same id one is kept, so that a copy
    never takes a running rule over: the one that is named like the id, else the first by path.
    """
    files: list[RuleFile] = []
    problems: list[RuleProblem] = []
    for path in dict.fromkeys(found for given in paths for found in _rule_files(given)):
        try:
            files.append(load(path))
        except RuleFileError as error:
            problems += error.problems
    kept: dict[str, RuleFile] = {}
    for file in sorted(files, key=lambda file: (file.path.stem != file.rule.id, file.path)):
        first = kept.setdefault(file.rule.id, file)
        if first is not file:
            problems.append(_same_id(file, first))
    problems.sort(key=lambda problem: (problem.path, problem.line, problem.column))
    return sorted(kept.values(), key=lambda file: file.path), problems


def _rule_files(path: Path) -> list[Path]:
    # What is neither is tried as a file, whose reading then says what is the matter.
    if not path.is_dir():
        return [path]
    return sorted(p for p in path.iterdir() if p.suffix in {".yaml", ".yml"} and not p.name.startswith("."))


def _read(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        raise RuleFileError([RuleProblem(path, 1, 1, "", what, "check the path and its permissions")]) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", errors="replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        what = f"the file is not UTF-8: byte 0x{data[error.start]:02x}"
        raise RuleFileError([RuleProblem(path, line, column, "", what, "save the file as UTF-8")]) from error


def _parse(path: Path, text: str) -> Document:
    try:
        document = Document.parse(text)
    except NotParsed as error:
        lines = text.splitlines() or [""]
        line = min(error.line, len(lines))
        column = error.column if line == error.line else len(lines[-1]) + 1
        hint = next((hint for words, hint in _HINTS.items() if words in error.what), "")
        what = f"the YAML does not parse: {error.what}"
        raise RuleFileError([RuleProblem(path, line, column, "", what, hint, context=lines[line - 1])]) from error
    if not isinstance(document.data, dict):
        what = "the file is empty" if document.data is None else "the file is no mapping of fields to values"
        right = "a rule begins with lines such as id: webinar_attended"
        raise RuleFileError([problem_at(path, document, (), what=what, right=right)])
    return document


def _repeated_keys(path: Path, document: Document) -> list[RuleProblem]:
    lines = document.text.splitlines()
    return [
        RuleProblem(
            path,
            line,
            column,
            dotted(location),
            f'field "{location[-1]}" is given twice; it came first in line {first}',
            "keep one of the two",
            context=lines[line - 1],
        )
        for location, (line, column), first in document.repeated_keys()
    ]


def _same_id(file: RuleFile, first: RuleFile) -> RuleProblem:
    what = f'id "{file.rule.id}" is taken by {first.path}; this file is left out'
    return problem_at(file.path, Document.parse(file.text), ("id",), what=what, right="give each rule its own id")
