"""What the targets of HTTP vendors share: effects that are each settled by reading."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from handoff.delivery.purpose import SETTLING, spending
from handoff.ledger.quotas import Limits
from handoff.rules.steps import Step
from handoff.target import Call, Promise, Proof
from hooks.account import Account, ConnectionValues
from hooks.protocols.shared import Conversation
from hooks.transport import AsyncTransport, Throttle


class Steps(Protocol):
    """What steps mean at a vendor."""

    def prepare(self, step: Step) -> Conversation[None]:
        """Read the names that a step needs; change nothing."""
        ...

    def send(self, call: Call) -> Conversation[Proof]:
        """Carry out one effect. :raises Refused: also for a step that the vendor does not have."""
        ...

    def seen(self, call: Call) -> Conversation[Proof | None]:
        """Read one effect back; ``None`` when it is not there."""
        ...


class VendorTarget:
    """One account of a vendor (implements :class:`handoff.target.Target`)."""

    promise = Promise.SETTLED_BY_READING

    def __init__(self, steps: Steps, transport: AsyncTransport, settling_seconds: float) -> None:
        self.settling_seconds = settling_seconds
        self._steps, self._transport = steps, transport

    async def prepare(self, step: Step) -> None:
        """Read the names that the step needs. :raises TargetError: see :class:`~handoff.target.Target`."""
        await self._transport.run(self._steps.prepare(step))

    def coalesces(self, call: Call) -> bool:
        """Every call is a request of its own."""
        return False

    def slot(self) -> AbstractAsyncContextManager[None]:
        """Every call gets a connection at once: there are more of them than lanes in flight."""
        return nullcontext()

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


@dataclass(frozen=True)
class Vendor:
    """How connections of a vendor become targets.

    :param read_account: reads and checks a connection. :param steps_of: what steps mean in an account. Both raise
        :class:`~handoff.errors.WrongCredentials` when it cannot be used.
    """

    read_account: Callable[[str, ConnectionValues], Account]
    steps_of: Callable[[Account], Steps]

    def from_connection(
        self, conn_id: str, connection: ConnectionValues, throttle: Throttle | None = None
    ) -> VendorTarget:
        """Make the target of a connection.

        :param throttle: awaited before every HTTP request (see :meth:`limits`).
        :raises WrongCredentials: the connection cannot be used.
        """
        account = self.read_account(conn_id, connection)
        return VendorTarget(self.steps_of(account), transport_to(account, throttle), account.settling_seconds)

    def limits(self, conn_id: str, connection: ConnectionValues) -> Limits:
        """Return what the connection allows over all workers. :raises WrongCredentials: something is no number."""
        return self.read_account(conn_id, connection).limits


def transport_to(account: Account, throttle: Throttle | None) -> AsyncTransport:
    """Return the way to an account; nothing is connected yet."""
    return AsyncTransport(account.conn_id, account.base_url, timeout=account.timeout, throttle=throttle)
