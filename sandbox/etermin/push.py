"""What a Web Push says, in both of its forms (contract: etermin.md 2.4).

The JSON form has every field, camelCase, with ISO times; the variables form has UPPER-CASE names, filled fields only
and compact times. ASSUMED: the spelling of fields that the contract only infers (``additional1`` to ``additional6``,
``bookingLanguage``), the field ``newsletter``, and that the secret key hash is sent as it was entered.
"""

from __future__ import annotations

import json
from datetime import UTC, tzinfo
from typing import Protocol
from urllib.parse import urlencode

from sandbox.etermin.appointment import ADDITIONAL
from sandbox.etermin.outbox import Push
from sandbox.etermin.times import compact_text, iso_text
from sandbox.scenario_etermin import PushModel

PUSHED_ADDITIONAL = ADDITIONAL[:6]
_TEXTS = {"salutation": "salutation", "lastName": "lastname", "firstName": "firstname", "phone": "phone",
          "street": "street", "ZIP": "zip", "town": "city", "birthday": "birthday", "notes": "notes",
          "email": "email"}  # fmt: skip


class Moment(Protocol):
    """Writes unix seconds as local time of a zone."""

    def __call__(self, moment: float, zone: tzinfo = UTC) -> str:
        """Return the text."""
        ...


def content(push: Push, model: PushModel, zone: tzinfo) -> tuple[bytes, dict[str, str]]:
    """Return a push as body and headers."""
    headers = {model.header: model.header_value} if model.header else {}
    secret = {model.secret_hash_name: model.secret_hash} if model.secret_hash else {}
    if model.secret_hash_as_header:
        headers |= secret
        secret = {}
    if model.form == "json":
        body = json.dumps({**json_fields(push, model, zone), **secret}, ensure_ascii=False)
        return body.encode(), {**headers, "Content-Type": "application/json; charset=utf-8"}
    named = {name.upper(): value for name, value in secret.items()}
    body = urlencode({**variables(push, model, zone), **named})
    return body.encode(), {**headers, "Content-Type": "application/x-www-form-urlencoded"}


def json_fields(push: Push, model: PushModel, zone: tzinfo) -> dict[str, str]:
    """Return all fields under their camelCase names."""
    return _fields(push, model, zone, iso_text)


def variables(push: Push, model: PushModel, zone: tzinfo) -> dict[str, str]:
    """Return the filled fields under their UPPER-CASE names; a box that is not ticked is not filled."""
    fields = _fields(push, model, zone, compact_text)
    if fields.get("newsletter") == "0":
        del fields["newsletter"]
    return {name.upper(): value for name, value in fields.items() if value}


def _fields(push: Push, model: PushModel, zone: tzinfo, write: Moment) -> dict[str, str]:
    one = push.appointment
    fields = {
        "command": push.command, "appointmentUID": one.uid, "startDateTimeUTC": write(one.start),
        "endDateTimeUTC": write(one.end), "startDateTime": write(one.start, zone), "endDateTime": write(one.end, zone),
        "bookingDateUTC": write(one.booked), **{name: one.text(own) for name, own in _TEXTS.items()},
        "calendarName": one.pushed_calendar, "selectedAnswers": push.service_text,
        "bookingLanguage": one.text("language"), **{name: one.text(name) for name in PUSHED_ADDITIONAL},
    }  # fmt: skip
    return {**fields, "newsletter": str(int(one.newsletter))} if model.newsletter else fields
