"""ActiveCampaign as a target: many effects at once, in bulk where allowed, each settled by reading."""

from __future__ import annotations

from functools import partial
from typing import Self

from handoff.delivery.purpose import SETTLING, spending
from handoff.ledger.quotas import Limits
from handoff.steps import Step
from handoff.target import Call, Promise, Proof
from hooks.account import ConnectionValues
from hooks.activecampaign import BULK_THRESHOLD, REQUESTS_PER_SECOND, SETTLING_SECONDS, account_of
from hooks.activecampaign_bulk import BulkCollector
from hooks.protocols.activecampaign import ActiveCampaignProtocol
from hooks.protocols.activecampaign_steps import ActiveCampaignSteps
from hooks.transport import AsyncTransport, Throttle
from hooks.vendor_hook import DEFAULT_TIMEOUT


class ActiveCampaignTarget:
    """One ActiveCampaign account (implements :class:`handoff.target.Target`)."""

    promise = Promise.SETTLED_BY_READING

    def __init__(
        self, steps: ActiveCampaignSteps, transport: AsyncTransport, bulk: BulkCollector, settling_seconds: float
    ) -> None:
        self.settling_seconds = settling_seconds
        self._steps, self._transport, self._bulk = steps, transport, bulk

    @classmethod
    def from_connection(cls, conn_id: str, connection: ConnectionValues, throttle: Throttle | None = None) -> Self:
        """Make the target of a connection.

        :param throttle: awaited before every HTTP request (see :meth:`requests_per_second`).
        :raises WrongCredentials: the connection cannot be used.
        """
        account = account_of(conn_id, connection)
        protocol = ActiveCampaignProtocol(conn_id, account.password)
        timeout = account.number("timeout", DEFAULT_TIMEOUT, 0.1)
        transport = AsyncTransport(conn_id, account.base_url, timeout=timeout, throttle=throttle)
        threshold = int(account.number("bulk_threshold", BULK_THRESHOLD))
        settling = account.number("settling_seconds", SETTLING_SECONDS)
        return cls(ActiveCampaignSteps(protocol), transport, BulkCollector(protocol, transport, threshold), settling)

    @staticmethod
    def requests_per_second(conn_id: str, connection: ConnectionValues) -> float:
        """Return the rate that the connection allows over all workers. :raises WrongCredentials: it is no number."""
        return account_of(conn_id, connection).number("requests_per_second", REQUESTS_PER_SECOND, 0.01)

    @classmethod
    def limits(cls, conn_id: str, connection: ConnectionValues) -> Limits:
        """Return what the connection allows over all workers. :raises WrongCredentials: something is no number."""
        account = account_of(conn_id, connection)
        bulk_from = int(account.number("bulk_threshold", BULK_THRESHOLD)) or None
        return Limits(cls.requests_per_second(conn_id, connection), account.quota(), bulk_from)

    async def prepare(self, step: Step) -> None:
        """Read the tags. :raises TargetError: see :class:`~handoff.target.Target`."""
        await self._transport.run(self._steps.protocol.tags.find(getattr(step, "tag", "")))

    def coalesces(self, call: Call) -> bool:
        """Whether the call may go out in a bulk import."""
        return self._bulk.threshold > 0 and self._steps.may_be_bulk(call)

    async def send(self, call: Call) -> Proof:
        """Carry out the effect once and return its proof. :raises TargetError: see :class:`~handoff.target.Target`."""
        singly = partial(self._send_singly, call)
        entry = await self._transport.run(self._steps.bulk_entry(call))
        return await (singly() if entry is None else self._bulk.send(entry, singly))

    async def seen(self, call: Call) -> Proof | None:
        """Read the effect back; ``None`` when it is not there. :raises TargetError: it cannot be read now."""
        with spending(SETTLING):
            return await self._transport.run(self._steps.seen(call))

    async def close(self) -> None:
        """Release the connections; safe to call twice."""
        await self._bulk.close()
        await self._transport.close()

    async def _send_singly(self, call: Call) -> Proof:
        return await self._transport.run(self._steps.send(call))
