"""The Callexa account in a scenario file."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from sandbox import credentials
from sandbox.scenario_model import Model, Offset


class ReplyModel(Model):
    """What somebody answers as soon as asked.

    :param after: time from the sending of the survey to the answer.
    :param rating: whatever shall be read as ``NPS_rating``, 11 or a word among it.
    """

    email: str
    after: Annotated[Offset, Field(ge=0)] = 0.0
    rating: int | str
    comment: str = ""


class SurveyModel(Model):
    """One survey (Befragung).

    :param min_distance_weeks: between two surveys to one address.
    :param replies: answers that will come by themselves.
    """

    id: str = Field(pattern=r"^[\w-]+$")
    name: str
    min_distance_weeks: float = Field(default=26, ge=0)
    replies: tuple[ReplyModel, ...] = ()


class CallexaModel(Model):
    """The Callexa account."""

    login: str = credentials.CALLEXA_LOGIN
    apikey: str = credentials.CALLEXA_APIKEY
    per_second: int | None = Field(default=None, ge=1)
    surveys: tuple[SurveyModel, ...] = (SurveyModel(id="s1", name="Kundenzufriedenheit"),)

    @model_validator(mode="after")
    def _unique(self) -> Self:
        ids = [survey.id for survey in self.surveys]
        if doubled := [one for one in ids if ids.count(one) > 1]:
            raise ValueError(f"surveys: the id {doubled[0]!r} is used twice")
        return self
