"""The webinars in a scenario file: dates, registrants, presence."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from sandbox.scenario_model import Model, Offset, Share


def _refuse_negative_length(start: float, end: float) -> None:
    if end <= start:
        raise ValueError("end must be later than start")


class RegistrantModel(Model):
    """One entry of a webinar date's list.

    :param registered: offset from the start of the world.
    :param presence: stays as ``[join, leave]``, offsets from the webinar's start; ``leave: null``: still there.
    :param percent: instead of ``presence``: there from the start for this share of the webinar.
    """

    email: str = ""
    firstname: str = ""
    lastname: str = ""
    phone: str = ""
    language: str = "de"
    timezone: str = ""
    registered: Offset = -86400.0
    presence: tuple[tuple[Offset, Offset | None], ...] = ()
    percent: float | None = Field(default=None, ge=0, le=100)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.percent is not None and self.presence:
            raise ValueError("give presence or percent, not both")
        if any(leave is not None and leave < join for join, leave in self.presence):
            raise ValueError("presence: nobody leaves before joining")
        return self


class GenerateModel(Model):
    """Many registrants made from a seed.

    :param attended: share that was there for most of the webinar.
    :param online_at_end: share that was still there at its end; part of ``attended``.
    """

    count: int = Field(ge=1, le=1_000_000)
    attended: Share = 0.6
    online_at_end: Share = 0.4
    seed: int = 1
    domain: str = "example.org"
    registered: Offset = -86400.0

    @model_validator(mode="after")
    def _part_of_attended(self) -> Self:
        if self.online_at_end > self.attended:
            raise ValueError("online_at_end is a part of attended and cannot be larger")
        return self


class MoveModel(Model):
    """A date that is given another time: ``at`` which moment, to which ``start`` and ``end``."""

    at: Offset
    start: Offset
    end: Offset

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _refuse_negative_length(self.start, self.end)
        return self


class DateModel(Model):
    """One date of a webinar; offsets count from the start of the world."""

    id: str
    start: Offset
    end: Offset
    cancelled_at: Offset | None = None
    moved: MoveModel | None = None
    registrants: tuple[RegistrantModel, ...] = ()
    generate: GenerateModel | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _refuse_negative_length(self.start, self.end)
        return self


class WebinarModel(Model):
    """One webinar.

    :param presence_lag: seconds until a join or leave can be read.
    """

    id: str
    title: str
    password: str = ""
    presence_lag: Annotated[Offset, Field(ge=0)] = 0.0
    dates: tuple[DateModel, ...] = ()
