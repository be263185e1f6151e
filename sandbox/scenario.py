"""The scenario file: a world to begin with. Its form and its reading; see README.md for the words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML, YAMLError

from sandbox import credentials
from sandbox.clock import parse_offset

DEFAULT_SCENARIO = Path(__file__).parent / "scenarios" / "default.yaml"
SHIPPED_TAGS = ("Webinar besucht", "Webinar verpasst", "Pitch gesehen", "Pitch nicht gesehen")

Offset = Annotated[float, BeforeValidator(parse_offset)]
"""Seconds, or a text such as ``-10m``."""
Share = Annotated[float, Field(ge=0, le=1)]


class ScenarioError(Exception):
    """A scenario file cannot be used; the message names the file, each wrong field, and what is wrong."""


class Model(BaseModel):
    """Refuses unknown fields, so that a typo is found."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WebinarisModel(Model):
    """The Webinaris account; ``password`` is the key of every webinar that has none of its own."""

    apikey: str = credentials.WEBINARIS_APIKEY
    password: str = credentials.WEBINARIS_PASSWORD
    per_second: int | None = Field(None, ge=1)


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
    developer_key: str = Field(credentials.KLICKTIPP_DEVELOPER_KEY, pattern=r"^([0-9a-fA-F]{2})+$")
    customer_key: str = credentials.KLICKTIPP_CUSTOMER_KEY
    session_seconds: float = Field(86400, gt=0)
    per_second: int | None = Field(None, ge=1)
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
        _refuse_unknown_tags(self.contacts, self.tags)
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
    per_second: int | None = Field(5, ge=1)
    bulk_import_seconds: float = Field(1.0, ge=0)
    tags: tuple[str, ...] = SHIPPED_TAGS
    lists: tuple[str, ...] = ("Newsletter", "Webinar-Teilnehmer")
    fields: tuple[str, ...] = ("Letztes Webinar",)
    contacts: tuple[ActiveCampaignContactModel, ...] = ()

    @model_validator(mode="after")
    def _known_names(self) -> Self:
        _refuse_unknown_tags(self.contacts, self.tags)
        for contact in self.contacts:
            if unknown := [*(set(contact.lists) - set(self.lists)), *(set(contact.fields) - set(self.fields))]:
                raise ValueError(f"contacts: there is no list or field {unknown[0]!r}")
        return self


class EmailModel(Model):
    """Who may send mail."""

    user: str = credentials.SMTP_USER
    password: str = credentials.SMTP_PASSWORD


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
    percent: float | None = Field(None, ge=0, le=100)

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


class Scenario(Model):
    """A whole world; every part may be left out."""

    webinaris: WebinarisModel = WebinarisModel()
    klicktipp: KlickTippModel = KlickTippModel()
    activecampaign: ActiveCampaignModel = ActiveCampaignModel()
    email: EmailModel = EmailModel()
    webinars: tuple[WebinarModel, ...] = ()

    @model_validator(mode="after")
    def _unique(self) -> Self:
        webinars = [webinar.id for webinar in self.webinars]
        dates = [date.id for webinar in self.webinars for date in webinar.dates]
        for ids in (webinars, dates):
            if doubled := [one for one in ids if ids.count(one) > 1]:
                raise ValueError(f"webinars: the id {doubled[0]!r} is used twice")
        return self


def load_scenario(path: Path = DEFAULT_SCENARIO) -> Scenario:
    """Read a scenario file.

    :raises ScenarioError: when it cannot be read, is no YAML, or says something impossible.
    """
    try:
        content: Any = YAML(typ="safe", pure=True).load(path)
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read: {error.strerror}") from error
    except YAMLError as error:
        raise ScenarioError(f"{path}: is no YAML: {' '.join(str(error).split())}") from error
    try:
        return Scenario.model_validate({} if content is None else content)
    except ValidationError as error:
        raise ScenarioError("\n".join(f"{path}: {problem}" for problem in problems(error))) from error


def problems(error: ValidationError) -> list[str]:
    """Return one line for each wrong field: where it is and what is wrong."""
    lines = []
    for item in error.errors():
        place = ".".join(str(part) for part in item["loc"]) or "(whole)"
        lines.append(f"{place}: {item['msg'].removeprefix('Value error, ')}")
    return lines


def _refuse_negative_length(start: float, end: float) -> None:
    if end <= start:
        raise ValueError("end must be later than start")


def _refuse_unknown_tags(
    contacts: tuple[KlickTippContactModel, ...] | tuple[ActiveCampaignContactModel, ...], tags: tuple[str, ...]
) -> None:
    for contact in contacts:
        if unknown := set(contact.tags) - set(tags):
            raise ValueError(f"contacts: there is no tag {min(unknown)!r}")
