"""The bodies of ``POST /_sandbox/insightly/...``: what people do in the CRM, and what goes wrong there."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sandbox.scenario_insightly import State

Objects = Literal["Opportunities", "Projects"]
AnyObjects = Literal["Opportunities", "Projects", "Contacts", "Notes"]
Number = Annotated[int, Field(ge=1)]


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid")


class StateOrder(_Order):
    """``state``: a record comes into a state now."""

    object: Objects = "Opportunities"
    id: Number
    state: State


class EditOrder(_Order):
    """``edit``: fields change, the state does not; without fields only ``DATE_UPDATED_UTC`` moves."""

    object: AnyObjects = "Opportunities"
    id: Number
    fields: dict[str, Any] = Field(default_factory=dict)


class DeleteOrder(_Order):
    """``delete``: with ``keep_links`` links go on leading to what is no more."""

    object: AnyObjects = "Opportunities"
    id: Number
    keep_links: bool = False


class TagOrder(_Order):
    """``tag``: puts a tag on, or takes it off with ``remove``."""

    object: Literal["Opportunities", "Projects", "Contacts"] = "Opportunities"
    id: Number
    tag: Annotated[str, Field(min_length=1)]
    remove: bool = False


class LinkOrder(_Order):
    """``link``: links a record with a contact, or takes that link away with ``remove``."""

    object: Objects = "Opportunities"
    id: Number
    contact: Number
    remove: bool = False


class StampOrder(_Order):
    """``stamp``: many records change in the same second.

    :param ids: which; :param count: without ``ids``, so many from the lowest id on; without both all.
    :param at: unix seconds; now when left out. :param state: they all come into it.
    """

    object: Objects = "Opportunities"
    ids: tuple[Number, ...] = ()
    count: Annotated[int, Field(ge=1)] | None = None
    at: int | None = None
    state: State = ""


class ShiftOrder(_Order):
    """``shift``: once ``pages`` more pages of a kind were answered, rows are deleted or edited."""

    object: AnyObjects = "Opportunities"
    pages: Annotated[int, Field(ge=1)] = 1
    delete: tuple[Number, ...] = ()
    edit: tuple[Number, ...] = ()


class GenerateOrder(_Order):
    """``generate``: so many opportunities more."""

    count: Annotated[int, Field(ge=1, le=1_000_000)]
    seed: int = 2


class QuotaOrder(_Order):
    """``quota``: requests a day, and how many of them were used today; ``null`` lifts the limit."""

    per_day: Annotated[int, Field(ge=0)] | None
    used: Annotated[int, Field(ge=0)] | None = None


class KeyOrder(_Order):
    """``key``: from now on only this key is good."""

    key: Annotated[str, Field(min_length=1)]
