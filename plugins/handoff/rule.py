"""One rule, as written in its file; its JSON dump validates to the same rule again."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from handoff.audience import DEFAULT_ATTENDED_FROM_PERCENT, Audience
from handoff.occasion import Occasion
from handoff.steps import AnyStep
from handoff.timing import Language, Span, When

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
    late_after: Span = Field(
        default=Span(days=1), description="What is later than this waits for a person's decision (verspätet)"
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

    def matches(self, occasion: Occasion) -> bool:
        """Whether the rule waits for such an occasion: its source account, webinar and anchor."""
        return (
            (occasion.source, occasion.account) == (self.source, self.conn_id)
            and (not self.webinars or occasion.series in self.webinars)
            and self.when.anchor in occasion.anchors
        )

    @property
    def spec_hash(self) -> str:
        """64 hex digits that change with anything that changes effects, not with how the rule is presented.

        The title counts, because messages may show it.
        """
        matter = self.model_dump(mode="json", exclude=_PRESENTATION)
        canonical = json.dumps(matter, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()
