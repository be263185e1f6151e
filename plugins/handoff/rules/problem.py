"""What is wrong in a rule file, where, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

_LONGEST_CONTEXT = 160


@dataclass(frozen=True, slots=True)
class RuleProblem:
    """One problem of one rule file.

    :param line: counted from 1, like ``column``; both are 1 when the file as a whole is meant.
    :param field: path of the field from the top, e.g. ``steps[0].tag``; empty for the whole file.
    :param what: what is wrong, in one sentence.
    :param right: what would be right.
    :param did_you_mean: the nearest valid spelling, or empty.
    :param valid: all valid values or field names, where they can be listed.
    :param context: the line of the file that is meant.
    """

    path: Path
    line: int
    column: int
    field: str
    what: str
    right: str = ""
    did_you_mean: str = ""
    valid: tuple[str, ...] = ()
    context: str = ""

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}:{self.column}"
        lines = [": ".join(filter(None, [where, printable(self.field), self.what]))]
        if self.context.strip() and self.column <= _LONGEST_CONTEXT:
            number = f"{self.line:>5} | "
            # A tab stays a tab, so that the caret stands below what is meant.
            indent = "".join("\t" if char == "\t" else " " for char in self.context[: self.column - 1])
            lines += [
                number + printable(self.context[:_LONGEST_CONTEXT]),
                " " * (len(number) - 2) + "| " + indent + "^",
            ]
        lines += [f"  did you mean: {self.did_you_mean}"] if self.did_you_mean else []
        lines += [f"  right: {self.right}"] if self.right else []
        lines += [f"  valid: {', '.join(self.valid)}"] if self.valid else []
        return "\n".join(lines)

    def as_json(self) -> dict[str, object]:
        """Return the problem as plain JSON, the path as text."""
        return {**asdict(self), "path": str(self.path), "valid": list(self.valid)}


def printable(text: str) -> str:
    """Return the text with control characters, other than tabs, shown as question marks."""
    return "".join(char if char.isprintable() or char == "\t" else "?" for char in text)


def nearest(word: object, meanings: Mapping[str, str]) -> str:
    """Return what the spelling nearest to ``word`` means, or ``""`` when nothing is near.

    :param meanings: spelling (small letters) to the valid value that it stands for.
    """
    found = difflib.get_close_matches(str(word).lower(), meanings, n=1, cutoff=0.6)
    return meanings[found[0]] if found else ""
