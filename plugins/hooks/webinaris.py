"""Webinaris as a source: a hook for tasks and an async client for triggers and delivery."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

from handoff.errors import WrongCredentials
from handoff.ledger.quotas import RESERVE_SHARE
from hooks.account import READING, Account, ConnectionValues
from hooks.protocols.webinaris import Participant, WebinarisProtocol
from hooks.protocols.webinaris_assumed import PREFIX, AssumedSurface, DateList, RosterList
from hooks.protocols.webinaris_times import ZONE
from hooks.transport import SyncTransport
from hooks.vendor_client import VendorClient
from hooks.vendor_hook import VendorHook

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
        self.conn_id, self.base_url = account.conn_id, account.base_url
        self.timeout, self.limits = account.timeout, account.limits
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
    def from_connection(cls, conn_id: str, connection: ConnectionValues) -> Self:
        """Read an Airflow connection. :raises WrongCredentials: it cannot be used."""
        return cls(account_of(conn_id, connection))


def account_of(conn_id: str, connection: ConnectionValues) -> Account:
    """Read a connection. :raises WrongCredentials: it has no API key, or something cannot be used."""
    account = Account.from_connection(conn_id, connection, DEFAULT_HOST, polling=1 - RESERVE_SHARE)
    if not account.password:
        raise WrongCredentials(conn_id, READING, "put the account's API key into Password")
    return account


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
    read_account = staticmethod(account_of)
    poll_minutes = 0.5
    """A run of the watch for every poll: more often than so it would only keep Airflow busy."""

    def __init__(self, webinaris_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(webinaris_conn_id, **kwargs)
        self.webinaris_conn_id = webinaris_conn_id

    @cached_property
    def webinaris(self) -> WebinarisAccount:
        """The account with its calls."""
        return WebinarisAccount(self.account())

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


class WebinarisClient(VendorClient[WebinarisAccount]):
    """The reading calls without blocking."""

    read_account = staticmethod(WebinarisAccount.from_connection)

    async def dates(self, updated_since: float | None = None, webinar_id: str = "") -> DateList:
        """Return the webinar dates (assumed, see :meth:`AssumedSurface.dates`)."""
        return await self.carry(self.account.assumed.dates(updated_since, webinar_id))

    async def roster(self, date_id: str, updated_since: float | None = None) -> RosterList:
        """Return who is listed for a date (assumed, see :meth:`AssumedSurface.roster`)."""
        return await self.carry(self.account.assumed.roster(date_id, updated_since))
