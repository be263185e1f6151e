"""The actions that a rule's steps can take, one model each; the target's hook knows how.

Text fields marked as templates are rendered with Jinja2 (StrictUndefined) from ``contact``,
``occasion`` and ``rule`` when the effect goes out.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from handoff.windows import Window

Name = Annotated[str, Field(min_length=1, max_length=250)]


class Step(BaseModel):
    """What every step has in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: str
    conn_id: str = Field(description="Airflow connection of the target account")
    window: Window | None = Field(
        default=None,
        exclude_if=lambda window: window is None,
        description="When this step may go out, instead of the rule's window (Sendefenster)",
    )

    to_person: ClassVar[bool] = False
    """Whether the step writes to or calls the person, so that the rule's window holds for it."""
    requests: ClassVar[int] = 1
    """How many requests it takes for a contact whom the account knows, names of tags and lists being known."""
    needs_id: ClassVar[bool] = False
    """Whether one more request has to ask for the contact's id, unless an earlier step at the account told it."""
    at_once: ClassVar[int] = 0
    """How many contacts go out in one bulk request; 0: each on its own."""


class KlickTippContact(Step):
    """Create or update the contact in KlickTipp (Kontakt anlegen oder aktualisieren)."""

    step: Literal["klicktipp.contact"]
    conn_id: str = "klicktipp_default"
    opt_in: str = Field("", description="Name of the opt-in process (Opt-in-Prozess); empty: the account's default")
    tag: str = Field("", description="Name of a tag to set in the same call")
    fields: dict[str, str] = Field(default_factory=dict, description="KlickTipp field to template")


class KlickTippTag(Step):
    """Tag the contact in KlickTipp (Tag vergeben)."""

    step: Literal["klicktipp.tag"]
    conn_id: str = "klicktipp_default"
    tag: Name
    create: bool = Field(False, description="Create the tag when the account does not have it")


class KlickTippUntag(Step):
    """Remove a tag in KlickTipp (Tag entfernen)."""

    step: Literal["klicktipp.untag"]
    conn_id: str = "klicktipp_default"
    tag: Name


class ActiveCampaignContact(Step):
    """Create or update the contact in ActiveCampaign (contact sync)."""

    step: Literal["activecampaign.contact"]
    conn_id: str = "activecampaign_default"
    fields: dict[str, str] = Field(default_factory=dict, description="ActiveCampaign field title or id to template")

    at_once: ClassVar[int] = 250


class ActiveCampaignTag(Step):
    """Tag the contact in ActiveCampaign; the contact is created when it is missing."""

    step: Literal["activecampaign.tag"]
    conn_id: str = "activecampaign_default"
    tag: Name
    create: bool = Field(False, description="Create the tag when the account does not have it")
    bulk: Literal["auto", "never"] = Field("auto", description="auto: big batches use bulk_import")

    needs_id: ClassVar[bool] = True
    at_once: ClassVar[int] = 250


class ActiveCampaignUntag(Step):
    """Remove a tag in ActiveCampaign."""

    step: Literal["activecampaign.untag"]
    conn_id: str = "activecampaign_default"
    tag: Name

    requests: ClassVar[int] = 2
    needs_id: ClassVar[bool] = True


class ActiveCampaignList(Step):
    """Subscribe the contact to a list; somebody who unsubscribed is never subscribed again."""

    step: Literal["activecampaign.list"]
    conn_id: str = "activecampaign_default"
    list: Name = Field(description="List name or id")

    requests: ClassVar[int] = 2
    needs_id: ClassVar[bool] = True


class Email(Step):
    """Write an e-mail from ``include/templates/<template>.<language>.*``."""

    step: Literal["email"]
    conn_id: str = "smtp_default"
    template: Name = Field(description="Base name of the template, e.g. webinar_attended")
    language: Literal["contact", "de", "en"] = Field("contact", description="contact: the contact's own language")

    to_person: ClassVar[bool] = True


AnyStep = Annotated[
    KlickTippContact
    | KlickTippTag
    | KlickTippUntag
    | ActiveCampaignContact
    | ActiveCampaignTag
    | ActiveCampaignUntag
    | ActiveCampaignList
    | Email,
    Field(discriminator="step"),
]
