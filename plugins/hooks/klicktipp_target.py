"""KlickTipp as a target: many effects at once, each settled by reading."""

from __future__ import annotations

from typing import Self

from hooks.account import Account
from hooks.klicktipp import account_of, protocol_of
from hooks.protocols.klicktipp_steps import KlickTippSteps
from hooks.transport import AsyncTransport
from hooks.vendor_target import VendorTarget


class KlickTippTarget(VendorTarget):
    """One KlickTipp account."""

    read_account = staticmethod(account_of)

    @classmethod
    def of(cls, account: Account, transport: AsyncTransport) -> Self:
        """Make the target of an account. :raises WrongCredentials: it has no usable login."""
        return cls(KlickTippSteps(protocol_of(account)), transport, account.settling_seconds)
