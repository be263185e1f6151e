"""Webinaris as a source: a hook for tasks and an async client for triggers and delivery."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from airflow.sdk import Connection

from handoff.delivery.purpose import POLLING, Purposes
from handoff.errors import WrongCredentials
from handoff.ledger.quotas import RESERVE_SHARE
from hooks.account import READING, Account
from hooks.metered import Meter
from hooks.protocols.shared import Conversation
from hooks.protocols.webinaris import Participant, WebinarisProtocol
from hooks.protocols.webinaris_assumed import PREFIX, AssumedSurface, DateList, RosterList
from hooks.protocols.webinaris_times import ZONE
from hooks.transport import AsyncTransport, SyncTransport, Throttle
from hooks.vendor_hook import DEFAULT_TIMEOUT, VendorHook

Result = TypeVar("Result")
DEFAULT_HOST = "https://webinaris.co"
SHOWTIMES_HOST = "https://app.webinaris.co"
"""Showtimes are served by another host than the rest (webinaris.md 1.2)."""


class WebinarisAccount:
    """What a connection of type ``webinaris`` says.

    Host is the base URL (default ``https://webinaris.co``), password the account-wide API key. Extras:
    ``timezone`` of local times (default Europe/Berlin), ``assumed_prefix`` (default ``/api/assumed``),
    ``timeout`` in seconds (default 10), ``requests_per_day`` (default: no limit) and ``showtimes_host``,
    which follows the host when that is not Webinaris' own.

    :raises WrongCredentials: when the connection cannot be used.
    """

    def __init__(self, account: Account) -> None:
        if not account.password:
            raise WrongCredentials(account.conn_id, READING, "put the account's API key into Password")
        self.conn_id, self.base_url = account.conn_id, account.base_url
        self.timeout = account.number("timeout", DEFAULT_TIMEOUT, 0.1)
        self.quota = account.quota(polling=1 - RESERVE_SHARE)
        default = SHOWTIMES_HOST if account.base_url == DEFAULT_HOST else account.base_url
        self.showtimes_host = account.text("showtimes_host", default)
        self.calls = WebinarisProtocol(account.conn_id, account.password)
        self.assumed = AssumedSurface(
            account.conn_id,
            account.password,
            account.text("assumed_prefix", PREFIX),
            account.text("timezone", ZONE),
        )

    @classmethod
    def from_connection(cls, conn_id: str, connection: Connection) -> Self:
        """Read an Airflow connection."""
        return cls(Account.from_connection(conn_id, connection, DEFAULT_HOST))


class WebinarisHook(VendorHook):
    """One Webinaris account, one call at a time.

    Every method raises the :class:`~handoff.errors.TargetError` family, or
    :class:`~handoff.errors.SourceError` for an answer that cannot be used.

    :param webinaris_conn_id: Airflow connection of type ``webinaris`` (see :class:`WebinarisAccount`).
    """

    conn_name_attr = "webinaris_conn_id"
    default_conn_name = "webinaris_default"
    conn_type = "webinaris"
    hook_name = "Webinaris"

    def __init__(self, webinaris_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(webinaris_conn_id, **kwargs)
        self.webinaris_conn_id = webinaris_conn_id
        self._webinaris: WebinarisAccount | None = None

    def account(self) -> Account:
        """Return what the connection says. :raises WrongCredentials: it cannot be used."""
        connection = self.get_connection(self.webinaris_conn_id)
        return Account.from_connection(self.webinaris_conn_id, connection, DEFAULT_HOST)

    @property
    def webinaris(self) -> WebinarisAccount:
        """The account with its calls."""
        if self._webinaris is None:
            self._webinaris = WebinarisAccount(self.account())
        return self._webinaris

    def sign_in(self) -> str:
        """Read the dates that changed just now, which needs the key and changes nothing. Returns the host."""
        self.carry(self.webinaris.assumed.dates(updated_since=time.time()))
        return self.webinaris.base_url

    def dates(self, updated_since: float | None = None, webinar_id: str = "") -> DateList:
        """Return the webinar dates (assumed, see :meth:`AssumedSurface.dates`)."""
        return self.carry(self.webinaris.assumed.dates(updated_since, webinar_id))

    def roster(self, date_id: str, updated_since: float | None = None) -> RosterList:
        """Return who is listed for a date (assumed, see :meth:`AssumedSurface.roster`)."""
        return self.carry(self.webinaris.assumed.roster(date_id, updated_since))

    def register(self, participant: Participant, gender: str = "") -> Mapping[str, Any]:
        """Register by the JSON API and return its answer."""
        return self.carry(self.webinaris.calls.register(participant, gender))

    def register_legacy(self, participant: Participant, webinar_key: str) -> None:
        """Register, grant or block by the GET API with the webinar's own key."""
        self.carry(self.webinaris.calls.register_legacy(participant, webinar_key))

    def showtimes(self, webinar_id: str, webinar_key: str) -> list[str]:
        """Return the times of day that Webinaris offers for a webinar."""
        account = self.webinaris
        host = account.showtimes_host
        transport = SyncTransport(self.get_conn(), account.conn_id, host, timeout=account.timeout)
        return transport.run(account.calls.showtimes(webinar_id, webinar_key))


class WebinarisClient:
    """The same calls without blocking; use it as an async context manager, or close it.

    :param throttle: awaited before every request; without one, requests of an account whose day is limited are
        counted in the ledger. :param purposes: what they are for.
    """

    def __init__(
        self, account: WebinarisAccount, throttle: Throttle | None = None, purposes: Purposes = POLLING
    ) -> None:
        self.account = account
        self._meter = Meter(account.conn_id, account.quota, purposes) if account.quota and not throttle else None
        throttle = throttle or self._meter
        self._transport = self._to(account.base_url, throttle)
        self._showtimes = self._to(account.showtimes_host, throttle)

    @classmethod
    def from_connection(
        cls, conn_id: str, connection: Connection, throttle: Throttle | None = None, purposes: Purposes = POLLING
    ) -> Self:
        """Build the client from an Airflow connection; nothing is connected yet.

        :raises WrongCredentials: when the connection cannot be used.
        """
        return cls(WebinarisAccount.from_connection(conn_id, connection), throttle, purposes)

    @property
    def pace_seconds(self) -> float:
        """How far apart polls have to be so that the day's requests last; 0 without a limit."""
        return self._meter.pace_seconds if self._meter else 0.0

    async def dates(self, updated_since: float | None = None, webinar_id: str = "") -> DateList:
        """Return the webinar dates (assumed, see :meth:`AssumedSurface.dates`)."""
        return await self._carry(self.account.assumed.dates(updated_since, webinar_id))

    async def roster(self, date_id: str, updated_since: float | None = None) -> RosterList:
        """Return who is listed for a date (assumed, see :meth:`AssumedSurface.roster`)."""
        return await self._carry(self.account.assumed.roster(date_id, updated_since))

    async def register(self, participant: Participant, gender: str = "") -> Mapping[str, Any]:
        """Register by the JSON API and return its answer."""
        return await self._carry(self.account.calls.register(participant, gender))

    async def register_legacy(self, participant: Participant, webinar_key: str) -> None:
        """Register, grant or block by the GET API with the webinar's own key."""
        await self._carry(self.account.calls.register_legacy(participant, webinar_key))

    async def showtimes(self, webinar_id: str, webinar_key: str) -> list[str]:
        """Return the times of day that Webinaris offers for a webinar."""
        return await self._showtimes.run(self.account.calls.showtimes(webinar_id, webinar_key))

    async def close(self) -> None:
        """Close the connections; safe to call twice."""
        await self._transport.close()
        await self._showtimes.close()
        if self._meter:
            await self._meter.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _carry(self, operation: Conversation[Result]) -> Result:
        return await self._transport.run(operation)

    def _to(self, host: str, throttle: Throttle | None) -> AsyncTransport:
        return AsyncTransport(self.account.conn_id, host, timeout=self.account.timeout, throttle=throttle)
