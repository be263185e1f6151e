"""The fields of eTermin's rows and pushes, whatever the case of their names (etermin.md 2.2 to 2.4).

The API answers in PascalCase, pushes are camelCase or UPPER-CASE, and of rare fields the spelling is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hooks.protocols.etermin_times import moment_of

YES, NO = frozenset({"1", "true", "yes", "ja", "on"}), frozenset({"0", "-1", "false", "no", "nein", "off"})
LARGEST_NUMBER = 2**63 - 1
TEXT, LONG_TEXT = 250, 10_000
"""Longer texts are cut, so that nobody can fill the ledger by a booking form."""


class UnreadableField(ValueError):
    """A field cannot be read; the words name the field and not its content."""


class Fields:
    """One row, its names in any case. :raises UnreadableField: it is no object of named fields."""

    def __init__(self, row: Any) -> None:
        if not isinstance(row, Mapping):
            raise UnreadableField("it is no object with fields")
        self._values = {str(name).strip().casefold(): value for name, value in row.items()}

    def __contains__(self, name: str) -> bool:
        return name.casefold() in self._values

    def text(self, *names: str, most: int = TEXT) -> str:
        """Return the first of these fields that is filled, without blanks at its ends; empty when none is.

        :raises UnreadableField: it is neither text nor number.
        """
        for name in names:
            value = self._values.get(name.casefold())
            if isinstance(value, bool | Mapping | list):
                raise UnreadableField(f"{name} is no text")
            if words := ("" if value is None else str(value).replace("\0", "").strip()):
                return words[:most].strip()
        return ""

    def number(self, name: str) -> int | None:
        """Return a whole number from 0, ``None`` for none. :raises UnreadableField: it is something else."""
        words = self.text(name)
        if not words:
            return None
        if not (words.isascii() and words.isdecimal()) or int(words) > LARGEST_NUMBER:
            raise UnreadableField(f"{name} is no whole number")
        return int(words)

    def flag(self, *names: str) -> bool | None:
        """Return whether one of these fields says yes, ``None`` when none says anything that is known."""
        for name in names:
            value = self._values.get(name.casefold())
            words = str(value).strip().casefold() if isinstance(value, bool | int | str) else ""
            if words in YES | NO:
                return words in YES
        return None

    def moment(self, name: str, zone: str, utc: str = "") -> datetime | None:
        """Return a time (UTC), ``None`` when it is not given. :param utc: name of its twin in UTC.

        :raises UnreadableField: it cannot be read.
        """
        try:
            return moment_of(self.text(name), self.text(utc) if utc else "", zone)
        except UnreadableField:
            raise
        except ValueError:
            pass
        raise UnreadableField(f"{name} is no time like 2026-05-10T10:00:00")
