"""eTermin's API as operations without I/O (etermin.md 2.1 to 2.3)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from typing import Generic, TypeVar

from handoff.contact import same_address
from handoff.errors import UnknownOutcome
from hooks.protocols.answers import Denied
from hooks.protocols.etermin_answers import UnreadableRow, asked_at, document_of, outcome_of, rows_of
from hooks.protocols.etermin_appointments import (
    Appointment,
    CustomerRecord,
    Deletion,
    Named,
    appointment_of,
    customer_record_of,
    deletion_of,
    named_of,
)
from hooks.protocols.etermin_assumed import FIRST_TOKEN, is_blocked, says_deleted, token_in
from hooks.protocols.etermin_fields import Fields, UnreadableField
from hooks.protocols.etermin_times import ZONE, day_text, local_minute
from hooks.protocols.shared import Aside, Conversation
from hooks.protocols.wire import Request, Response

Item = TypeVar("Item")
NOT_FOUND = 404
MOST_BYTES, LIST_SECONDS = 256 * 1024**2, 120.0
"""Of a list of appointments: there are no pages, so that a whole account comes in one answer (2.2)."""
LARGE_BYTES = 256 * 1024
"""From here on, understanding an answer takes long enough to be felt by who waits beside it."""


@dataclass(frozen=True, slots=True)
class Read:
    """What a reading brought.

    :param read_at: when it began, by eTermin's own clock (UTC, whole seconds): what it says is not older.
    :param deletions: of a feed, those that it names.
    :param problems: what could not be read, naming only position or id, and field.
    :param token: of a feed, what to ask for next; empty: everything.
    :param full: of a feed, whether everything was read.
    """

    appointments: tuple[Appointment, ...]
    read_at: datetime
    deletions: tuple[Deletion, ...] = ()
    problems: tuple[str, ...] = ()
    token: str = ""
    full: bool = False


@dataclass(frozen=True, slots=True)
class _Rows(Generic[Item]):
    """What an answer's rows say. :param problems: what cannot be read. :param began: when it was asked for (UTC)."""

    items: list[Item]
    problems: list[str]
    response: Response
    began: datetime

    def check(self, account: str, request: Request) -> None:
        """Take nothing that is incomplete. :raises UnreadableRow: a row cannot be read."""
        if self.problems:
            raise UnreadableRow(account, request.operation, self.problems[0])


def signature_of(private_key: str, salt: str) -> str:
    """Return ``base64(HMAC-SHA256(private key, salt))``; nothing but the salt is signed (2.1)."""
    return base64.b64encode(hmac.digest(private_key.encode(), salt.encode(), hashlib.sha256)).decode("ascii")


