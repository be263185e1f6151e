"""eTermin's Web Push in its two forms, JSON and variables (etermin.md 2.4).

A push says that something happened, and may come late, twice or in another order. When it happened is only said of a
booking (``bookingDateUTC``); so what an appointment is like now is read from the API, and a push is the doorbell.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, get_args
from urllib.parse import parse_qsl

from hooks.protocols.etermin_appointments import Appointment, pushed_appointment
from hooks.protocols.etermin_assumed import SECRET_HASH
from hooks.protocols.etermin_fields import LONG_TEXT, Fields, UnreadableField

Kind = Literal["created", "modified", "deleted"]
CONTENT_TYPES = frozenset({"", "application/json", "text/json", "text/plain", "application/x-www-form-urlencoded"})
"""What is read; the empty one and ``text/plain`` are told by how the body begins."""
MOST_FIELDS = 500


class UnreadablePush(UnreadableField):
    """A push that cannot be understood; the words name what is wrong and nothing of its content."""


class UnreadableBody(UnreadablePush):
    """A body that is neither JSON nor a form of variables."""


@dataclass(frozen=True, slots=True)
class Push:
    """What a push says.

    :param appointment: with what was said of it; of a deletion perhaps only its id.
    :param content_key: 64 hex digits, the same for a repetition of the same words in any form. An appointment that is
        moved there, back and there again is told in the same words twice.
    """

    kind: Kind
    appointment: Appointment
    content_key: str


def parse_push(content_type: str, body: bytes, zone: str) -> Push:
    """Read a push of either form; unknown fields are ignored, missing ones are empty.

    :param content_type: as the header says, with or without parameters. :param zone: IANA name of the account's zone.
    :raises UnreadablePush: it is no push, or a field of it is wrong; nothing else is raised for any bytes.
    """
    try:
        row = Fields(_document(content_type.partition(";")[0].strip().lower(), body))
        kind = _kind(row.text("command"))
        appointment = pushed_appointment(row, zone)
    except UnreadableBody:
        raise
    except UnreadableField as error:
        words = str(error)
    else:
        return Push(kind, appointment, _content_key(kind, appointment))
    raise UnreadablePush(words)


def secret_hash_of(content_type: str, body: bytes) -> str:
    """Return the secret key hash of a push, empty when it has none; whatever is sent, nothing is raised.

    :param content_type: as of :func:`parse_push`.
    """
    if SECRET_HASH.casefold().encode() not in body.lower():
        return ""
    try:
        row = Fields(_document(content_type.partition(";")[0].strip().lower(), body))
        return row.text(SECRET_HASH, most=LONG_TEXT)
    except UnreadableField:
        return ""


def _document(content_type: str, body: bytes) -> Any:
    if content_type not in CONTENT_TYPES:
        raise UnreadableBody("the content type is neither JSON nor form-urlencoded")
    try:
        words = body.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise UnreadableBody("the body is not UTF-8") from None
    if content_type.endswith("json") or (not content_type.endswith("urlencoded") and words.startswith("{")):
        return _json(words)
    try:
        return dict(parse_qsl(words, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS))
    except ValueError:
        raise UnreadableBody("the body is no form of variables") from None


def _json(words: str) -> Any:
    try:
        return json.loads(words)
    except (ValueError, RecursionError):
        raise UnreadableBody("the body is no JSON") from None


def _kind(command: str) -> Kind:
    kind = command.lower()
    for known in get_args(Kind):
        if kind == known:
            return known
    raise UnreadableField("command is none of CREATED, MODIFIED, DELETED")


def _content_key(kind: Kind, appointment: Appointment) -> str:
    content = json.dumps([kind, asdict(appointment)], sort_keys=True, default=_plain)
    return hashlib.sha256(content.encode()).hexdigest()


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
