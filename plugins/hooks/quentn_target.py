"""Quentn as a target: many effects at once, each settled by reading but the start of a campaign."""

from __future__ import annotations

from typing import Self

from hooks.account import Account
from hooks.protocols.quentn_steps import QuentnSteps
from hooks.quentn import account_of, protocol_of, statuses_of
from hooks.transport import AsyncTransport
from hooks.vendor_target import VendorTarget


class QuentnTarget(VendorTarget):
    """One Quentn account.

    Whether a campaign was started cannot be read: its step says so itself (``readable``), and a doubtful start is held.
    """

    read_account = staticmethod(account_of)

    @classmethod
    def of(cls, account: Account, transport: AsyncTransport) -> Self:
        """Make the target of an account. :raises WrongCredentials: see :func:`hooks.quentn.statuses_of`."""
        return cls(QuentnSteps(protocol_of(account), statuses_of(account)), transport, account.settling_seconds)
