"""A rule that waits for answers to surveys (Befragungen), the project's own or Callexa's."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from handoff.audience import Judgement, listed
from handoff.occasion import Occasion
from handoff.registration import Registration
from handoff.rules.rule import Rule, Text


class AnswerRule(Rule):
    """Who answered a survey is handed over after the answer, e.g. with a note in the CRM."""

    anchors: ClassVar[tuple[str, ...]] = ("answered",)

    source: Literal["survey"] = Field(default="survey", description="The system in which it happens (Quelle)")
    conn_id: Literal["survey"] = Field(default="survey", description="Answers are in the ledger; always survey")
    surveys: tuple[Text, ...] = Field(default=(), description="Names of surveys; empty: all (alle Befragungen)")
    rating_from: int = Field(default=0, ge=0, le=10, strict=True, description="Lowest rating (Bewertung ab)")
    rating_to: int = Field(default=10, ge=0, le=10, strict=True, description="Highest rating (Bewertung bis)")

    @model_validator(mode="after")
    def _waits_for_something(self) -> Self:
        if self.rating_from > self.rating_to:
            words = {"right": "rating_from must not be above rating_to", "at": ("rating_from",)}
            raise PydanticCustomError("waits_for_nothing", "no rating is in this range", words)
        return self

    def selects(self, occasion: Occasion) -> bool:
        """Whether it is an answer to one of the rule's surveys, with a rating in its range."""
        rating = occasion.facts.get("rating")
        return (not self.surveys or occasion.series in self.surveys) and (
            isinstance(rating, int) and self.rating_from <= rating <= self.rating_to
        )

    def judge(self, person: Registration, moment: datetime, occasion: Occasion) -> Judgement:
        """The one who answered is meant."""
        return listed("answered", moment, occasion)

    def audience(self) -> str:
        """Return who is handed over."""
        return "who answered (wer geantwortet hat)"

    def selection(self) -> tuple[str, str]:
        """Return the surveys and ratings."""
        ratings = f", ratings {self.rating_from} to {self.rating_to}"
        everything = (self.rating_from, self.rating_to) == (0, 10)
        return "Surveys (Befragungen)", (", ".join(self.surveys) or "all (alle)") + ("" if everything else ratings)
