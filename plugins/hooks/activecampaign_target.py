"""ActiveCampaign as a target: many effects at once, in bulk where allowed, each settled by reading."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Self

from handoff.ledger.quotas import Limits
from handoff.target import Call, Proof
from hooks.account import Account, ConnectionValues
from hooks.activecampaign import BULK_THRESHOLD, account_of
from hooks.activecampaign_bulk import BulkCollector
from hooks.protocols.activecampaign import ActiveCampaignProtocol
from hooks.protocols.activecampaign_steps import ActiveCampaignSteps
from hooks.transport import AsyncTransport, Throttle
from hooks.vendor_target import VendorTarget, transport_to


class ActiveCampaignTarget(VendorTarget):
    """One ActiveCampaign account, which also imports contacts in bulk."""

    _steps: ActiveCampaignSteps

    def __init__(
        self, steps: ActiveCampaignSteps, transport: AsyncTransport, bulk: BulkCollector, settling_seconds: float
    ) -> None:
        super().__init__(steps, transport, settling_seconds)
        self._bulk = bulk

    @classmethod
    def from_connection(cls, conn_id: str, connection: ConnectionValues, throttle: Throttle | None = None) -> Self:
        """Make the target of a connection (see :class:`~hooks.vendor_target.Vendor`)."""
        account = account_of(conn_id, connection)
        protocol, transport = ActiveCampaignProtocol(conn_id, account.password), transport_to(account, throttle)
        bulk = BulkCollector(protocol, transport, _threshold(account))
        return cls(ActiveCampaignSteps(protocol), transport, bulk, account.settling_seconds)

    @classmethod
    def limits(cls, conn_id: str, connection: ConnectionValues) -> Limits:
        """Return what the connection allows over all workers. :raises WrongCredentials: something is no number."""
        account = account_of(conn_id, connection)
        return replace(account.limits, bulk_from=_threshold(account) or None)

    def coalesces(self, call: Call) -> bool:
        """Whether the call may go out in a bulk import."""
        return self._bulk.threshold > 0 and self._steps.may_be_bulk(call)

    async def send(self, call: Call) -> Proof:
        """Carry out the effect once and return its proof. :raises TargetError: see :class:`~handoff.target.Target`."""
        singly = partial(super().send, call)
        entry = await self._transport.run(self._steps.bulk_entry(call))
        return await (singly() if entry is None else self._bulk.send(entry, singly))

    async def close(self) -> None:
        """Release the connections; safe to call twice."""
        await self._bulk.close()
        await super().close()


def _threshold(account: Account) -> int:
    """From how many contacts on they are imported in bulk; 0 for never."""
    return int(account.number("bulk_threshold", BULK_THRESHOLD))
