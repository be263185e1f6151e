"""Headers of a mail that hold what others wrote, encoded here.

The standard library decodes what looks like an encoded word (RFC 2047) in the text that it is given, line breaks and
all. Some of its versions fold a long name without its quotes, or with an empty line in it, which ends the headers.
"""

from __future__ import annotations

import re
from email.header import Header
from email.policy import Policy
from typing import Self

ENCODED_WORD = "=?"
"""How an encoded word begins."""
_LONGEST_PLAIN = 60
_PLAIN_NAME = re.compile(r"[A-Za-z0-9]+( [A-Za-z0-9]+)*")


class Written(str):
    """A header's value that is written as it is."""

    name: str

    def __new__(cls, name: str, value: str) -> Self:
        """Make one. :param value: ASCII, or UTF-8 where the whole mail may be; folded if need be."""
        made = super().__new__(cls, value)
        made.name = name
        return made

    def fold(self, *, policy: Policy) -> str:
        """Return the whole header."""
        return f"{self.name}: {self}{policy.linesep}"


def text_header(name: str, text: str) -> Written:
    """Return a header for any text of one line, e.g. a subject."""
    plain = text.isascii() and ENCODED_WORD not in text and len(text) <= _LONGEST_PLAIN
    return Written(name, text if plain else _encoded(name, text))


def address_header(name: str, person: str, address: str) -> Written:
    """Return a header for one address. :param person: one line, or empty."""
    if not person:
        return Written(name, f"<{address}>")
    if len(person) <= _LONGEST_PLAIN and _PLAIN_NAME.fullmatch(person):
        return Written(name, f"{person} <{address}>")
    return Written(name, f"{_encoded(name, person)}\r\n <{address}>")


def _encoded(name: str, text: str) -> str:
    return Header(text, "utf-8", header_name=name).encode(linesep="\r\n")
