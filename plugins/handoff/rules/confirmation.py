"""A rule that begins with a confirmed consent (bestätigtes Double-Opt-in)."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from handoff.audience import Judgement, listed
from handoff.occasion import Occasion
from handoff.registration import Registration
from handoff.rules.rule import Rule, Slug


class ConfirmationRule(Rule):
    """Who confirmed a consent is handed over after the confirmation, e.g. to the newsletter's system."""

    anchors: ClassVar[tuple[str, ...]] = ("confirmed",)

    source: Literal["opt_in"] = Field(default="opt_in", description="The system in which it happens (Quelle)")
    conn_id: Literal["opt_in"] = Field(default="opt_in", description="Confirmations are in the ledger; always opt_in")
    asked_by: tuple[Slug, ...] = Field(
        default=(), description="Rules whose step opt_in asked for it; empty: all (gefragt von)"
    )
    agreed_to: Literal["marketing", "survey"] = Field(
        default="marketing", description="What was agreed to: the purpose of the step opt_in (eingewilligt in)"
    )

    def selects(self, occasion: Occasion) -> bool:
        """Whether the consent is one to the rule's purpose that one of its askers asked for."""
        return occasion.facts.get("agreed_to") == self.agreed_to and (
            not self.asked_by or occasion.series in self.asked_by
        )

    def judge(self, person: Registration, moment: datetime, occasion: Occasion) -> Judgement:
        """The one who confirmed is meant."""
        return listed("opted_in", moment, occasion)

    def audience(self) -> str:
        """Return who is handed over."""
        return "who confirmed the consent (wer die Einwilligung bestätigt hat)"

    def selection(self) -> tuple[str, str]:
        """Return what was agreed to, and who asked."""
        return "Consent (Einwilligung)", f"{self.agreed_to}, asked by {', '.join(self.asked_by) or 'any rule (alle)'}"
