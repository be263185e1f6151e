"""One rule, as written in its file; its JSON dump validates to the same rule again."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, model_validator
from pydantic_core import PydanticCustomError

from handoff.audience import Judgement
from handoff.occasion import Occasion
from handoff.registration import Registration
from handoff.rules.again import Again
from handoff.rules.steps import AnyStep, OptIn
from handoff.times.late import LateAfter
from handoff.times.timing import Language, When
from handoff.times.windows import Window

Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+([_-][a-z0-9]+)*$", max_length=100)]
Text = Annotated[str, Field(min_length=1, max_length=250)]
Purpose = Literal["service", "survey", "marketing"]
LegalBasis = Literal["consent", "existing_customer"]

_PRESENTATION = {"description", "tags", "owner", "docs"}


class Rule(BaseModel):
    """When something happens, who is handed over, and what is done in which order.

    Each source has its own kind of rule (see :mod:`handoff.rules.kinds`), which says what may be waited
    for and who is meant. Validating this class makes a rule of the kind that ``source`` names.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, title="Handoff rule")

    anchors: ClassVar[tuple[str, ...]] = ()
    """The moments of the source's occasions that ``when`` may count from."""
    tells_details: ClassVar[bool] = False
    """Whether templates may use ``entry``, what the source says of the entry (see :class:`Registration`)."""
    needs_presence: ClassVar[bool] = False
    """Whether the source must have reported up to the moment before anybody can be judged."""
    single_opt_in: ClassVar[bool] = False
    """Whether the source's contacts count as single opt-in, so that advertising needs a double opt-in first."""
    pushes: ClassVar[bool] = False
    """Whether the source's accounts can push, to be polled at once."""

    id: Slug = Field(
        description="Name of the rule for ever: small letters, digits, _ and -; its DAG is named after it",
        examples=["webinar_attended"],
    )
    title: Text = Field(description="Title in the UI (Titel)", examples=["Webinar attended"])
    description: str = Field(default="", description="One sentence for lists (Beschreibung)")
    tags: tuple[Text, ...] = Field(default=(), description="Tags of the DAG in the UI, to filter by (Schlagworte)")
    owner: Text = Field(default="handoffs", description="Who answers for the rule (verantwortlich)")
    docs: str = Field(default="", description="Markdown shown on the DAG's page (Hinweise)")

    source: str = Field(description="The system in which it happens (Quelle)")
    conn_id: Text = Field(description="Airflow connection of the source account")

    when: When = Field(
        description="Moment of the handover (Zeitpunkt): so long before or after the start or end",
        examples=[{"minutes": 1, "after": "end"}],
    )
    late_after: LateAfter = Field(
        default=LateAfter(days=1),
        description="What becomes of what is later than this: then: hold (Standard), send or skip (verspätet)",
        examples=[{"hours": 2, "then": "skip"}],
    )
    # Left out of the spec where they are not used: what was written before they were there stays the same version.
    window: Window | None = Field(
        default=None,
        exclude_if=lambda window: window is None,
        description="When steps that write to a person may go out, in the recipient's time zone (Sendefenster)",
        examples=[{"not_before": "08:00", "not_after": "20:00"}],
    )
    start_early: bool = Field(
        default=False,
        strict=True,
        exclude_if=lambda early: not early,
        description="Start sending so early that everybody is done by the moment; the audience is then judged "
        "at the start (früher beginnen, damit alle bis zum Zeitpunkt durch sind)",
    )
    again: Again = Field(
        default="per_occasion",
        exclude_if=lambda again: again == "per_occasion",
        description="How often the rule hands over the same contact: once per_occasion (Standard), never again, "
        "or again after so many days (erneut)",
        examples=[{"days": 90}],
    )
    purpose: Purpose = Field(
        default="service",
        exclude_if=lambda purpose: purpose == "service",
        description="What its messages are for: service (Standard), survey (Befragung) or marketing (Werbung); "
        "a survey mail is advertising in German law",
    )
    legal_basis: LegalBasis | None = Field(
        default=None,
        exclude_if=lambda basis: basis is None,
        description="Why survey and marketing messages may be sent: consent (Einwilligung) or existing_customer "
        "(Bestandskunde, with objection notice)",
    )

    order: Literal["contact", "strict"] = Field(
        default="contact",
        description="contact: in order for each contact, contacts in parallel (Standard); "
        "strict: everybody one after the other in order of registration (der Reihe nach)",
    )
    order_group: Slug = Field(
        default_factory=lambda known: known.get("id", ""),
        description="Rules with the same group share their lanes; default: the rule's id",
    )
    language: Language = Field(default="de", description="Language for contacts whose own is not known (Sprache)")
    steps: tuple[AnyStep, ...] = Field(
        min_length=1,
        description="What is done, in this order (Schritte)",
        examples=[[{"step": "klicktipp.tag", "tag": "Webinar besucht"}]],
    )

    @model_validator(mode="wrap")
    @classmethod
    def _of_its_kind(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if cls is not Rule or isinstance(data, Rule):
            return handler(data)
        # The kinds are rules, so their modules import this one.
        from handoff.rules.kinds import kind_of

        return kind_of(data).model_validate(data)  # type: ignore[return-value]

    @model_validator(mode="after")
    def _counts_from_an_anchor_of_its_source(self) -> Self:
        if self.when.anchor not in self.anchors:
            what = f"{self.when.anchor} is no moment of the source {self.source}"
            words = {"right": f"count from one of: {', '.join(self.anchors)}", "at": ("when",)}
            raise PydanticCustomError("wrong_anchor", what, words)  # type: ignore[arg-type]
        return self

    @model_validator(mode="after")
    def _may_write(self) -> Self:
        if self.purpose != "service" and self.legal_basis is None:
            what = f"a rule with the purpose {self.purpose} names no legal basis"
            right = "add legal_basis: consent, or existing_customer when the objection notice was given"
            raise PydanticCustomError("no_legal_basis", what, {"right": right, "at": ("purpose",)})  # type: ignore[arg-type]
        asking = next((number for number, step in enumerate(self.steps) if step.asks), None)
        if self.purpose == "service" and asking is not None:
            what = "a survey is advertising in German law (BGH VI ZR 225/17) and cannot be sent as service"
            right = "add purpose: survey and its legal_basis"
            raise PydanticCustomError("survey_as_service", what, {"right": right, "at": ("steps", asking)})
        return self

    @model_validator(mode="after")
    def _asks_for_consent_apart(self) -> Self:
        asking = [number for number, step in enumerate(self.steps) if isinstance(step, OptIn)]
        if asking and self.purpose != "service":
            what = f"an opt_in cannot be sent in a rule with the purpose {self.purpose}: the consent is still to come"
            right = "let a rule of its own with purpose: service ask for it"
            raise PydanticCustomError("opt_in_apart", what, {"right": right, "at": ("steps", asking[0])})
        if asking and asking[0] != len(self.steps) - 1:
            # Who has agreed already is not asked again, and what follows a skipped step is skipped with it.
            what = "nothing can follow an opt_in: nobody waits for the confirmation"
            right = "make it the last step; a rule with source: opt_in begins with the confirmation"
            raise PydanticCustomError("opt_in_last", what, {"right": right, "at": ("steps", asking[0])})
        return self

    @model_validator(mode="after")
    def _has_what_the_window_is_for(self) -> Self:
        if self.window and not any(step.to_person for step in self.steps):
            right = "no step of this rule writes to a person; give the window to the step that it is meant for"
            words = {"right": right, "at": ("window",)}
            raise PydanticCustomError("window_for_nothing", "this window holds nothing back", words)
        return self

    def matches(self, occasion: Occasion) -> bool:
        """Whether the rule waits for such an occasion: its source account, what it selects, and its anchor."""
        return (
            (occasion.source, occasion.account) == (self.source, self.conn_id)
            and self.when.anchor in occasion.anchors
            and self.selects(occasion)
        )

    def due(self, occasion: Occasion) -> datetime:
        """Return the moment (UTC) at which the rule is due for an occasion that it matches."""
        return self.when.due(self.as_counted(occasion).anchors[self.when.anchor], occasion.timezone)

    def as_counted(self, occasion: Occasion) -> Occasion:
        """Return an occasion with the moments that the rule counts from."""
        return occasion

    @abstractmethod
    def selects(self, occasion: Occasion) -> bool:
        """Whether an occasion of the rule's account is one that it waits for."""

    @abstractmethod
    def judge(self, person: Registration, moment: datetime, occasion: Occasion) -> Judgement:
        """Judge whether somebody listed for an occasion is handed over.

        :param moment: aware: what counts is what was so at this moment.
        """

    @abstractmethod
    def audience(self) -> str:
        """Return who is handed over, for people, German terms beside the English."""

    @abstractmethod
    def selection(self) -> tuple[str, str]:
        """Return what the rule waits for, for people: a heading and what is selected."""

    def window_of(self, step_no: int) -> Window | None:
        """Return the window of a step (from 0): its own, else the rule's if it writes to a person."""
        step = self.steps[step_no]
        return step.window or (self.window if step.to_person else None)

    @property
    def spec_hash(self) -> str:
        """64 hex digits that change with anything that changes effects, not with how the rule is presented.

        The title counts, because messages may show it.
        """
        matter = self.model_dump(mode="json", exclude=_PRESENTATION)
        canonical = json.dumps(matter, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()
