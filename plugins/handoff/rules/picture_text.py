"""Texts for pictures: without what XML forbids, and broken into lines by how wide they are."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

ELLIPSIS = "\u2026"
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """Return the text in one line, with characters that XML does not allow shown as question marks."""
    return _FORBIDDEN.sub("?", " ".join(text.split()))


def columns(text: str) -> int:
    """Return how many columns the text takes: wide signs such as emoji two, combining ones none."""
    return sum(map(_width, text))


def wrap(text: str, width: int, lines: int) -> list[str]:
    """Return the text in at most ``lines`` lines of at most ``width`` columns, at least one line.

    Lines end between words where they can. What does not fit is cut, and the last line then ends
    with an ellipsis.

    :param width: at least 2 columns.
    :param lines: at least 1.
    """
    broken = list(_broken(clean(text), width)) or [""]
    if len(broken) <= lines:
        return broken
    last = next(_pieces(broken[lines - 1], width - 1))
    return [*broken[: lines - 1], last.rstrip() + ELLIPSIS]


def _broken(text: str, width: int) -> Iterator[str]:
    line = ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if columns(longer) <= width:
            line = longer
            continue
        if line:
            yield line
        *full, line = _pieces(word, width)
        yield from full
    if line:
        yield line


def _pieces(word: str, width: int) -> Iterator[str]:
    piece, taken = "", 0
    for char in word:
        if taken + _width(char) > width:
            yield piece
            piece, taken = "", 0
        piece, taken = piece + char, taken + _width(char)
    yield piece


def _width(char: str) -> int:
    # Joiners and variation selectors of emoji are formats (Cf) and marks (Mn, Me): no width of their own.
    if unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1
