"""Callexa as a target: recipients for a survey's queue, each settled by reading."""

from __future__ import annotations

from typing import Self

from handoff.delivery.purpose import SETTLING, spending
from handoff.ledger.quotas import Limits
from handoff.steps import Step
from handoff.target import Call, Promise, Proof
from hooks.account import ConnectionValues
from hooks.callexa import SETTLING_SECONDS, account_of, limits_of, protocol_of
from hooks.callexa_steps import CallexaSteps
from hooks.transport import AsyncTransport, Throttle
from hooks.vendor_hook import DEFAULT_TIMEOUT


class CallexaTarget:
    """One Callexa account (implements :class:`handoff.target.Target`); its calls are assumed."""

    promise = Promise.SETTLED_BY_READING

    def __init__(self, steps: CallexaSteps, transport: AsyncTransport, settling_seconds: float) -> None:
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
        return cls(CallexaSteps(protocol_of(account)), transport, settling)

    @classmethod
    def limits(cls, conn_id: str, connection: ConnectionValues) -> Limits:
        """Return what the connection allows over all workers. :raises WrongCredentials: something is no number."""
        return limits_of(account_of(conn_id, connection))

    async def prepare(self, step: Step) -> None:
        """Read the surveys. :raises TargetError: see :class:`~handoff.target.Target`."""
        await self._transport.run(self._steps.protocol.surveys.find(getattr(step, "survey", "")))

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
