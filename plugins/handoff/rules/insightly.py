"""A rule that waits for opportunities (Chancen) and projects that were closed (source: Insightly)."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from handoff.audience import Judgement, listed
from handoff.occasion import BEFORE_WATCH, Occasion
from handoff.registration import Registration
from handoff.rules.rule import Rule, Text
from handoff.spellings import folded

OpportunityState = Literal["won", "lost", "abandoned", "suspended"]
ProjectState = Literal["completed", "cancelled", "abandoned", "deferred"]


class InsightlyRule(Rule):
    """The contacts attached to an opportunity or project are handed over after it was closed."""

    anchors: ClassVar[tuple[str, ...]] = ("closed",)
    pushes: ClassVar[bool] = True

    source: Literal["insightly"] = Field(default="insightly", description="The system in which it happens (Quelle)")
    conn_id: Text = Field(default="insightly_default", description="Airflow connection of the source account")
    opportunities: tuple[OpportunityState, ...] = Field(
        default=("won",),
        description="Opportunities (Chancen) that came into one of these states; empty: none. won (gewonnen, "
        "Standard), lost (verloren), abandoned, suspended",
    )
    projects: tuple[ProjectState, ...] = Field(
        default=("completed",),
        description="Projects that came into one of these states; empty: none. completed (abgeschlossen, Standard), "
        "cancelled (storniert), abandoned, deferred",
    )
    tag: str = Field(default="", description="Tag that the opportunity or project must have (muss vorhanden sein)")
    without_tag: str = Field(default="", description="Tag that it must not have (darf nicht vorhanden sein)")

    @model_validator(mode="after")
    def _waits_for_something(self) -> Self:
        if not (self.opportunities or self.projects):
            right = "name at least one state, e.g. opportunities: [won]"
            words = {"right": right, "at": ("opportunities",)}
            raise PydanticCustomError("waits_for_nothing", "neither opportunities nor projects are waited for", words)
        if self.tag and folded(self.tag) == folded(self.without_tag):
            words = {"right": "name two different tags, or only one of the two", "at": ("without_tag",)}
            raise PydanticCustomError("waits_for_nothing", "the same tag must be there and must not", words)
        return self

    def selects(self, occasion: Occasion) -> bool:
        """Whether the record is in a state, and has the tags, that the rule asks for.

        Its facts are ``record`` (``"opportunity/31"``), ``state`` (small letters) and ``tags``. What closed before the
        account was watched is no such one.
        """
        kind = str(occasion.facts.get("record", "")).partition("/")[0]
        states: tuple[str, ...] = {"opportunity": self.opportunities, "project": self.projects}.get(kind, ())
        tags = {folded(str(tag)) for tag in _texts(occasion.facts.get("tags"))}
        return (
            BEFORE_WATCH not in occasion.facts
            and occasion.facts.get("state") in states
            and (not self.tag or folded(self.tag) in tags)
            and (not self.without_tag or folded(self.without_tag) not in tags)
        )

    def judge(self, person: Registration, moment: datetime, occasion: Occasion) -> Judgement:
        """Everybody attached is meant."""
        return listed("attached", moment, occasion)

    def audience(self) -> str:
        """Return who is handed over."""
        return "the attached contacts (angehängte Kontakte)"

    def selection(self) -> tuple[str, str]:
        """Return the records and tags."""
        kinds = {"opportunities (Chancen)": self.opportunities, "projects (Projekte)": self.projects}
        parts = [f"{name}: {', '.join(states)}" for name, states in kinds.items() if states]
        parts += [f"with the tag {self.tag}"] if self.tag else []
        parts += [f"without the tag {self.without_tag}"] if self.without_tag else []
        return "Records (Datensätze)", "; ".join(parts)


def _texts(value: object) -> list[object]:
    return value if isinstance(value, list) else []
