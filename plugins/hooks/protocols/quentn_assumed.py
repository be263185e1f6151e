"""What is only assumed of Quentn; everything else is documented or was seen (quentn.md 4).

Not found are: the numbers of ``mail_status`` (4.5; the connection has to name them), how values of date fields are
written (the connection may say it), the rows that ``custom-fields`` lists (4.4), what ``X-Rate-Limit-Reset`` counts
and how a refusal for ``flood_limit`` looks (4.1, 4.2). That the notes field of the user interface is the contact's
field ``comment``, written and read as a whole, is inferred from its name; that an empty text empties a field, from
``update_add`` overwriting what is there.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from hooks.protocols.kept_values import moment_of, plain, same

ZONE = "Europe/Berlin"
DATE_FORMAT = "%Y-%m-%d %H:%M:%S"
OTHER_FORMATS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y, %H:%M")
DAY_FORMATS = ("%Y-%m-%d", "%d.%m.%Y")
NOTES = "comment"
PREFIX = "field_"
FLOOD_SECONDS = 3600.0
"""``flood_limit`` counts the submissions of an hour (4.2)."""
UNIX_FROM = 1_000_000_000
"""A larger ``X-Rate-Limit-Reset`` is a moment in unix seconds, a smaller one a number of seconds."""


@dataclass(frozen=True, slots=True)
class MailStatuses:
    """The numbers of the states in which an address may be written to; every other one is closed.

    :param unknown: unbekannt. :param single: Bestätigt (Single Opt-in). :param double: Bestätigt (Double Opt-in).
    :param temporary: temporär gesperrt: mails bounced lately, the contact itself may change; ``None`` if not given.
    """

    unknown: int
    single: int
    double: int
    temporary: int | None = None

    def are_open(self, status: int) -> bool:
        """Whether a contact with this status may be written to."""
        return status in {self.unknown, self.single, self.double, self.temporary}


class Field(NamedTuple):
    """A custom field. :param name: as contacts have it, with its prefix. :param kind: e.g. ``date``, or empty."""

    name: str
    label: str
    kind: str


def field_of(row: Any) -> Field:
    """Read a row of ``custom-fields``. :raises ValueError: it does not tell the field's name."""
    name = (row.get("field_name") or row.get("name")) if isinstance(row, Mapping) else None
    if not isinstance(name, str) or not name.strip():
        raise ValueError("a row of custom-fields without a name")
    full = name if name.startswith(PREFIX) else PREFIX + name
    return Field(full, str(row.get("label") or ""), str(row.get("field_type") or row.get("type") or "").lower())


@dataclass(frozen=True, slots=True)
class Dates:
    """How the account writes date fields.

    :param zone: IANA name of the account's zone. :param form: of ``strftime``.
    """

    zone: str = ZONE
    form: str = DATE_FORMAT

    def text(self, value: str) -> str:
        """Return a moment (ISO 8601 with an offset) as the account writes it, any other value as it is."""
        moment = moment_of(value.strip())
        return moment.astimezone(ZoneInfo(self.zone)).strftime(self.form) if moment else value

    def same(self, sent: str, kept: object) -> bool:
        """Whether a kept value is what was sent, however it is shown; a day alone is the same as a time on it."""
        shown = plain(kept)
        if same(sent, shown):
            return True
        one, other = self._wall(plain(sent)), self._wall(shown)
        if one and other:
            return one == other
        day = _parsed(shown, DAY_FORMATS, self.zone)
        return bool(one and day and one.startswith(f"{day:%Y-%m-%d}"))

    def _wall(self, text: str) -> str | None:
        """Return what a clock in the account's zone shows at a moment, without seconds: they may not be kept.

        The wall time is compared, for of an hour that comes twice the kept text may not tell which is meant.
        """
        if text.isdecimal() and UNIX_FROM < int(text) < 10 * UNIX_FROM:
            found: datetime | None = datetime.fromtimestamp(int(text), UTC)
        else:
            found = moment_of(text) or _parsed(text, (self.form, *OTHER_FORMATS), self.zone)
        try:
            return f"{found.astimezone(ZoneInfo(self.zone)):%Y-%m-%d %H:%M}" if found else None
        except OverflowError:
            return None


def _parsed(text: str, forms: Iterable[str], zone: str) -> datetime | None:
    """Return the local time that a text is in one of the forms."""
    for form in forms:
        try:
            return datetime.strptime(text, form).replace(tzinfo=ZoneInfo(zone))
        except ValueError:
            continue
    return None


def reset_seconds(headers: Mapping[str, str]) -> float | None:
    """Return how long ``X-Rate-Limit-Reset`` asks to wait; ``None`` when it does not say."""
    try:
        value = float(headers.get("x-rate-limit-reset", "").strip())
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    return max(0.0, value - time.time() if value > UNIX_FROM else value)


def is_flood(words: str) -> bool:
    """Whether a refusal is about ``flood_limit``."""
    return "flood" in words.lower()
