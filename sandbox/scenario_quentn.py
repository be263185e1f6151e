"""The Quentn account in a scenario file."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from sandbox import credentials
from sandbox.quentn.mail_status import STATUSES
from sandbox.scenario_accounts import SHIPPED_TAGS
from sandbox.scenario_model import Model

FieldType = Literal["text", "selection", "date", "integer", "float", "checkbox_confirmation", "url"]
Length = Literal[8, 16, 32, 64, 128, 255]


class QuentnFieldModel(Model):
    """A custom field; its name in the API is ``field_`` and ``name``."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    label: str = ""
    type: FieldType = "text"
    max_length: Length = 255


class CampaignModel(Model):
    """A campaign that can be started."""

    id: int = Field(ge=1)
    name: str = ""


class QuentnContactModel(Model):
    """A contact that Quentn has already; or had: a deleted one of which it keeps a hash.

    :param status: name of its mail status. :param terms: names. :param fields: by their names in the API.
    """

    mail: str
    first_name: str = ""
    family_name: str = ""
    status: str = "single_opt_in"
    terms: tuple[str, ...] = ()
    fields: dict[str, str] = Field(default_factory=dict)
    deleted: bool = False

    @model_validator(mode="after")
    def _known_status(self) -> Self:
        if self.status not in STATUSES:
            raise ValueError(f"there is no status {self.status!r}; it is one of {', '.join(STATUSES)}")
        return self


class QuentnModel(Model):
    """The Quentn account.

    :param rate_limit: requests accepted in ``rate_seconds``; ``null`` lifts the limit.
    :param rate_reset: what ``X-Rate-Limit-Reset`` says: a moment (unix seconds) or the seconds until then.
    """

    apikey: str = credentials.QUENTN_APIKEY
    rate_limit: int | None = Field(default=600, ge=1)
    rate_seconds: float = Field(default=60.0, gt=0)
    rate_reset: Literal["moment", "seconds"] = "moment"
    terms: tuple[str, ...] = SHIPPED_TAGS
    fields: tuple[QuentnFieldModel, ...] = (
        QuentnFieldModel(name="termin_beginn", label="Termin Beginn", type="date"),
        QuentnFieldModel(name="termin_ende", label="Termin Ende", type="date"),
    )
    campaigns: tuple[CampaignModel, ...] = (CampaignModel(id=1, name="Terminbestätigung"),)
    contacts: tuple[QuentnContactModel, ...] = ()

    @model_validator(mode="after")
    def _possible(self) -> Self:
        terms = [name.lower() for name in self.terms]
        names = [f"field_{one.name}" for one in self.fields]
        for place, used in (
            ("terms", terms),
            ("fields", names),
            ("campaigns", [str(one.id) for one in self.campaigns]),
        ):
            if doubled := [one for one in used if used.count(one) > 1]:
                raise ValueError(f"{place}: {doubled[0]!r} is used twice")
        for contact in self.contacts:
            if unknown := {name for name in contact.terms if name.lower() not in terms} | (
                set(contact.fields) - set(names)
            ):
                raise ValueError(f"contacts: there is no term or field {min(unknown)!r}")
        return self
