"""The accounts in a scenario file: credentials, what they have already, who is in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sandbox import credentials
from sandbox.scenario_model import Model

SHIPPED_TAGS = ("Webinar besucht", "Webinar verpasst", "Pitch gesehen", "Pitch nicht gesehen")


def _refuse_unknown_tags(used: Iterable[str], tags: tuple[str, ...]) -> None:
    if unknown := set(used) - set(tags):
        raise ValueError(f"contacts: there is no tag {min(unknown)!r}")


class WebinarisModel(Model):
    """The Webinaris account; ``password`` is the key of every webinar that has none of its own."""

    apikey: str = credentials.WEBINARIS_APIKEY
    password: str = credentials.WEBINARIS_PASSWORD
    per_second: int | None = Field(default=None, ge=1)


class OptInModel(Model):
    """One opt-in process of KlickTipp; the first one of the account is its default."""

    id: int
    name: str = ""
    single: bool = False


class CustomFieldModel(Model):
    """One custom field of KlickTipp, called ``field{id}`` in its API."""

    id: int
    label: str
    type: Literal["line", "paragraph", "number", "decimal", "url", "time", "date", "datetime", "html"] = "line"


class ListbuildingKeyModel(Model):
    """One listbuilding API key of KlickTipp."""

    key: str
    tag: str
    opt_in: int


class KlickTippContactModel(Model):
    """A contact that KlickTipp has already; ``tags`` are names."""

    email: str
    status: Literal["pending", "subscribed", "unsubscribed"] = "subscribed"
    phone: str = ""
    tags: tuple[str, ...] = ()
    fields: dict[str, str] = Field(default_factory=dict)


class KlickTippModel(Model):
    """The KlickTipp account."""

    username: str = credentials.KLICKTIPP_USERNAME
    password: str = credentials.KLICKTIPP_PASSWORD
    developer_key: str = Field(default=credentials.KLICKTIPP_DEVELOPER_KEY, pattern=r"^([0-9a-fA-F]{2})+$")
    customer_key: str = credentials.KLICKTIPP_CUSTOMER_KEY
    session_seconds: float = Field(default=86400, gt=0)
    per_second: int | None = Field(default=None, ge=1)
    tags: tuple[str, ...] = SHIPPED_TAGS
    lists: Annotated[tuple[OptInModel, ...], Field(min_length=1)] = (
        OptInModel(id=3),
        OptInModel(id=23, name="Webinar ohne Bestätigung", single=True),
    )
    fields: tuple[CustomFieldModel, ...] = (CustomFieldModel(id=1001, label="Letztes Webinar"),)
    apikeys: tuple[ListbuildingKeyModel, ...] = (
        ListbuildingKeyModel(key=credentials.KLICKTIPP_APIKEY, tag=SHIPPED_TAGS[0], opt_in=23),
    )
    blocked_domains: tuple[str, ...] = ()
    contacts: tuple[KlickTippContactModel, ...] = ()

    @model_validator(mode="after")
    def _known_names(self) -> Self:
        lists = {one.id for one in self.lists}
        for key in self.apikeys if "apikeys" in self.model_fields_set else ():
            if key.tag not in self.tags:
                raise ValueError(f"apikeys: there is no tag {key.tag!r}")
            if key.opt_in not in lists:
                raise ValueError(f"apikeys: there is no list with id {key.opt_in}")
        _refuse_unknown_tags((tag for contact in self.contacts for tag in contact.tags), self.tags)
        return self


class ActiveCampaignContactModel(Model):
    """A contact that ActiveCampaign has already.

    :param lists: list name to status: 0 unconfirmed, 1 active, 2 unsubscribed, 3 bounced.
    :param fields: field title to value.
    """

    email: str
    firstname: str = ""
    lastname: str = ""
    phone: str = ""
    tags: tuple[str, ...] = ()
    lists: dict[str, Annotated[int, Field(ge=0, le=3)]] = Field(default_factory=dict)
    fields: dict[str, str] = Field(default_factory=dict)


class ActiveCampaignModel(Model):
    """The ActiveCampaign account; ``per_second: null`` lifts its rate limit."""

    token: str = credentials.ACTIVECAMPAIGN_TOKEN
    per_second: int | None = Field(default=5, ge=1)
    bulk_import_seconds: float = Field(default=1.0, ge=0)
    tags: tuple[str, ...] = SHIPPED_TAGS
    lists: tuple[str, ...] = ("Newsletter", "Webinar-Teilnehmer")
    fields: tuple[str, ...] = ("Letztes Webinar",)
    contacts: tuple[ActiveCampaignContactModel, ...] = ()

    @model_validator(mode="after")
    def _known_names(self) -> Self:
        _refuse_unknown_tags((tag for contact in self.contacts for tag in contact.tags), self.tags)
        for contact in self.contacts:
            if unknown := [*(set(contact.lists) - set(self.lists)), *(set(contact.fields) - set(self.fields))]:
                raise ValueError(f"contacts: there is no list or field {unknown[0]!r}")
        return self


class EmailModel(Model):
    """Who may send mail."""

    user: str = credentials.SMTP_USER
    password: str = credentials.SMTP_PASSWORD
