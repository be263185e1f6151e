"""The Insightly account in a scenario file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from sandbox import credentials
from sandbox.insightly.kinds import OPPORTUNITY_STATES, PROJECT_STATES
from sandbox.scenario_model import Model, Offset


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


State = Annotated[str, BeforeValidator(_upper)]
Number = Annotated[int, Field(ge=1)]


class StateModel(Model):
    """When (offset) a record comes into a state, in the past or ahead."""

    at: Offset
    state: State


class InsightlyContactModel(Model):
    """A contact.

    :param id: counted when left out, like those of opportunities and projects.
    """

    id: Number | None = None
    email: str = ""
    firstname: str = "Sandbox"
    lastname: str = ""
    phone: str = ""
    tags: tuple[str, ...] = ()
    created: Offset = -86400.0


class _DealModel(Model):
    """What opportunities and projects have in common.

    :param state: since it was created. :param states: what it comes into later on.
    :param contacts: ids of linked contacts.
    """

    id: Number | None = None
    name: str
    state: State = ""
    states: tuple[StateModel, ...] = ()
    contacts: tuple[Number, ...] = ()
    tags: tuple[str, ...] = ()
    created: Offset = -86400.0

    def all_states(self) -> list[str]:
        """Return every state named."""
        return [one for one in (self.state, *(step.state for step in self.states)) if one]


class OpportunityModel(_DealModel):
    """An opportunity (Chance); open when no state is named. ``value`` is an amount in euros."""

    value: float | None = None

    @model_validator(mode="after")
    def _known_states(self) -> Self:
        _refuse_unknown_states(self.all_states(), OPPORTUNITY_STATES)
        return self


class ProjectModel(_DealModel):
    """A project; not started when no state is named.

    :param opportunity: id of the opportunity that it was made from.
    """

    opportunity: Number | None = None

    @model_validator(mode="after")
    def _known_states(self) -> Self:
        _refuse_unknown_states(self.all_states(), PROJECT_STATES)
        return self


class InsightlyModel(Model):
    """The Insightly account.

    :param per_second: ``null`` lifts the limit, as for ``per_day``.
    :param webhook_url: where every change of a state is posted to; nowhere when empty.
    :param generate: so many opportunities more, closed in the past year or open, with contacts.
    """

    key: str = credentials.INSIGHTLY_KEY
    per_second: int | None = Field(default=10, ge=1)
    per_day: int | None = Field(default=40_000, ge=0)
    webhook_url: str = ""
    webhook_user: str = ""
    webhook_password: str = ""
    webhook_retry_seconds: float = Field(default=1.0, ge=0)
    contacts: tuple[InsightlyContactModel, ...] = ()
    opportunities: tuple[OpportunityModel, ...] = ()
    projects: tuple[ProjectModel, ...] = ()
    generate: int = Field(default=0, ge=0, le=1_000_000)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        _refuse_doubled("contacts", self.contacts)
        _refuse_doubled("opportunities", self.opportunities)
        _refuse_doubled("projects", self.projects)
        known = {one.id for one in self.contacts}
        for deal in (*self.opportunities, *self.projects):
            if unknown := [number for number in deal.contacts if number not in known]:
                raise ValueError(f"{deal.name}: there is no contact with id {unknown[0]}")
        return self


def _refuse_unknown_states(used: Iterable[str], states: Sequence[str]) -> None:
    if unknown := [one for one in used if one not in states]:
        raise ValueError(f"there is no state {unknown[0]!r}; it is one of {', '.join(states)}")


def _refuse_doubled(place: str, models: Sequence[InsightlyContactModel | _DealModel]) -> None:
    ids = [one.id for one in models if one.id is not None]
    if doubled := [one for one in ids if ids.count(one) > 1]:
        raise ValueError(f"{place}: the id {doubled[0]} is used twice")
