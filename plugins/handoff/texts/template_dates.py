"""How templates write moments: for people in the recipient's zone, for fields of an account in the occasion's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jinja2 import TemplateRuntimeError, Undefined, pass_context
from jinja2.runtime import Context

MONATE = ("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November",
          "Dezember")  # fmt: skip
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
          "December")  # fmt: skip
DATE_AND_TIME = "%Y-%m-%d %H:%M:%S"


def _local(context: Context, moment: datetime, zone: str) -> tuple[datetime, bool]:
    """Return the moment in the zone asked for, and whether that is the occasion's own zone."""
    if isinstance(moment, Undefined):
        str(moment)  # raises the error that names the unknown variable
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise TemplateRuntimeError("a date or time filter needs a moment such as occasion.start")
    home = context["occasion"].timezone
    own = context["contact"].timezone if zone == "contact" else ""
    try:
        return moment.astimezone(ZoneInfo(own or home)), own in ("", home)
    except (ZoneInfoNotFoundError, ValueError):
        # A source may send a zone that nobody knows; the occasion's own is right for everybody.
        return moment.astimezone(ZoneInfo(home)), True


def _zone_name(local: datetime) -> str:
    name = local.tzname() or ""
    return f"UTC{name}" if name.startswith(("+", "-")) else name


@pass_context
def datum(context: Context, moment: datetime, zone: str = "contact") -> str:
    """``24. März 2026``, in the contact's zone if it is known, or always the occasion's (``zone="occasion"``)."""
    local, _ = _local(context, moment, zone)
    return f"{local.day}. {MONATE[local.month - 1]} {local.year}"


@pass_context
def uhrzeit(context: Context, moment: datetime, zone: str = "contact") -> str:
    """``19:00 Uhr``, and ``13:00 Uhr (EDT)`` for a contact in another zone than the occasion's."""
    local, at_home = _local(context, moment, zone)
    return f"{local:%H:%M} Uhr" + ("" if at_home else f" ({_zone_name(local)})")


@pass_context
def date(context: Context, moment: datetime, zone: str = "contact") -> str:
    """``24 March 2026``; the zone as for :func:`datum`."""
    local, _ = _local(context, moment, zone)
    return f"{local.day} {MONTHS[local.month - 1]} {local.year}"


@pass_context
def time(context: Context, moment: datetime, zone: str = "contact") -> str:
    """``19:00 CET``; the zone as for :func:`datum`."""
    local, _ = _local(context, moment, zone)
    return f"{local:%H:%M} {_zone_name(local)}"


@pass_context
def iso(context: Context, moment: datetime, zone: str = "occasion") -> str:
    """``2026-03-24T19:00:00+01:00``, in the occasion's zone or the contact's (``zone="contact"``)."""
    local, _ = _local(context, moment, zone)
    return local.isoformat(timespec="seconds")


@pass_context
def unix(context: Context, moment: datetime) -> str:
    """``1774375200``, the seconds since 1970, which have no zone."""
    local, _ = _local(context, moment, "occasion")
    return str(int(local.timestamp()))


@pass_context
def date_and_time(context: Context, moment: datetime, form: str = DATE_AND_TIME, zone: str = "occasion") -> str:
    """``2026-03-24 19:00:00``, or another form (of ``strftime``); the zone as for :func:`iso`."""
    local, _ = _local(context, moment, zone)
    return local.strftime(form)


FILTERS: dict[str, Callable[..., str]] = {
    "datum": datum,
    "uhrzeit": uhrzeit,
    "date": date,
    "time": time,
    "iso": iso,
    "unix": unix,
    "datetime": date_and_time,
}
"""The filters of every template, by name."""
