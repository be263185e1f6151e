"""eTermin as a source: a hook for tasks and an async client for triggers, watches and last looks."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from functools import cached_property
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from handoff.delivery.purpose import POLLING, Purposes
from handoff.errors import WrongCredentials
from handoff.ledger.quotas import Limits
from hooks.account import READING, Account, ConnectionValues
from hooks.metered import Meter
from hooks.protocols.etermin import ETerminProtocol, Read
from hooks.protocols.etermin_appointments import Appointment, CustomerRecord, Named
from hooks.protocols.etermin_times import ZONE, zone_of
from hooks.protocols.shared import Conversation
from hooks.transport import AsyncTransport, Throttle
from hooks.vendor_hook import DEFAULT_TIMEOUT, VendorHook

Result = TypeVar("Result")
DEFAULT_HOST, API_PATH = "https://www.etermin.net", "/api"
REQUESTS_PER_SECOND = 5.0
"""Our own choice: nothing is known of a rate limit (etermin.md 2.5)."""
POLL_MINUTES = 5.0
"""Other sources are asked every hour; an appointment may be booked for the next hour, and its push be lost."""
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
        self.timeout = account.number("timeout", DEFAULT_TIMEOUT, 0.1)
        self.limits = limits_of(account)
        self.calls = ETerminProtocol(account.conn_id, account.login, account.password, self.zone)

    @classmethod
    def from_connection(cls, conn_id: str, connection: ConnectionValues) -> Self:
        """Read an Airflow connection. :raises WrongCredentials: it cannot be used."""
        return cls(account_of(conn_id, connection))


def account_of(conn_id: str, connection: ConnectionValues) -> Account:
    """Read a connection, with the base URL of the API. :raises WrongCredentials: keys are missing, or no keys."""
    account = Account.from_connection(conn_id, connection, DEFAULT_HOST)
    if not all(key.isascii() and key.isprintable() and key for key in (account.login, account.password)):
        words = "put the public API key into Login and the private one into Password (eTermin: API > API & Web Push)"
        raise WrongCredentials(conn_id, READING, words)
    path = "" if account.base_url.endswith(API_PATH) else API_PATH
    minutes = account.number("poll_minutes", POLL_MINUTES, 1)
    return replace(account, base_url=account.base_url + path, extra={**account.extra, "poll_minutes": minutes})


def zone_in(account: Account) -> str:
    """Return the IANA name of the account's zone. :raises WrongCredentials: it names none that is known."""
    try:
        return zone_of(account.text("timezone", ZONE))
    except ValueError as error:
        words = f"extra field 'timezone' is {error}"
    raise WrongCredentials(account.conn_id, READING, words)


def limits_of(account: Account) -> Limits:
    """Return what the connection allows over all workers. :raises WrongCredentials: something is no number."""
    rate = account.number("requests_per_second", REQUESTS_PER_SECOND, 0.01)
    return Limits(rate, account.quota(polling=POLLING_SHARE))


class ETerminHook(VendorHook):
    """One eTermin account, one call at a time.

    Every method raises the :class:`~handoff.errors.TargetError` family and makes one attempt.

    :param etermin_conn_id: Airflow connection of type ``etermin`` (see :class:`ETerminAccount`).
    """

    conn_name_attr = "etermin_conn_id"
    default_conn_name = "etermin_default"
    conn_type = "etermin"
    hook_name = "eTermin"

    def __init__(self, etermin_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(etermin_conn_id, **kwargs)
        self.etermin_conn_id = etermin_conn_id

    def account(self) -> Account:
        """Return what the connection says. :raises WrongCredentials: it cannot be used."""
        return account_of(self.etermin_conn_id, self.get_connection(self.etermin_conn_id))

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


class ETerminClient:
    """The reading calls without blocking; use it as an async context manager, or close it.

    :param throttle: awaited before every request; without one, requests are spaced and counted in the ledger, together
        with those of all workers. :param purposes: what they are for.
    """

    def __init__(self, account: ETerminAccount, throttle: Throttle | None = None, purposes: Purposes = POLLING) -> None:
        self.account = account
        limits = account.limits
        self._meter = None if throttle else Meter(account.conn_id, limits.quota, purposes, rate=limits.rate)
        self._transport = AsyncTransport(
            account.conn_id, account.base_url, timeout=account.timeout, throttle=throttle or self._meter
        )

    @classmethod
    def from_connection(
        cls,
        conn_id: str,
        connection: ConnectionValues,
        throttle: Throttle | None = None,
        purposes: Purposes = POLLING,
    ) -> Self:
        """Build the client from an Airflow connection; nothing is connected yet.

        :raises WrongCredentials: when the connection cannot be used.
        """
        return cls(ETerminAccount.from_connection(conn_id, connection), throttle, purposes)

    @property
    def pace_seconds(self) -> float:
        """How far apart requests have to be so that the day's last; 0 without a limit."""
        return self._meter.pace_seconds if self._meter else 0.0

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

    async def contacts(self, email: str) -> tuple[CustomerRecord, ...]:
        """Return the contacts with an address."""
        return await self.carry(self.account.calls.contacts(email))

    async def close(self) -> None:
        """Close the connections; safe to call twice."""
        await self._transport.close()
        if self._meter:
            await self._meter.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def carry(self, operation: Conversation[Result]) -> Result:
        """Drive one operation. :raises TargetError: see :mod:`handoff.errors`."""
        return await self._transport.run(operation)
