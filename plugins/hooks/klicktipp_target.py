"""KlickTipp as a target: many effects at once, each settled by reading."""

from __future__ import annotations

from typing import Self

from handoff.delivery.purpose import SETTLING, spending
from handoff.ledger.quotas import Limits
from handoff.steps import Step
from handoff.target import Call, Promise, Proof
from hooks.account import Account, ConnectionValues
from hooks.klicktipp import DEFAULT_HOST, REQUESTS_PER_SECOND, SETTLING_SECONDS, protocol_of
from hooks.protocols.klicktipp_steps import KlickTippSteps
from hooks.transport import AsyncTransport, Throttle
from hooks.vendor_hook import DEFAULT_TIMEOUT


class KlickTippTarget:
    """One KlickTipp account (implements :class:`handoff.target.Target`)."""

    promise = Promise.SETTLED_BY_READING

    def __init__(self, steps: KlickTippSteps, transport: AsyncTransport, settling_seconds: float) -> None:
        self.settling_seconds = settling_seconds
        self._steps, self._transport = steps, transport

    @classmethod
    def from_connection(cls, conn_id: str, connection: ConnectionValues, throttle: Throttle | None = None) -> Self:
        """Make the target of a connection.

        :param throttle: awaited before every HTTP request (see :meth:`requests_per_second`).
        :raises WrongCredentials: the connection cannot be used.
        """
        account = Account.from_connection(conn_id, connection, DEFAULT_HOST)
        timeout = account.number("timeout", DEFAULT_TIMEOUT, 0.1)
        transport = AsyncTransport(conn_id, account.base_url, timeout=timeout, throttle=throttle)
        settling = account.number("settling_seconds", SETTLING_SECONDS)
        return cls(KlickTippSteps(protocol_of(account)), transport, settling)

    @staticmethod
    def requests_per_second(conn_id: str, connection: ConnectionValues) -> float:
        """Return the rate that the connection allows over all workers. :raises WrongCredentials: it is no number."""
        account = Account.from_connection(conn_id, connection, DEFAULT_HOST)
        return account.number("requests_per_second", REQUESTS_PER_SECOND, 0.01)

    @classmethod
    def limits(cls, conn_id: str, connection: ConnectionValues) -> Limits:
        """Return what the connection allows over all workers. :raises WrongCredentials: something is no number."""
        account = Account.from_connection(conn_id, connection, DEFAULT_HOST)
        return Limits(cls.requests_per_second(conn_id, connection), account.quota())

    async def prepare(self, step: Step) -> None:
        """Log in and read the tags. :raises TargetError: see :class:`~handoff.target.Target`."""
        await self._transport.run(self._steps.protocol.tags.find(getattr(step, "tag", "")))

    def coalesces(self, call: Call) -> bool:
        """Every call is a request of its own."""
        return False

    async def send(self, call: Call) -> Proof:
        """Carry out the effect once and return its proof. :raises TargetError: see :class:`~handoff.target.Target`."""
        return await self._transport.run(self._steps.send(call))

    async def seen(self, call: Call) -> Proof | None:
        """Read the effect back; ``None`` when it is not there. :raises TargetError: it cannot be read now."""
        with spending(SETTLING):
            return await self._transport.run(self._steps.seen(call))

    async def close(self) -> None:
        """Release the connections; safe to call twice."""
        await self._transport.close()
