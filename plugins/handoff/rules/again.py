"""Re-entry: when the same rule may hand the same contact over again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from handoff.times.timing import Language, add_days

_DAYS = {"de": ("Tag", "Tagen"), "en": ("day", "days")}


class AfterDays(BaseModel):
    """Again when at least so many calendar days lie between the two moments: ``{days: 90}``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    days: int = Field(ge=1, le=3_650, strict=True, description="Tage")

    def apart(self, moment: datetime, zone: str) -> tuple[datetime, datetime]:
        """Return the moments (UTC) around ``moment`` between which there must be no other handover.

        :param moment: aware. :param zone: IANA name whose calendar counts.
        :raises UnknownZone: when ``zone`` is no IANA name.
        """
        return add_days(moment, zone, -self.days), add_days(moment, zone, self.days)


def _form(value: Any) -> str:
    return "days" if isinstance(value, dict | AfterDays) else "word"


Again = Annotated[
    Annotated[Literal["per_occasion", "never"], Tag("word")] | Annotated[AfterDays, Tag("days")],
    Discriminator(_form),
]


def describe(again: Literal["per_occasion", "never"] | AfterDays, language: Language = "en") -> str:
    """Return the policy for people, e.g. ``"once in 90 days"``, ``"einmal in 90 Tagen"``."""
    if isinstance(again, AfterDays):
        days = f"{again.days} {_DAYS[language][again.days != 1]}"
        return f"einmal in {days}" if language == "de" else f"once in {days}"
    words = {
        "per_occasion": {"de": "einmal je Termin", "en": "once for each occasion"},
        "never": {"de": "nur einmal", "en": "only once, never again"},
    }
    return words[again][language]
