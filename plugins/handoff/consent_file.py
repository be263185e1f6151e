"""A CSV file with consents that were given elsewhere: one line each."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

from handoff.consent import CHANNELS, PURPOSES, SAID, Subject
from handoff.contact import Contact, UnusableAddress, normalise_email
from handoff.errors import HandoffError
from handoff.ledger.consents import Entry

NEEDED = ("email", "purpose", "at", "source")
OPTIONAL = ("channel", "what", "wording", "ip", "user_agent")
"""Every further column is evidence, kept by its name: ``doi_message_id``, ``privacy_notice_version`` and so on."""
WHATS = (*SAID, "notice_given")
WORDED = ("granted", "confirmed", "notice_given")
"""What proves nothing without the wording that somebody saw."""


_TIME_AND_ZONE = re.compile(r":\d\d.*(Z|[+-]\d\d(:?\d\d)?)$", re.ASCII)


class BadLine(Exception):  # noqa: N818 - what is wrong with one line, not an error of the import
    """A line cannot be imported; its words hold no contact data."""


@dataclass(slots=True)
class ConsentFile:
    """What a file holds.

    :param problems: line number (the heading is 1) and what is wrong, without contact data.
    """

    entries: list[Entry] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)


def read_consents(path: Path) -> ConsentFile:
    """Read a file in UTF-8, with commas or semicolons between the columns.

    :raises HandoffError: when it is no such file, or a needed column is missing.
    """
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise HandoffError(f"{path.name} is not UTF-8; save it as CSV UTF-8") from None
    found, known = ConsentFile(), set[tuple[Subject, str, datetime]]()
    try:
        for line, row in _rows(path.name, text):
            try:
                entry = entry_of(row)
            except BadLine as bad:
                found.problems.append((line, str(bad)))
                continue
            if (entry.subject, entry.what, entry.at) not in known:
                known.add((entry.subject, entry.what, entry.at))
                found.entries.append(entry)
    except csv.Error as error:
        raise HandoffError(f"{path.name} is no CSV file: {error}") from None
    return found


def _rows(name: str, text: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    heading = text.partition("\n")[0]
    delimiter = ";" if heading.count(";") > heading.count(",") else ","
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter)
    columns = [column.strip().lower() for column in next(reader, [])]
    if missing := [column for column in NEEDED if column not in columns]:
        raise HandoffError(f"{name}: the first line must name the columns; missing: {', '.join(missing)}")
    line = reader.line_num + 1
    for cells in reader:
        if any(map(str.strip, cells)):
            too_many = {"": "too many cells"} if len(cells) > len(columns) else {}
            yield line, too_many | dict(zip(columns, map(str.strip, cells), strict=False))
        line = reader.line_num + 1


def entry_of(row: Mapping[str, str]) -> Entry:
    """Return the log's line for a row of column to text.

    :raises BadLine: when something of it is missing or wrong.
    """
    if "" in row:
        raise BadLine("has more cells than the heading")
    try:
        key = Contact(email=normalise_email(row.get("email"))).key
    except UnusableAddress as error:
        words = "there is no e-mail address" if error.reason == "no_email" else "the e-mail address is not valid"
        raise BadLine(words) from None
    what = _one_of(row, "what", WHATS, "granted")
    subject = Subject(key, _one_of(row, "channel", CHANNELS, "email"), _one_of(row, "purpose", PURPOSES, ""))
    if not row.get("source"):
        raise BadLine("source is empty: where was it said?")
    if what in WORDED and not row.get("wording"):
        raise BadLine(f"wording is empty: {what} proves nothing without it")
    evidence = {name: text for name, text in row.items() if text and name not in (*NEEDED, *OPTIONAL)}
    kept = {name: row.get(name, "") for name in ("wording", "source", "ip", "user_agent")}
    return Entry(subject, what, moment_of(row.get("at", "")), evidence=evidence, **kept)


def moment_of(text: str) -> datetime:
    """Return a past moment in UTC from ISO 8601 with time and zone, as ``2026-03-24T18:00:00+01:00``.

    :raises BadLine: when it is none; a date without a time is no proof (AG Düsseldorf 23 C 3876/13).
    """
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC) if _TIME_AND_ZONE.search(text) else None
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise BadLine("at is no moment with time and zone such as 2026-03-24T18:00:00+01:00")
    if moment > now():
        raise BadLine("at is in the future")
    return moment


def now() -> datetime:
    """Return this moment in UTC."""
    return datetime.now(UTC)


def _one_of(row: Mapping[str, str], column: str, known: tuple[str, ...], default: str) -> str:
    given = row.get(column, "").lower() or default
    if given not in known:
        raise BadLine(f"{column} is none of: {', '.join(known)}")
    return given
