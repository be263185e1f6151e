"""Every error a user of handoffs can meet: what happened, where, and what to do.

Messages name connections, rules, steps and vendors' own words. They never carry a
secret or a contact's data.
"""

from __future__ import annotations

from typing import ClassVar


class HandoffError(Exception):
    """Base of all errors raised on purpose by this project."""


class LedgerError(HandoffError):
    """The ledger cannot be used: wrong address, not migrated, or a write that lost its lease."""


class SourceError(HandoffError):
    """A source's answer could not be used; nothing was recorded from it."""


class TemplateError(HandoffError):
    """A message template is missing, does not parse, or names an unknown variable."""


class TargetError(HandoffError):
    """A call to a target did not end in success.

    The five subclasses say what is known about the effect, which is all that the
    delivery engine needs to decide what comes next.

    :param account: Airflow connection id of the target account.
    :param operation: what was tried, in the field's words, e.g. ``"tag contact"``.
    :param words: the vendor's own words or a short cause, free of contact data.
    """

    meaning = "the call failed"

    def __init__(self, account: str, operation: str, words: str = "") -> None:
        self.account, self.operation, self.words = account, operation, words
        super().__init__(f"{account}: {operation}: {self.meaning}{f' ({words})' if words else ''}")


class WrongCredentials(TargetError):
    """The target does not accept the connection's credentials; no call of this account can work."""

    meaning = "the credentials of this connection were not accepted; check the connection in the Airflow UI"


class Refused(TargetError):
    """The target understood the call and said no; repeating it unchanged cannot work."""

    meaning = "the target refused"


class RateLimited(TargetError):
    """The target asks to slow down; nothing was done.

    :param retry_after: seconds the target asks to wait, or ``None`` when it does not say.
    :ivar retry_after: the same, ``longest_seconds`` at most: who asks for more has named a moment where seconds
        were meant, or is wrong, and must not stop an account for ever.
    """

    meaning = "the target's rate limit is reached"
    longest_seconds: ClassVar[float] = 3_600.0

    def __init__(self, account: str, operation: str, words: str = "", retry_after: float | None = None) -> None:
        super().__init__(account, operation, words)
        self.retry_after = None if retry_after is None else min(retry_after, self.longest_seconds)


class QuotaUsedUp(RateLimited):
    """The account's requests of the day are used up; nothing was asked of the target."""

    meaning = "the requests of the day are used up; it goes on by itself when the next day begins"
    longest_seconds: ClassVar[float] = 90_000.0
    """An hour more than a day."""


class Transient(TargetError):
    """The call certainly had no effect and may be repeated: no connection, or a failed read."""

    meaning = "the target could not be reached; nothing was done"


class UnknownOutcome(TargetError):
    """The call left this machine and no answer can be trusted: it may or may not have had its effect."""

    meaning = "no answer that can be trusted; the effect is settled by reading or held, never repeated blindly"
