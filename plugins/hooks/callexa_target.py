"""Callexa as a target: recipients for a survey's queue, each settled by reading."""

from __future__ import annotations

from typing import Self

from hooks.account import Account
from hooks.callexa import account_of, protocol_of
from hooks.callexa_steps import CallexaSteps
from hooks.transport import AsyncTransport
from hooks.vendor_target import VendorTarget


class CallexaTarget(VendorTarget):
    """One Callexa account; its calls are assumed."""

    read_account = staticmethod(account_of)

    @classmethod
    def of(cls, account: Account, transport: AsyncTransport) -> Self:
        """Make the target of an account. :raises WrongCredentials: a name, a path or the time zone cannot be used."""
        return cls(CallexaSteps(protocol_of(account)), transport, account.settling_seconds)
