"""Reading what a request to eTermin says (contract: etermin.md 2.2): parameters, in the query or in a form.

Their names are understood in any case; unknown ones are ignored, and so are JSON bodies. What is wrong with them is
said inside a 200 (assumed).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from zoneinfo import ZoneInfo

from sandbox.etermin.account import EterminAccount
from sandbox.etermin.answers import Problem
from sandbox.etermin.appointment import ADDITIONAL, Appointment
from sandbox.etermin.times import parse_day, parse_minute
from sandbox.exchange import Call

DAY = 86400
TOLD = ("salutation", "title", "lastname", "firstname", "email", "phone", "company", "notes", "street", "zip", "city",
        "customernumber", "birthday", "location", "servicestext", "bookingtype", "bookingurl", "language",
        *ADDITIONAL)  # fmt: skip
"""Parameters of an appointment that are kept as they come."""

Parameters = Mapping[str, str]


def parameters(call: Call) -> Parameters:
    """Return all parameters by name in lower case; the query goes before the form.

    :raises UnreadableBody: when a form cannot be read.
    """
    kind = call.headers.get("Content-Type", "")
    form = call.body if kind.startswith(("application/x-www-form-urlencoded", "multipart/form-data")) else {}
    texts = {name.lower(): value for name, value in form.items() if isinstance(value, str)}
    return texts | {name.lower(): value for name, value in call.query.items()}


def flag(given: Parameters, name: str) -> bool:
    """Return whether a parameter says 1 or true."""
    return given.get(name, "").lower() in {"1", "true"}


def numbers(given: Parameters, name: str) -> tuple[int, ...]:
    """Return a list of ids with commas between them.

    :raises Problem: when it is none.
    """
    text = given.get(name, "").replace(" ", "")
    if text and not re.fullmatch(r"\d{1,15}(,\d{1,15})*", text):
        raise Problem(f"{name} is not valid")
    return tuple(int(part) for part in text.split(",")) if text else ()


def span(given: Parameters, zone: ZoneInfo) -> tuple[int, int]:
    """Return the seconds in which the days ``start`` and ``end`` begin: the end is exclusive.

    :raises Problem: when one is missing or is no day.
    """
    try:
        return parse_day(given.get("start", ""), zone), parse_day(given.get("end", ""), zone)
    except ValueError as error:
        raise Problem(f"start and end must be yyyy-mm-dd: {error}") from error


def minute(given: Parameters, name: str, zone: ZoneInfo) -> int:
    """Return the second (unix) of a local ``yyyy-mm-dd HH:MM``.

    :raises Problem: when it is none.
    """
    try:
        return parse_minute(given.get(name, ""), zone)
    except ValueError as error:
        raise Problem(f"{name} must be yyyy-mm-dd HH:MM: {error}") from error


def calendar_id(account: EterminAccount, given: Parameters) -> int:
    """Return the id of the calendar that ``calendarid`` names.

    :raises Problem: when there is none.
    """
    found = numbers(given, "calendarid")
    if len(found) != 1 or found[0] not in account.calendars:
        raise Problem("calendarid is missing or unknown")
    return found[0]


def addressed(account: EterminAccount, given: Parameters) -> Appointment:
    """Return the appointment that ``id`` (the external id) or ``appid`` names.

    :raises Problem: when there is none.
    """
    found = account.find(given.get("id", ""), given.get("appid", ""))
    if found is None:
        raise Problem("appointment not found")
    return found


def told(given: Parameters) -> dict[str, str]:
    """Return what is said of the customer and the booking."""
    return {name: given[name] for name in TOLD if name in given}
