"""A rule that waits for webinar dates (source: Webinaris)."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from handoff.audience import DEFAULT_ATTENDED_FROM_PERCENT, Audience, Judgement, judge
from handoff.occasion import Occasion
from handoff.registration import Registration
from handoff.rules.rule import Rule, Text


class WebinarRule(Rule):
    """Who registered for a webinar is handed over before or after its start or end."""

    anchors: ClassVar[tuple[str, ...]] = ("start", "end")

    source: Literal["webinaris"] = Field(default="webinaris", description="The system in which it happens (Quelle)")
    conn_id: Text = Field(default="webinaris_default", description="Airflow connection of the source account")
    webinars: tuple[Text, ...] = Field(default=(), description="Webinar ids; empty: all webinars, also future ones")
    who: Audience = Field(
        description="Who is handed over (für wen)",
        examples=["attended"],
        json_schema_extra={"enumDescriptions": [audience.label("de") for audience in Audience]},
    )
    attended_from_percent: int = Field(
        default=DEFAULT_ATTENDED_FROM_PERCENT,
        ge=1,
        le=100,
        strict=True,
        description="Share of the webinar from which on somebody counts as attended (Teilnehmer ab ... %)",
    )

    @property
    def needs_presence(self) -> bool:  # type: ignore[override]
        """Whether presence up to the moment must have been reported."""
        return self.who is not Audience.REGISTERED

    def selects(self, occasion: Occasion) -> bool:
        """Whether it is a date of one of the rule's webinars."""
        return not self.webinars or occasion.series in self.webinars

    def judge(self, person: Registration, moment: datetime, occasion: Occasion) -> Judgement:
        """Judge by registration and presence (see :func:`handoff.audience.judge`)."""
        start, end = occasion.anchors["start"], occasion.anchors["end"]
        return judge(person, moment, start, end, self.who, self.attended_from_percent)

    def audience(self) -> str:
        """Return e.g. ``"attended (Teilgenommen), from 50 % of the webinar on"``."""
        attendance = {Audience.ATTENDED, Audience.NOT_ATTENDED}
        share = f", from {self.attended_from_percent} % of the webinar on" if self.who in attendance else ""
        return f"{self.who.label('en')} ({self.who.label('de')}){share}"

    def selection(self) -> tuple[str, str]:
        """Return the webinars."""
        return "Webinars", ", ".join(self.webinars) or "all, also future ones (alle)"
