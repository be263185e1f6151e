"""A rule file's YAML with the position of everything in it.

The YAML 1.2 core types are read (``no``, ``12:30`` and ``010`` are texts, as everybody expects),
without merge keys. Positions are lines and columns counted from 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml  # type: ignore[import-untyped]

Location = tuple[str | int, ...]
"""Where in a document something is: keys and zero-based indexes from the top."""


class NotParsed(Exception):
    """The text is no YAML document; ``line`` and ``column`` say where that showed."""

    def __init__(self, what: str, line: int, column: int) -> None:
        self.what, self.line, self.column = what, line, column
        super().__init__(f"{what} (line {line}, column {column})")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012


for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", list("-+0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


@dataclass(frozen=True, slots=True)
class Document:
    """One parsed YAML document.

    :param data: plain Python data; ``None`` for an empty document.
    """

    text: str
    data: Any
    _root: Any

    @classmethod
    def parse(cls, text: str) -> Document:
        """Parse a text that holds one YAML document.

        :raises NotParsed: when it is not YAML, or more than one document.
        """
        try:
            loader = _Loader(text)
            root = loader.get_single_node()
            data = None if root is None else loader.construct_document(root)
        except yaml.YAMLError as error:
            raise _not_parsed(error, text) from error
        except (RecursionError, ValueError) as error:
            raise NotParsed("a value is nested too deeply or is too long", 1, 1) from error
        return cls(text, data, root)

    def position(self, location: Location, *, of_key: bool = False) -> tuple[int, int]:
        """Return line and column of the value (or of its key) at ``location``, or of the nearest thing above it."""
        node, mark = self._root, self._root.start_mark if self._root else None
        for part in location:
            found = _child(node, part)
            if found is None:
                break
            key, node = found
            mark = key.start_mark if of_key else node.start_mark
        return (1, 1) if mark is None else (mark.line + 1, mark.column + 1)

    def repeated_keys(self) -> Iterator[tuple[Location, tuple[int, int], int]]:
        """Yield every repeated key: its location, its position, and the line where it came first."""
        seen: set[int] = set()
        waiting: list[tuple[Location, Any]] = [((), self._root)]
        while waiting:
            location, node = waiting.pop(0)
            if id(node) in seen:
                continue
            seen.add(id(node))
            if isinstance(node, yaml.MappingNode):
                yield from _repeated(location, node)
            waiting += _children(location, node)


def _child(node: Any, part: str | int) -> tuple[Any, Any] | None:
    if isinstance(node, yaml.MappingNode):
        pairs = [pair for pair in node.value if pair[0].value == str(part)]
        return pairs[-1] if pairs else None
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None


def _children(location: Location, node: Any) -> list[tuple[Location, Any]]:
    if isinstance(node, yaml.MappingNode):
        return [((*location, str(key.value)), value) for key, value in node.value]
    if isinstance(node, yaml.SequenceNode):
        return [((*location, index), item) for index, item in enumerate(node.value)]
    return []


def _repeated(location: Location, node: Any) -> Iterator[tuple[Location, tuple[int, int], int]]:
    lines: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        mark = key.start_mark
        if key.value in lines:
            yield (*location, key.value), (mark.line + 1, mark.column + 1), lines[key.value]
        lines.setdefault(key.value, mark.line + 1)


def _not_parsed(error: Any, text: str) -> NotParsed:
    problem, context = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    # What is never closed shows at the end of the file, but it is wrong where it was opened.
    mark = context if context and "end of stream" in str(error.problem) else problem or context
    if mark is not None:
        what = ", ".join(filter(None, [error.context, error.problem]))
        return NotParsed(what, mark.line + 1, mark.column + 1)
    # A reader's error has no mark but a position in the encoded text.
    before = text.encode()[: getattr(error, "position", 0)].decode(errors="ignore")
    line = before.count("\n") + 1
    return NotParsed("a control character is not allowed", line, len(before) - before.rfind("\n"))
