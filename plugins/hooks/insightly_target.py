"""Insightly as a target: notes on contacts, each settled by reading."""

from __future__ import annotations

from typing import Self

from handoff.delivery.purpose import SETTLING, spending
from handoff.ledger.quotas import Limits
from handoff.steps import Step
from handoff.target import Call, Promise, Proof
from hooks.account import ConnectionValues
from hooks.insightly import InsightlyAccount
from hooks.protocols.insightly_steps import InsightlySteps
from hooks.transport import AsyncTransport, Throttle


class InsightlyTarget:
    """One Insightly account (implements :class:`handoff.target.Target`)."""

    promise = Promise.SETTLED_BY_READING

    def __init__(self, steps: InsightlySteps, transport: AsyncTransport, settling_seconds: float) -> None:
        self.settling_seconds = settling_seconds
        self._steps, self._transport = steps, transport

    @classmethod
    def from_connection(cls, conn_id: str, connection: ConnectionValues, throttle: Throttle | None = None) -> Self:
        """Make the target of a connection.

        :param throttle: awaited before every HTTP request (see :meth:`limits`).
        :raises WrongCredentials: the connection cannot be used.
        """
        account = InsightlyAccount.from_connection(conn_id, connection)
        transport = AsyncTransport(conn_id, account.base_url, timeout=account.timeout, throttle=throttle)
        return cls(InsightlySteps(account.calls), transport, account.settling_seconds)

    @staticmethod
    def limits(conn_id: str, connection: ConnectionValues) -> Limits:
        """Return what the connection allows over all workers. :raises WrongCredentials: something is no number."""
        return InsightlyAccount.from_connection(conn_id, connection).limits

    async def prepare(self, step: Step) -> None:
        """Need nothing: no name has to be resolved, and the day's requests are few."""

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
