"""A confirmed consent (double opt-in) as an occasion: what rules of the source ``opt_in`` wait for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from handoff.occasion import Occasion

SOURCE = ACCOUNT = "opt_in"
"""Source and account of the occasions that confirmations are."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Somebody pressed the button behind the link of a confirmation mail, and had not agreed to this before.

    :param effect_id: the mail, which can be confirmed once. :param asked_by: the rule that sent it.
    :param channel: what may be used from now on. :param purpose: what was agreed to.
    :param at: aware.
    """

    effect_id: int
    asked_by: str
    channel: str
    purpose: str
    at: datetime

    @property
    def occasion(self) -> Occasion:
        """The occasion of this confirmation; who it was is not in it."""
        facts: dict[str, object] = {"channel": self.channel, "agreed_to": self.purpose}
        anchors = {"confirmed": self.at}
        return Occasion(
            SOURCE, ACCOUNT, str(self.effect_id), self.asked_by, anchors, series=self.asked_by, facts=facts
        )  # fmt: skip
