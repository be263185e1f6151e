"""The mail status. ASSUMED: which number means what; known are only the words of the UI, and that clients send 4.

So 4 stands for what contacts from eTermin get: confirmed (single opt-in) (contract: quentn.md 4.5).
"""

from __future__ import annotations

UNKNOWN, SINGLE_OPT_IN, DOUBLE_OPT_IN, SOFT_BLOCKED, BLOCKED, SPAM, UNSUBSCRIBED = 1, 4, 5, 6, 7, 8, 9
STATUSES = {"unknown": UNKNOWN, "single_opt_in": SINGLE_OPT_IN, "double_opt_in": DOUBLE_OPT_IN,
            "soft_blocked": SOFT_BLOCKED, "blocked": BLOCKED, "spam": SPAM, "unsubscribed": UNSUBSCRIBED}  # fmt: skip
LASTING = frozenset({SOFT_BLOCKED, BLOCKED, SPAM, UNSUBSCRIBED})
"""What no call of the API ends: an unsubscribed person only returns through a double opt-in."""


def status_name(number: int) -> str:
    """Return the name of a status."""
    return next(name for name, known in STATUSES.items() if known == number)
