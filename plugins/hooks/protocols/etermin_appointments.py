"""What is kept of eTermin's appointments, deletions and contacts, and nothing else (etermin.md 2.3 and 2.4).

Of the address only the town is read; birthday, prices, own fields and attachments are not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from hooks.protocols.etermin_fields import LONG_TEXT, Fields, UnreadableField


@dataclass(frozen=True, slots=True)
class Customer:
    """Who booked; fields are empty where nothing is said. ``language`` is a two-letter code such as ``de``.

    ``town`` is said of appointments; what the list of contacts says of it is not read.
    """

    email: str = field(default="", repr=False)
    first_name: str = field(default="", repr=False)
    last_name: str = field(default="", repr=False)
    phone: str = field(default="", repr=False)
    language: str = ""
    town: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Appointment:
    """An appointment, as far as rules can use it; moments are UTC.

    :param id: its stable name: the ``ExternalID`` (``appointmentUID`` of a push), or ``#`` and the numeric id
        where it has none.
    :param number: the numeric id, which pushes do not give.
    :param calendar_id: empty in pushes. :param calendar: its name, which may be empty as well.
    :param service: the text of what was booked. :param service_ids: only in the feed.
    :param start: ``None`` only in a push, where it was not said, like ``end`` and ``booked_at``.
    :param confirmed: ``False`` while the provider has to confirm; ``None`` when not said, like the following ones.
    :param sequence: number of its last edit.
    :param revision: only in the feed: another one whenever the feed lists it as changed.
    :param newsletter: whether the box was ticked.
    :param notes: what the customer wrote; contact data, like the customer.
    """

    id: str
    number: int | None = None
    calendar_id: str = ""
    calendar: str = ""
    service: str = ""
    service_ids: tuple[str, ...] = ()
    start: datetime | None = None
    end: datetime | None = None
    booked_at: datetime | None = None
    confirmed: bool | None = None
    sequence: int | None = None
    newsletter: bool | None = None
    customer: Customer = field(default_factory=Customer, repr=False)
    notes: str = field(default="", repr=False)
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Deletion:
    """An appointment that was deleted. :param appointment: as it was. :param deleted_at: as the vendor says (UTC)."""

    appointment: Appointment
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CustomerRecord:
    """A contact of eTermin's customer list. :param newsletter: whether the box was ever ticked, ``None``: not said."""

    id: str
    customer: Customer = field(repr=False)
    newsletter: bool | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """A calendar or a service: its id and name."""

    id: str
    name: str


def appointment_of(row: Fields, zone: str) -> Appointment:
    """Read a row of ``/appointment`` or ``/appointmentsync``.

    :raises UnreadableField: a field that counts cannot be read, or it has no id or no start.
    """
    start = row.moment("StartDateTime", zone, "StartDateTimeUTC")
    if start is None:
        raise UnreadableField("StartDateTime is missing")
    return Appointment(
        **_identity(row, "ID"),  # type: ignore[arg-type]
        **_common(row),  # type: ignore[arg-type]
        calendar_id=row.text("CalendarID"),
        service=row.text("ServicesText", "SelectedAnswers"),
        service_ids=_ids(row.text("ServiceIDs")),
        start=start,
        end=row.moment("EndDateTime", zone, "EndDateTimeUTC"),
        booked_at=row.moment("BookingDate", zone, "BookingDateUTC") or row.moment("CreationDate", zone),
        confirmed=row.flag("ManualConfirmed"),
        sequence=row.number("Sequence"),
        revision=row.text("SyncKey"),
    )


def deletion_of(row: Fields, zone: str) -> Deletion:
    """Read a row of ``/appointmentdeleted``. :raises UnreadableField: it has no id, or a time of it cannot be read."""
    appointment = Appointment(
        **_identity(row, "AppID"),  # type: ignore[arg-type]
        **_common(row),  # type: ignore[arg-type]
        calendar_id=row.text("CalendarID"),
        service=row.text("ServicesText"),
        start=row.moment("StartDateTime", zone, "StartDateTimeUTC"),
        end=row.moment("EndDateTime", zone, "EndDateTimeUTC"),
    )
    return Deletion(appointment, _deleted_at(row, zone))


def pushed_appointment(row: Fields, zone: str) -> Appointment:
    """Read the appointment of a push, with what it says. :raises UnreadableField: it has no id, or a wrong field."""
    uid = row.text("appointmentUID")
    if not uid:
        raise UnreadableField("appointmentUID is missing")
    return Appointment(
        uid,
        **_common(row),  # type: ignore[arg-type]
        calendar_id=row.text("calendarId"),
        service=row.text("selectedAnswers", "servicesText"),
        start=row.moment("startDateTime", zone, "startDateTimeUTC"),
        end=row.moment("endDateTime", zone, "endDateTimeUTC"),
        booked_at=row.moment("bookingDate", zone, "bookingDateUTC"),
        confirmed=row.flag("manualConfirmed"),
        sequence=row.number("sequence"),
    )


def customer_record_of(row: Fields) -> CustomerRecord:
    """Read a row of ``/contact``. :raises UnreadableField: a field is no text."""
    return CustomerRecord(row.text("CID", "ExternalID"), _customer(row, "Language"), row.flag("Newsletter"))


def named_of(row: Fields, id_names: tuple[str, ...], names: tuple[str, ...]) -> Named:
    """Read id and name. :raises UnreadableField: it has no id."""
    found = row.text(*id_names)
    if not found:
        raise UnreadableField(f"{id_names[0]} is missing")
    return Named(found, row.text(*names))


def _identity(row: Fields, number_name: str) -> dict[str, object]:
    number = row.number(number_name)
    uid = row.text("ExternalID") or (f"#{number}" if number else "")
    if not uid:
        raise UnreadableField(f"ExternalID and {number_name} are missing")
    return {"id": uid, "number": number}


def _common(row: Fields) -> dict[str, object]:
    return {
        "calendar": row.text("CalendarName"),
        "newsletter": row.flag("Newsletter"),
        "customer": _customer(row, "BookingLanguage"),
        "notes": row.text("Notes", most=LONG_TEXT),
    }


def _deleted_at(row: Fields, zone: str) -> datetime | None:
    # Its form is not known; that it was deleted counts, whenever.
    try:
        return row.moment("TimeStamp", zone)
    except UnreadableField:
        return None


def _customer(row: Fields, language: str) -> Customer:
    return Customer(
        row.text("Email"),
        row.text("FirstName"),
        row.text("LastName"),
        row.text("Phone"),
        row.text(language).replace("_", "-").partition("-")[0].lower()[:2],
        row.text("Town"),
    )


def _ids(words: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in words.split(","))))
