"""Insightly as a target: notes on contacts, each settled by reading."""

from __future__ import annotations

from typing import Self

from hooks.account import Account
from hooks.insightly import InsightlyAccount, account_of
from hooks.protocols.insightly_steps import InsightlySteps
from hooks.transport import AsyncTransport
from hooks.vendor_target import VendorTarget


class InsightlyTarget(VendorTarget):
    """One Insightly account."""

    read_account = staticmethod(account_of)

    @classmethod
    def of(cls, account: Account, transport: AsyncTransport) -> Self:
        """Make the target of an account. :raises WrongCredentials: something is no number."""
        return cls(InsightlySteps(InsightlyAccount(account).calls), transport, account.settling_seconds)
