"""The actions that a rule's steps can take, one model each; the target's hook knows how.

Text fields marked as templates are rendered with Jinja2 (StrictUndefined) from ``contact``,
``occasion`` and ``rule`` when the effect goes out.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from handoff.times.windows import Window

Name = Annotated[str, Field(min_length=1, max_length=250)]

TAG = "Name or id of the tag"
CREATE = "Create the tag when the account does not have it; tag is its name then, not an id"


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

    rendered: ClassVar[tuple[str, ...]] = ("fields",)
    """The fields whose texts are templates."""
    asks: ClassVar[bool] = False
    """Whether the step asks the person's opinion, which is advertising in German law."""
    to_person: ClassVar[bool] = False
    """Whether the step writes to or calls the person, so that the rule's window holds for it."""
    target_writes: ClassVar[bool] = False
    """Whether the target may write to the person because of the step, by a campaign, an automation or a sign-up."""
    readable: ClassVar[bool] = True
    """Whether a target that can be read tells afterwards if the step took place; else a doubtful one is held."""
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
    opt_in: str = Field(
        "", description="Name or id of the opt-in process (Opt-in-Prozess); empty: the account's default"
    )
    tag: str = Field("", description="Name or id of a tag to set in the same call")
    fields: dict[str, str] = Field(default_factory=dict, description="KlickTipp field to template")

    target_writes: ClassVar[bool] = True
    requests: ClassVar[int] = 3


class KlickTippTag(Step):
    """Tag the contact in KlickTipp (Tag vergeben)."""

    step: Literal["klicktipp.tag"]
    conn_id: str = "klicktipp_default"
    tag: Name = Field(description=TAG)
    create: bool = Field(False, description=CREATE)

    target_writes: ClassVar[bool] = True


class KlickTippUntag(Step):
    """Remove a tag in KlickTipp (Tag entfernen)."""

    step: Literal["klicktipp.untag"]
    conn_id: str = "klicktipp_default"
    tag: Name = Field(description=TAG)


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
    tag: Name = Field(description=TAG)
    create: bool = Field(False, description=CREATE)
    bulk: Literal["auto", "never"] = Field("auto", description="auto: big batches use bulk_import")

    target_writes: ClassVar[bool] = True
    needs_id: ClassVar[bool] = True
    at_once: ClassVar[int] = 250


class ActiveCampaignUntag(Step):
    """Remove a tag in ActiveCampaign."""

    step: Literal["activecampaign.untag"]
    conn_id: str = "activecampaign_default"
    tag: Name = Field(description=TAG)

    requests: ClassVar[int] = 2
    needs_id: ClassVar[bool] = True


class ActiveCampaignList(Step):
    """Subscribe the contact to a list; somebody who unsubscribed is never subscribed again."""

    step: Literal["activecampaign.list"]
    conn_id: str = "activecampaign_default"
    list: Name = Field(description="List name or id")

    target_writes: ClassVar[bool] = True
    requests: ClassVar[int] = 2
    needs_id: ClassVar[bool] = True


class Email(Step):
    """Write an e-mail from ``include/templates/<template>.<language>.*``."""

    step: Literal["email"]
    conn_id: str = "smtp_default"
    template: Name = Field(description="Base name of the template, e.g. webinar_attended")
    language: Literal["contact", "de", "en"] = Field("contact", description="contact: the contact's own language")

    to_person: ClassVar[bool] = True


class Survey(Step):
    """Ask for a rating from 0 to 10 by e-mail; the answer is given on a page of its own (Umfrage)."""

    step: Literal["survey"]
    conn_id: str = "smtp_default"
    survey: Name = Field(description="Name of the survey for ever; its answers and its NPS are counted by it (Umfrage)")
    template: Name = Field("survey", description="Base name of the template")
    language: Literal["contact", "de", "en"] = Field("contact", description="contact: the contact's own language")
    at_least_weeks_apart: int = Field(
        default=26,
        ge=0,
        le=520,
        strict=True,
        description="Who was asked by this survey within so many weeks is not asked again (Mindestabstand); 0: always",
    )

    asks: ClassVar[bool] = True
    to_person: ClassVar[bool] = True


class CallexaRecipient(Step):
    """Queue the contact as a recipient of a Callexa survey (Empfänger hinzufügen); Callexa writes to the person."""

    step: Literal["callexa.recipient"]
    conn_id: str = "callexa_default"
    survey: Name = Field(description="Name or id of the survey in Callexa (Befragung)")
    at_least_weeks_apart: int = Field(
        default=26,
        ge=0,
        le=520,
        strict=True,
        description="Who waits in the survey's queue, or was put there within so many weeks, is left out "
        "(Mindestabstand); 0: only Callexa's own distance counts",
    )
    delay_days: int = Field(
        default=0,
        ge=0,
        le=365,
        strict=True,
        description="Days that Callexa waits before it writes (Verzögerung); 0: as the survey is set up",
    )
    at_most_days: int = Field(
        default=0,
        ge=0,
        le=365,
        strict=True,
        exclude_if=lambda days: not days,
        description="Days after which Callexa does not write any more (Höchstverzögerung), e.g. 14 beside "
        "delay_days: 3; 0: as the survey is set up",
    )

    @field_validator("at_most_days")
    @classmethod
    def _leaves_time(cls, days: int, known: ValidationInfo) -> int:
        if 0 < days < known.data.get("delay_days", 0):
            right = "at_most_days must not be below delay_days, or leave one of them out"
            raise PydanticCustomError("never_written", "Callexa would never write", {"right": right})
        return days

    asks: ClassVar[bool] = True
    to_person: ClassVar[bool] = True
    requests: ClassVar[int] = 2


