"""eTermin as a source: a hook for tasks and an async client for triggers, watches and last looks."""

from __future__ import annotations

from datetime import date, datetime
from functools import cached_property
from typing import Any, Self
from urllib.parse import urlsplit

from handoff.errors import WrongCredentials
from hooks.account import READING, Account, ConnectionValues, is_key
from hooks.protocols.etermin import ETerminProtocol, Read
from hooks.protocols.etermin_appointments import Appointment, CustomerRecord, Named
from hooks.protocols.etermin_times import ZONE, zone_of
from hooks.vendor_client import VendorClient
from hooks.vendor_hook import VendorHook

DEFAULT_HOST, API_PATH = "https://www.etermin.net", "/api"
REQUESTS_PER_SECOND = 5.0
"""Our own choice: nothing is known of a rate limit (etermin.md 2.5)."""
POLLING_SHARE = 0.9
"""Of a day's requests: the account is only read."""


class ETerminAccount:
    """What a connection of type ``etermin`` says.

    Login is the public key, password the private one. Host is empty (``https://www.etermin.net``) or another base URL,
    with or without ``/api``. Extras: ``timezone`` (IANA or Windows name, default Europe/Berlin), ``timeout`` in seconds
    (default 10), ``requests_per_second`` (default 5), ``requests_per_day`` (default: no limit), ``poll_minutes``
    (default 5).

    :raises WrongCredentials: when the connection cannot be used.
    """

    def __init__(self, account: Account) -> None:
        self.conn_id, self.base_url, self.zone = account.conn_id, account.base_url, zone_in(account)
        self.timeout, self.limits = account.timeout, account.limits
        self.calls = ETerminProtocol(account.conn_id, account.login, account.password, self.zone)

    @classmethod
    def from_connection(cls, conn_id: str, connection: ConnectionValues) -> Self:
        """Read an Airflow connection. :raises WrongCredentials: it cannot be used."""
        return cls(account_of(conn_id, connection))


def account_of(conn_id: str, connection: ConnectionValues) -> Account:
    """Read a connection, with the base URL of the API. :raises WrongCredentials: keys are missing, or no keys."""
    account = Account.from_connection(
        conn_id, connection, DEFAULT_HOST, rate=REQUESTS_PER_SECOND, polling=POLLING_SHARE
    )
    if not is_key(account.login) or not is_key(account.password):
        words = "put the public API key into Login and the private one into Password (eTermin: API > API & Web Push)"
        raise WrongCredentials(conn_id, READING, words)
    # Used by the watch alone; refused here, so that the Test button tells of it.
    account.number("poll_minutes", ETerminHook.poll_minutes, 1)
    return account.below(API_PATH)


def zone_in(account: Account) -> str:
    """Return the IANA name of the account's zone. :raises WrongCredentials: it names none that is known."""
    try:
        return zone_of(account.text("timezone", ZONE))
    except ValueError as error:
        words = f"extra field 'timezone' is {error}"
    raise WrongCredentials(account.conn_id, READING, words)


class ETerminHook(VendorHook):
    """One eTermin account, one call at a time.

    Every method raises the :class:`~handoff.errors.TargetError` family and makes one attempt.

    :param etermin_conn_id: Airflow connection of type ``etermin`` (see :class:`ETerminAccount`).
    """

    conn_name_attr = "etermin_conn_id"
    default_conn_name = "etermin_default"
    conn_type = "etermin"
    hook_name = "eTermin"
    read_account = staticmethod(account_of)
    poll_minutes = 5.0
    """Other sources are asked every hour; an appointment may be booked for the next hour, and its push be lost."""

    def __init__(self, etermin_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(etermin_conn_id, **kwargs)
        self.etermin_conn_id = etermin_conn_id

    @cached_property
    def etermin(self) -> ETerminAccount:
        """The account with its calls."""
        return ETerminAccount(self.account())

    def sign_in(self) -> str:
        """Read the calendars and say how many there are, with the host."""
        number = self.carry(self.etermin.calls.verify())
        return f"{urlsplit(self.etermin.base_url).netloc} ({number} calendars)"

    def sync(self, token: str = "") -> Read:
        """Return what changed since a token (see :meth:`ETerminProtocol.sync`)."""
        return self.carry(self.etermin.calls.sync(token))

    def between(self, first: date, last: date, **more: str) -> Read:
        """Return the appointments of some days, the last one exclusive (see :meth:`ETerminProtocol.between`)."""
        return self.carry(self.etermin.calls.between(first, last, **more))

    def deleted(self, first: date, last: date) -> Read:
        """Return what was deleted on some days, the last one exclusive."""
        return self.carry(self.etermin.calls.deleted(first, last))

    def appointment(self, key: str) -> Appointment | None:
        """Return an appointment as it is now, or ``None``."""
        return self.carry(self.etermin.calls.appointment(key))[0]

    def calendars(self) -> tuple[Named, ...]:
        """Return the calendars."""
        return self.carry(self.etermin.calls.calendars())

    def services(self) -> tuple[Named, ...]:
        """Return the services."""
        return self.carry(self.etermin.calls.services())

    def contacts(self, email: str) -> tuple[CustomerRecord, ...]:
        """Return the contacts with an address."""
        return self.carry(self.etermin.calls.contacts(email))

    def book(self, start: datetime, end: datetime, calendar_id: str, **more: str) -> str:
        """Book an appointment and return its numeric id; the same call again books another one."""
        return self.carry(self.etermin.calls.book(start, end, calendar_id, **more))

    def change(self, key: str, **more: str) -> None:
        """Change an appointment."""
        self.carry(self.etermin.calls.change(key, **more))

    def delete(self, key: str, **more: str) -> None:
        """Delete an appointment."""
        self.carry(self.etermin.calls.delete(key, **more))


class ETerminClient(VendorClient[ETerminAccount]):
    """The reading calls without blocking."""

    read_account = staticmethod(ETerminAccount.from_connection)

    async def sync(self, token: str = "") -> Read:
        """Return what changed since a token (see :meth:`ETerminProtocol.sync`)."""
        return await self.carry(self.account.calls.sync(token))

    async def between(self, first: date, last: date, **more: str) -> Read:
        """Return the appointments of some days, the last one exclusive."""
        return await self.carry(self.account.calls.between(first, last, **more))

    async def deleted(self, first: date, last: date) -> Read:
        """Return what was deleted on some days, the last one exclusive."""
        return await self.carry(self.account.calls.deleted(first, last))

    async def appointment(self, key: str) -> tuple[Appointment | None, datetime]:
        """Return an appointment as it is now, or ``None``, and when the reading began (UTC)."""
        return await self.carry(self.account.calls.appointment(key))

    async def calendars(self) -> tuple[Named, ...]:
        """Return the calendars."""
        return await self.carry(self.account.calls.calendars())

    async def contacts(self, email: str) -> tuple[CustomerRecord, ...]:
        """Return the contacts with an address."""
        return await self.carry(self.account.calls.contacts(email))
