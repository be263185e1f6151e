"""One rule, as written in its file; its JSON dump validates to the same rule again."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from handoff.again import Again
from handoff.audience import DEFAULT_ATTENDED_FROM_PERCENT, Audience
from handoff.late import LateAfter
from handoff.occasion import Occasion
from handoff.steps import AnyStep
from handoff.timing import Language, When
from handoff.windows import Window

Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+([_-][a-z0-9]+)*$", max_length=100)]
Text = Annotated[str, Field(min_length=1, max_length=250)]

_PRESENTATION = {"description", "tags", "owner", "docs"}


class Rule(BaseModel):
    """When something happens, who is handed over, and what is done in which order."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Handoff rule")

    id: Slug = Field(
        description="Name of the rule for ever: small letters, digits, _ and -; its DAG is named after it",
        examples=["webinar_attended"],
    )
    title: Text = Field(description="Title in the UI (Titel)", examples=["Webinar attended"])
    description: str = Field(default="", description="One sentence for lists (Beschreibung)")
    tags: tuple[Text, ...] = Field(default=(), description="Tags of the DAG in the UI, to filter by (Schlagworte)")
    owner: Text = Field(default="handoffs", description="Who answers for the rule (verantwortlich)")
    docs: str = Field(default="", description="Markdown shown on the DAG's page (Hinweise)")

    source: Literal["webinaris"] = Field(default="webinaris", description="The system in which it happens (Quelle)")
    conn_id: Text = Field(default="webinaris_default", description="Airflow connection of the source account")
    webinars: tuple[Text, ...] = Field(default=(), description="Webinar ids; empty: all webinars, also future ones")

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
    who: Audience = Field(
        description="Who is handed over (für wen)",
        examples=["attended"],
        json_schema_extra={"enumDescriptions": [audience.label("de") for audience in Audience]},
    )
    attended_from_percent: int = Field(
        default=DEFAULT_ATTENDED_FROM_PERCENT,
        ge=1,
        le=100,
        strict=True,
        description="Share of the webinar from which on somebody counts as attended (Teilnehmer ab ... %)",
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

    @model_validator(mode="after")
    def _has_what_the_window_is_for(self) -> Self:
        if self.window and not any(step.to_person for step in self.steps):
            right = "no step of this rule writes to a person; give the window to the step that it is meant for"
            words = {"right": right, "at": ("window",)}
            raise PydanticCustomError("window_for_nothing", "this window holds nothing back", words)
        return self

    def matches(self, occasion: Occasion) -> bool:
        """Whether the rule waits for such an occasion: its source account, webinar and anchor."""
        return (
            (occasion.source, occasion.account) == (self.source, self.conn_id)
            and (not self.webinars or occasion.series in self.webinars)
            and self.when.anchor in occasion.anchors
        )

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