class InsightlyNote(Step):
    """Write a rating and its comment into a note on the Insightly contact; a changed answer changes the note."""

    step: Literal["insightly.note"]
    conn_id: str = "insightly_default"
    title: Name = Field("{{ occasion.title }}", description="Template of the note's title (Titel)")
    body: str = Field(
        "Bewertung (rating) {{ answer.rating }}/10: {{ answer.comment }}",
        description="Template of the note's text (Notiztext)",
    )
    link: bool = Field(True, description="Link the note to the opportunity or project asked about (Verknüpfung)")

    rendered: ClassVar[tuple[str, ...]] = ("title", "body")
    requests: ClassVar[int] = 3
    needs_id: ClassVar[bool] = True


class QuentnContact(Step):
    """Create or update the contact in Quentn (Kontakt anlegen oder aktualisieren); it is found by its address."""

    step: Literal["quentn.contact"]
    conn_id: str = "quentn_default"
    fields: dict[str, str] = Field(default_factory=dict, description="Quentn field (name or label) to template")
    notes: str = Field("", description="Template of a text for the notes field (Notizen speichern); empty: none")
    opt_in: Literal["none", "single"] = Field(
        "none",
        description="single: somebody whose e-mail status is not known becomes Bestätigt (Single Opt-in); none: nobody",
    )
    merge: Literal["update_add", "update", "add"] = Field(
        "update_add", description="What becomes of values that the contact has: Quentn's duplicate_merge_method"
    )
    create: bool = Field(
        True, description="false: where the address is not in Quentn, nothing is done (nur vorhandene Kontakte)"
    )

    rendered: ClassVar[tuple[str, ...]] = ("fields", "notes")
    requests: ClassVar[int] = 2


class QuentnTerm(Step):
    """Give the contact a term in Quentn (Begriff vergeben); the contact is created when it is missing."""

    step: Literal["quentn.term"]
    conn_id: str = "quentn_default"
    term: Name
    create: bool = Field(False, description="Create the term when the account does not have it")

    target_writes: ClassVar[bool] = True
    requests: ClassVar[int] = 2


class QuentnUnterm(Step):
    """Remove a term in Quentn (Begriff entfernen)."""

    step: Literal["quentn.unterm"]
    conn_id: str = "quentn_default"
    term: Name

    requests: ClassVar[int] = 2


class QuentnCampaign(Step):
    """Start a campaign in Quentn for the contact (Kampagne starten); a doubtful start is held, never repeated."""

    step: Literal["quentn.campaign"]
    conn_id: str = "quentn_default"
    campaign: int = Field(
        ge=1, le=2_147_483_647, strict=True, description="Number of the campaign; Quentn lists no names (Kampagne)"
    )

    target_writes: ClassVar[bool] = True
    readable: ClassVar[bool] = False
    requests: ClassVar[int] = 2


class OptIn(Step):
    """Ask the person to confirm a consent by a link (Double-Opt-in); the mail is free of advertising."""

    step: Literal["opt_in"]
    conn_id: str = "smtp_default"
    channel: Literal["email"] = Field(
        "email", description="What may be used once it is confirmed (Kanal): an e-mail proves an e-mail address only"
    )
    purpose: Literal["marketing", "survey"] = Field("marketing", description="What is agreed to (Zweck)")
    wording: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=5000)] = Field(
        description="The text that the person agrees to, in full and as it is (Einwilligungstext)"
    )
    template: Name = Field("opt_in", description="Base name of the template")
    language: Literal["contact", "de", "en"] = Field("contact", description="contact: the contact's own language")
    expires_days: int = Field(default=14, ge=1, le=90, strict=True, description="Days that the link works (Gültigkeit)")
    reminder: bool = Field(
        default=False,
        strict=True,
        description="Write only to who was asked for the same before and has not confirmed, and only once (Erinnerung)",
    )

    to_person: ClassVar[bool] = True


AnyStep = Annotated[
    KlickTippContact
    | KlickTippTag
    | KlickTippUntag
    | ActiveCampaignContact
    | ActiveCampaignTag
    | ActiveCampaignUntag
    | ActiveCampaignList
    | Email
    | Survey
    | CallexaRecipient
    | InsightlyNote
    | QuentnContact
    | QuentnTerm
    | QuentnUnterm
    | QuentnCampaign
    | OptIn,
    Field(discriminator="step"),
]
STEPS: dict[str, type[Step]] = {
    get_args(kind.model_fields["step"].annotation)[0]: kind for kind in get_args(get_args(AnyStep)[0])
}
"""By the name that a rule file gives them."""
