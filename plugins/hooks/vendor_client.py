"""What the async clients of HTTP vendors share: their requests are limited together with those of all workers."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from handoff.delivery.purpose import POLLING, Purposes
from handoff.ledger.quotas import Limits
from hooks.account import ConnectionValues
from hooks.metered import Meter
from hooks.protocols.shared import Conversation
from hooks.transport import AsyncTransport, Throttle

Result = TypeVar("Result")


class Reachable(Protocol):
    """What a client has to know of its account (see :class:`hooks.account.Account`)."""

    @property
    def conn_id(self) -> str: ...
    @property
    def base_url(self) -> str: ...
    @property
    def timeout(self) -> float: ...
    @property
    def limits(self) -> Limits: ...


Settings = TypeVar("Settings", bound=Reachable)


class VendorClient(Generic[Settings]):
    """A vendor's account without blocking, for triggers, watches and last looks.

    Use it as an async context manager, or close it.

    :param throttle: awaited before every request; without one, requests of an account that is limited are spaced and
        counted in the ledger, together with those of all workers. :param purposes: what they are for.
    """

    read_account: Callable[[str, ConnectionValues], Settings]
    """Reads and checks a connection. :raises WrongCredentials: it cannot be used."""

    def __init__(self, account: Settings, throttle: Throttle | None = None, purposes: Purposes = POLLING) -> None:
        self.account, limits = account, account.limits
        limited = throttle is None and (limits.rate or limits.quota)
        self._meter = Meter(account.conn_id, limits.quota, purposes, rate=limits.rate) if limited else None
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
        return cls(cls.read_account(conn_id, connection), throttle, purposes)

    @property
    def pace_seconds(self) -> float:
        """How far apart requests have to be so that the day's last; 0 without a limit. A poll takes one or more."""
        return self._meter.pace_seconds if self._meter else 0.0

    async def carry(self, operation: Conversation[Result]) -> Result:
        """Drive one operation. :raises TargetError: see :mod:`handoff.errors`."""
        return await self._transport.run(operation)

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
