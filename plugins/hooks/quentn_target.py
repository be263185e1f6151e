"""Quentn as a target: many effects at once, each settled by reading but the start of a campaign."""

from __future__ import annotations

from typing import Self

from handoff.delivery.purpose import SETTLING, spending
from handoff.ledger.quotas import Limits
from handoff.steps import Step
from handoff.target import Call, Promise, Proof
from hooks.account import ConnectionValues
from hooks.protocols.quentn_steps import QuentnSteps
from hooks.quentn import SETTLING_SECONDS, account_of, limits_of, protocol_of, statuses_of
from hooks.transport import AsyncTransport, Throttle
from hooks.vendor_hook import DEFAULT_TIMEOUT


class QuentnTarget:
    """One Quentn account (implements :class:`handoff.target.Target`).

    Whether a campaign was started cannot be read: its step says so itself (``readable``), and a doubtful start is held.
    """

    promise = Promise.SETTLED_BY_READING

    def __init__(self, steps: QuentnSteps, transport: AsyncTransport, settling_seconds: float) -> None:
        self.settling_seconds = settling_seconds
        self._steps, self._transport = steps, transport

    @classmethod
    def from_connection(cls, conn_id: str, connection: ConnectionValues, throttle: Throttle | None = None) -> Self:
        """Make the target of a connection.

        :param throttle: awaited before every HTTP request (see :meth:`limits`).
        :raises WrongCredentials: the connection cannot be used.
        """
        account = account_of(conn_id, connection)
        timeout = account.number("timeout", DEFAULT_TIMEOUT, 0.1)
        transport = AsyncTransport(conn_id, account.base_url, timeout=timeout, throttle=throttle)
        settling = account.number("settling_seconds", SETTLING_SECONDS)
        return cls(QuentnSteps(protocol_of(account), statuses_of(account)), transport, settling)

    @classmethod
    def limits(cls, conn_id: str, connection: ConnectionValues) -> Limits:
        """Return what the connection allows over all workers. :raises WrongCredentials: something is no number."""
        return limits_of(account_of(conn_id, connection))

    async def prepare(self, step: Step) -> None:
        """Read the names that the step needs. :raises TargetError: see :class:`~handoff.target.Target`."""
        await self._transport.run(self._steps.prepare(step))

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
