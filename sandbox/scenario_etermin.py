"""The eTermin account in a scenario file."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from sandbox import credentials
from sandbox.clock import parse_offset
from sandbox.etermin.times import zone_named
from sandbox.scenario_model import Model, Offset, Share

Number = Annotated[int, Field(ge=1)]
Seconds = Annotated[Offset, Field(ge=0, le=86400)]
Minutes = Annotated[float, Field(gt=0, le=7 * 1440)]


def parse_moment(value: object) -> object:
    """Return an offset in seconds, or an aware datetime for ISO 8601 with a zone.

    :raises ValueError: when the text is neither.
    """
    if isinstance(value, str) and "T" in value:
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        return parse_offset(value) if isinstance(value, str | int | float) else value
    if value.tzinfo is None:
        raise ValueError("a moment needs a zone, e.g. '2026-10-25T01:30:00Z' in quotes")
    return value


Moment = Annotated[float | datetime, BeforeValidator(parse_moment)]
"""An offset such as ``+2d``, or a moment such as ``2026-10-25T01:30:00Z``."""


def moment_at(value: float | datetime, zero: float) -> int:
    """Return the second (unix) that a :data:`Moment` means when offsets count from ``zero``."""
    return int(value.timestamp() if isinstance(value, datetime) else zero + value)


class PushModel(Model):
    """Web Push: where to, in which form, and what goes wrong on the way.

    :param url: nothing is sent when empty.
    :param header: name of a header that is sent along with ``header_value``.
    :param secret_hash: the "secret key hash"; sent as it is. That it is, its name and its place (a field of the
        body, or a header) are assumed.
    :param newsletter: whether pushes tell of the newsletter box at all (assumed).
    :param duplicate: share of pushes that come twice. :param drop: share that never comes.
    :param reorder: share that the next push overtakes. :param delay: seconds by which all are late.
    :param retries: how often a push is repeated that was not accepted, every ``retry_seconds``.
    """

    url: str = ""
    form: Literal["json", "variables"] = "json"
    header: str = Field(default="", pattern=r"^[A-Za-z0-9_-]*$")
    header_value: str = Field(default="", pattern=r"^[^\r\n]*$")
    secret_hash: str = Field(default="", pattern=r"^[^\r\n]*$")
    secret_hash_name: str = Field(default="secretKeyHash", pattern=r"^[A-Za-z0-9_-]+$")
    secret_hash_as_header: bool = False
    newsletter: bool = True
    duplicate: Share = 0.0
    drop: Share = 0.0
    reorder: Share = 0.0
    delay: Seconds = 0.0
    retries: int = Field(default=0, ge=0, le=100)
    retry_seconds: Seconds = 1.0
    seed: int = 1


class ServiceModel(Model):
    """A service (Dienstleistung); its id is counted when left out."""

    id: Number | None = None
    name: str = Field(min_length=1)
    minutes: Minutes = 30.0


class CalendarModel(Model):
    """A calendar and the names of its services; its id is counted when left out."""

    id: Number | None = None
    name: str = Field(min_length=1)
    services: tuple[str, ...] = ()


class MoveModel(Model):
    """When (offset) an appointment moves, and where to; it stays as long as it was."""

    at: Offset
    start: Moment


class AppointmentModel(Model):
    """An appointment and what becomes of it.

    :param uid: its external id; made up when empty.
    :param calendar: name of its calendar. :param service: name of a service, may be empty.
    :param booked: when it is booked, in the past (then it is history, without a push) or ahead.
    :param cancelled: when it is deleted.
    :param newsletter: whether the customer ticked the box.
    """

    uid: str = ""
    calendar: str = "Beratung"
    service: str = ""
    start: Moment
    minutes: Minutes = 30.0
    booked: Offset = -86400.0
    moves: tuple[MoveModel, ...] = ()
    cancelled: Offset | None = None
    salutation: str = ""
    firstname: str = ""
    lastname: str = ""
    email: str = ""
    phone: str = ""
    street: str = ""
    zip: str = ""
    city: str = ""
    birthday: str = ""
    language: str = "de"
    newsletter: bool = False
    notes: str = ""
    additional: tuple[str, ...] = Field(default=(), max_length=20)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        moments = [self.booked, *(move.at for move in self.moves)]
        moments += [] if self.cancelled is None else [self.cancelled]
        if moments != sorted(moments):
            raise ValueError("booked, moves and cancelled must follow one another")
        return self


class EterminModel(Model):
    """The eTermin account.

    :param timezone: IANA or Windows name; all local times are in it.
    :param json_type: content type of JSON answers. :param contact_answers: what ``/contact`` speaks.
    :param feed_deletions: whether the feed tells of deleted appointments (assumed).
    :param sequence: whether ``Sequence`` counts edits (assumed); without it, it stays 0.
    """

    publickey: str = credentials.ETERMIN_PUBLICKEY
    privatekey: str = credentials.ETERMIN_PRIVATEKEY
    per_second: int | None = Field(default=None, ge=1)
    timezone: str = "W. Europe Standard Time"
    json_type: Literal["application/json", "text/json"] = "application/json"
    contact_answers: Literal["xml", "json"] = "xml"
    feed_deletions: bool = True
    sequence: bool = True
    push: PushModel = PushModel()
    services: tuple[ServiceModel, ...] = (ServiceModel(id=501, name="Erstgespräch"),)
    calendars: tuple[CalendarModel, ...] = (
        CalendarModel(id=90709, name="Beratung", services=("Erstgespräch",)),
        CalendarModel(id=90710, name="Coaching"),
    )
    appointments: tuple[AppointmentModel, ...] = ()

    @model_validator(mode="after")
    def _possible(self) -> Self:
        zone_named(self.timezone)
        calendars = _names("calendars", [one.name for one in self.calendars])
        services = _names("services", [one.name for one in self.services])
        _names("appointments", [one.uid for one in self.appointments if one.uid])
        for used, known, kind in (
            ([one.calendar for one in self.appointments], calendars, "calendar"),
            ([one.service for one in self.appointments if one.service], services, "service"),
            ([name for one in self.calendars for name in one.services], services, "service"),
        ):
            if unknown := set(used) - known:
                raise ValueError(f"there is no {kind} {min(unknown)!r}")
        return self


def _names(place: str, names: list[str]) -> set[str]:
    """Return the names as a set.

    :raises ValueError: when one is used twice.
    """
    if doubled := [one for one in names if names.count(one) > 1]:
        raise ValueError(f"{place}: {doubled[0]!r} is used twice")
    return set(names)
