"""eTermin's answers: arrays of rows, and errors inside a 200 (contract: etermin.md 2.2 and 2.3).

ASSUMED: the words of ``Status`` (``OK``, ``ERROR``) and ``StatusMsg``, that ``IID`` repeats the numeric id and
``IIDE`` is the external one, that empty texts are ``null``, the few fields of a ``limited`` row, that ``TimeStamp``
and ``CreationDate`` are local, the words of ``SyncStatus`` (those of pushes), which ``DeletedBy`` and ``RC`` are, the
capitals of the rarer names, that ``Sequence`` counts edits and ``SyncKey`` all changes, and every name in rows of
calendars and services.
"""

from __future__ import annotations

from typing import Any

from sandbox.etermin.account import EterminAccount
from sandbox.etermin.appointment import Appointment, Calendar, Customer, Service
from sandbox.etermin.times import iso_text

Row = dict[str, Any]

_TEXTS = {
    "Salutation": "salutation", "Title": "title", "FirstName": "firstname", "LastName": "lastname", "Email": "email",
    "Phone": "phone", "Street": "street", "ZIP": "zip", "Town": "city", "State": "state", "Birthday": "birthday",
    "CustomerNumber": "customernumber", "Notes": "notes", "Location": "location", "BookingType": "bookingtype",
    "BookingUrl": "bookingurl", "BookingLanguage": "language",
}  # fmt: skip
_NULLS = ("Status", "AppAttrib", "PaymentMethod", "TransactionID", "VoucherCode", "RecurrenceID", "RecurrenceParentID",
          "RecurrenceRule", "RecurrenceState", "LinkedAppID", "MultiAppID", "SummaryCalDAV",
          *(f"AttachmentLink{number}" for number in range(1, 7)))  # fmt: skip
_ZEROS = ("PriceGross", "VoucherValue", "PreTimeMin", "PostTimeMin", "WaitNumber")
_FALSES = ("BlockedApp", "IsReadOnly", "SeveralTimeSlots", "CalendarsSyncReadOnly")
LIMITED = ("ID", "ExternalID", "CalendarID", "CalendarName", "StartDateTime", "EndDateTime", "StartDateTimeUTC",
           "EndDateTimeUTC")  # fmt: skip


class Problem(Exception):  # noqa: N818
    """A request says something impossible; it is answered with 200, ``Status`` and ``StatusMsg``."""


def status_row(one: Appointment | None = None, problem: str = "") -> Row:
    """Return the row that answers a change."""
    return {
        "ID": one.id if one else 0, "IID": one.id if one else 0, "IIDE": one.uid if one else None,
        "Status": "ERROR" if problem else "OK", "StatusMsg": problem, "AdditionalInformation": "",
    }  # fmt: skip


def appointment_row(account: EterminAccount, one: Appointment) -> Row:
    """Return an appointment as ``GET /appointment`` shows it."""
    zone, text = account.zone, account.service_text(one)
    return {
        "ID": one.id, "ExternalID": one.uid, "CalendarID": one.calendar_id,
        "CalendarName": account.calendar_name(one.calendar_id), **_times(account, one),
        "CreationDate": iso_text(one.booked, zone), **{name: one.text(own) or None for name, own in _TEXTS.items()},
        "SelectedAnswers": text or None, "ServicesText": text or None, "ServicesCapacity": None,
        **{f"Additional{number}": one.text(f"additional{number}") or None for number in range(1, 21)},
        "BookingTypeOriginal": one.text("bookingtype") or None, "ManualConfirmed": one.confirmed, "AppCapacity": 1,
        **dict.fromkeys(_NULLS), **dict.fromkeys(_ZEROS, 0), **dict.fromkeys(_FALSES, False), "Sequence": one.sequence,
    }  # fmt: skip


def limited_row(account: EterminAccount, one: Appointment) -> Row:
    """Return an appointment as ``limited=1`` shows it."""
    row = appointment_row(account, one)
    return {name: row[name] for name in LIMITED}


def sync_row(account: EterminAccount, one: Appointment) -> Row:
    """Return an appointment as the feed shows it: more fields, and ``A7`` to ``A20`` for the longer names."""
    row = appointment_row(account, one)
    longer = {f"A{number}": row.pop(f"Additional{number}") for number in range(7, 21)}
    return {
        **row, **longer, "SyncKey": one.change, "SyncStatus": one.command, "ContactID": one.customer_id,
        "BookingDate": iso_text(one.booked, account.zone), "BookingDateUTC": iso_text(one.booked),
        "ServiceIDs": ",".join(str(number) for number in one.services) or None, "Reference": None,
        "LinkedMaster": None,
    }  # fmt: skip


def deleted_row(account: EterminAccount, one: Appointment) -> Row:
    """Return an appointment as ``GET /appointmentdeleted`` shows it."""
    names = ("FirstName", "LastName", "Email", "Phone", "CustomerNumber", "Notes")
    return {
        "AppID": one.id, "ExternalID": one.uid, "Calendarid": one.calendar_id,
        "CalendarName": account.calendar_name(one.calendar_id), "DeletedBy": one.deleted_by,
        "TimeStamp": iso_text(one.deleted or 0, account.zone), "RC": None, **_times(account, one),
        **{name: one.text(_TEXTS[name]) or None for name in names},
        "ServicesText": account.service_text(one) or None,
    }  # fmt: skip


def contact_row(account: EterminAccount, one: Customer) -> Row:
    """Return a contact; note ``City``, where appointments say ``Town``."""
    texts = {name: one.text(own) or None for name, own in _TEXTS.items()}
    names = ("Salutation", "Title", "FirstName", "LastName", "Email", "Phone", "Street", "ZIP", "State", "Birthday",
             "CustomerNumber", "Notes")  # fmt: skip
    last = one.last_appointment
    return {
        "CID": one.cid, "ExternalID": one.uid, **{name: texts[name] for name in names}, "City": texts["Town"],
        "Company": one.text("company") or None, "Country": one.text("country") or None, "LoginID": None,
        "Newsletter": one.newsletter, "Tags": ",".join(one.tags) or None, "Language": one.text("language") or None,
        "CreationDate": iso_text(one.created, account.zone),
        "LastAppointmentDate": None if last is None else iso_text(last, account.zone), "Activated": True,
        "LimitedServices": None,
        **{f"Additional{number}": one.text(f"additional{number}") or None for number in range(1, 21)},
    }  # fmt: skip


def contact_status(one: Customer | None = None, problem: str = "") -> Row:
    """Return the row that answers a change of a contact."""
    return {
        "CID": one.cid if one else 0, "ExternalID": one.uid if one else None,
        "Status": "ERROR" if problem else "OK", "StatusMsg": problem,
    }  # fmt: skip


def calendar_row(one: Calendar) -> Row:
    """Return a calendar."""
    return {"CalendarID": one.id, "CalendarName": one.name}


def service_row(one: Service) -> Row:
    """Return a service."""
    return {"ServiceID": one.id, "ServiceName": one.name, "Duration": round(one.minutes)}


def _times(account: EterminAccount, one: Appointment) -> Row:
    return {
        "StartDateTime": iso_text(one.start, account.zone), "EndDateTime": iso_text(one.end, account.zone),
        "StartDateTimeUTC": iso_text(one.start), "EndDateTimeUTC": iso_text(one.end),
    }  # fmt: skip