class ETerminProtocol:
    """One account's operations.

    :param account: Airflow connection id, for errors. :param zone: IANA name of the account's zone.
    """

    def __init__(self, account: str, public_key: str, private_key: str, zone: str = ZONE) -> None:
        self.account, self.zone = account, zone
        self._public_key, self._private_key = public_key, private_key

    def verify(self) -> Conversation[int]:
        """Read the calendars, which needs valid keys, and return how many there are. :raises WrongCredentials:"""
        return len((yield from self.calendars()))

    def sync(self, token: str = "") -> Conversation[Read]:
        """Return what changed since a token; all there is when there is none, or when it is not known any more.

        :param token: of the last reading.
        """
        try:
            return (yield from self._sync(token or FIRST_TOKEN))
        except Denied:
            if token in {"", FIRST_TOKEN}:
                raise
        return (yield from self._sync(FIRST_TOKEN))

    def between(self, first: date, last: date, **more: str) -> Conversation[Read]:
        """Return the appointments from a day up to the day before another one, in the account's zone.

        :param last: exclusive, as eTermin takes it (2.3).
        :param more: further parameters, e.g. ``calendarid`` or ``bycreationdate="1"`` for days of booking.
        """
        query = {"start": day_text(first), "end": day_text(last), **more}
        return (yield from self._appointments("/appointment", "read appointments", query))[0]

    def appointment(self, key: str) -> Conversation[tuple[Appointment | None, datetime]]:
        """Return an appointment as it is now, ``None`` when there is none, and when the reading began (UTC).

        :param key: see :class:`Appointment`.
        :raises UnreadableRow: its fields cannot be read. :raises TargetError: it cannot be read now.
        """
        query = {"appid": key[1:]} if key.startswith("#") else {"id": key}
        request = self.request("GET", "/appointment", "read an appointment", query)
        read = yield from self._read(request, lambda row: appointment_of(row, self.zone), or_none=True)
        found = next((one for one in read.items if one.id == key), None)
        if found is None:
            read.check(self.account, request)
        return found, read.began

    def deleted(self, first: date, last: date) -> Conversation[Read]:
        """Return what was deleted from a day up to the day before another one, in the account's zone (2.3)."""
        query = {"start": day_text(first), "end": day_text(last)}
        request = self._listing("/appointmentdeleted", "read deleted appointments", query)
        read = yield from self._read(request, lambda row: deletion_of(row, self.zone))
        return Read((), read.began, tuple(read.items), tuple(read.problems))

    def calendars(self) -> Conversation[tuple[Named, ...]]:
        """Return the calendars, in eTermin's order."""
        names = (("CalendarID", "ID"), ("CalendarName", "Name"))
        return (yield from self._listed("/calendar", "read calendars", {}, lambda row: named_of(row, *names)))

    def services(self) -> Conversation[tuple[Named, ...]]:
        """Return the services, in eTermin's order."""
        names = (("ServiceID", "ID"), ("ServiceName", "Name", "Service"))
        return (yield from self._listed("/service", "read services", {}, lambda row: named_of(row, *names)))

    def contacts(self, email: str) -> Conversation[tuple[CustomerRecord, ...]]:
        """Return the contacts with an address; several may have the same, and case does not count.

        :raises UnreadableRow: the fields of one cannot be read. :raises TargetError: they cannot be read now.
        """
        query = {"email": email.strip()}
        found = yield from self._listed("/contact", "find contact", query, customer_record_of)
        return tuple(one for one in found if same_address(one.customer.email, email))

    def book(self, start: datetime, end: datetime, calendar_id: str, **more: str) -> Conversation[str]:
        """Book an appointment and return its numeric id; the same call again books another one.

        :param start: aware, like ``end``. :param more: parameters as in 2.3, e.g. ``email``, ``lastname``, ``city``
            (which is read as ``Town``); ``calendarname``, without which the push names no calendar; ``checkexist="1"``.
        :raises Declined: eTermin says no, e.g. because the time is taken.
        """
        query = {"start": local_minute(start, self.zone), "end": local_minute(end, self.zone)}
        operation = "book an appointment"
        answer = yield from self._change("POST", operation, query | {"calendarid": calendar_id, **more})
        found = answer.text("ID", "IID", "AppointmentID")
        if not found:
            raise UnknownOutcome(self.account, operation, "the answer names no id")
        return found

    def change(self, key: str, **more: str) -> Conversation[None]:
        """Change an appointment. :param more: parameters as of :meth:`book`, ``start`` and ``end`` as texts."""
        yield from self._change("PUT", "change an appointment", {"id": key, **more})

    def delete(self, key: str, **more: str) -> Conversation[None]:
        """Delete one appointment. :param key: never empty: without an id, eTermin deletes a range of days (2.3).

        :param more: ``sync`` or ``sendemail``, which need an external id. :raises ValueError: the key is empty.
        """
        if not key.strip("# "):
            raise ValueError("an appointment without an id cannot be deleted")
        query = {"appid": key[1:]} if key.startswith("#") else {"id": key}
        yield from self._change("DELETE", "delete an appointment", query | more)

    def request(self, method: str, path: str, operation: str, query: Mapping[str, str]) -> Request:
        """Return a request signed with a fresh salt; its parameters are in the query, whatever the method (2.2)."""
        salt = secrets.token_hex(16)
        headers = {
            "publickey": self._public_key,
            "salt": salt,
            "signature": signature_of(self._private_key, salt),
            "Accept": "application/json",
        }
        return Request(method, path, operation, changes=method != "GET", query=query, headers=headers)

    def _listing(self, path: str, operation: str, query: Mapping[str, str]) -> Request:
        request = self.request("GET", path, operation, query)
        return replace(request, most_bytes=MOST_BYTES, timeout=LIST_SECONDS)

    def _sync(self, token: str) -> Conversation[Read]:
        found, answer = yield from self._appointments("/appointmentsync", "read changes", {"synctoken": token})
        return Read(
            found.appointments,
            found.read_at,
            found.deletions,
            found.problems,
            token_in(answer.headers),
            token == FIRST_TOKEN,
        )

    def _appointments(self, path: str, operation: str, query: Mapping[str, str]) -> Conversation[tuple[Read, Response]]:
        request = self._listing(path, operation, query)
        read = yield from self._read(request, lambda row: None if is_blocked(row) else _reported(row, self.zone))
        alive = tuple(one for one in read.items if isinstance(one, Appointment))
        gone = tuple(one for one in read.items if isinstance(one, Deletion))
        return Read(alive, read.began, gone, tuple(read.problems)), read.response

    def _listed(
        self, path: str, operation: str, query: Mapping[str, str], parse: Callable[[Fields], Item]
    ) -> Conversation[tuple[Item, ...]]:
        request = self.request("GET", path, operation, query)
        read = yield from self._read(request, parse, or_none=bool(query))
        read.check(self.account, request)
        return tuple(read.items)

    def _read(
        self, request: Request, parse: Callable[[Fields], Item | None], *, or_none: bool = False
    ) -> Conversation[_Rows[Item]]:
        """Return what an answer's rows say. :param or_none: 404 stands for no rows."""
        response: Response = yield request
        read_at = asked_at(response)
        understand = partial(_understood, self.account, request, response, parse, or_none)
        large = len(response.body) > LARGE_BYTES
        items, problems = (yield Aside(understand)) if large else understand()
        return _Rows(items, problems, response, read_at)

    def _change(self, method: str, operation: str, query: Mapping[str, str]) -> Conversation[Fields]:
        request = self.request(method, "/appointment", operation, query)
        response: Response = yield request
        return outcome_of(self.account, request, response)


def _reported(row: Fields, zone: str) -> Appointment | Deletion:
    return Deletion(appointment_of(row, zone)) if says_deleted(row) else appointment_of(row, zone)


def _understood(
    account: str, request: Request, response: Response, parse: Callable[[Fields], Item | None], or_none: bool
) -> tuple[list[Item], list[str]]:
    """Return what an answer's rows say, and what cannot be read of them. :raises TargetError: it is a refusal."""
    try:
        return _each(rows_of(account, request, document_of(account, request, response)), parse)
    except Denied as error:
        if error.status != NOT_FOUND or not or_none:
            raise
        return [], []


def _each(rows: Sequence[object], parse: Callable[[Fields], Item | None]) -> tuple[list[Item], list[str]]:
    """Return what is read of rows, and what could not be, by position and, where it is known, numeric id."""
    found, problems = list[Item](), list[str]()
    for position, row in enumerate(rows):
        where = f"row {position}"
        try:
            fields = Fields(row)
            where = f"row {position} ({fields.number('ID') or fields.number('AppID') or 'without an id'})"
            parsed = parse(fields)
        except UnreadableField as error:
            problems.append(f"{where}: {error}")
            continue
        if parsed is not None:
            found.append(parsed)
    return found, problems
