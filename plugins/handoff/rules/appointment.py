"""A rule that waits for appointments (Termine): booked, changed, deleted, or about to begin (source: eTermin)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from handoff.appointment import ANNOUNCED, CONFIRMATION, confirmed_at, event_of, is_unconfirmed
from handoff.audience import Judgement, listed
from handoff.occasion import Occasion
from handoff.registration import Registration
from handoff.rules.rule import Rule, Text
from handoff.spellings import folded

EVENT_OF = {"booked": "created", "start": "created", "end": "created", "modified": "modified", "deleted": "deleted"}
"""Which occasions an anchor is of: start and end stand on all of them, to be shown."""


class AppointmentRule(Rule):
    """The customer of an appointment is handed over when it was booked, changed or deleted, or before and after it."""

    anchors: ClassVar[tuple[str, ...]] = ("booked", "modified", "deleted", "start", "end")
    tells_details: ClassVar[bool] = True
    single_opt_in: ClassVar[bool] = True
    pushes: ClassVar[bool] = True

    source: Literal["etermin"] = Field(default="etermin", description="The system in which it happens (Quelle)")
    conn_id: Text = Field(default="etermin_default", description="Airflow connection of the source account")
    calendars: tuple[Text, ...] = Field(
        default=(),
        description="Names or ids of calendars (Kalender); empty: all, also those created later (auch zukünftige)",
    )
    newsletter_only: bool = Field(
        default=False,
        strict=True,
        description="Only those who ticked the newsletter box at the booking (Newsletter-Checkbox)",
    )
    confirmed_only: bool = Field(
        default=False,
        strict=True,
        exclude_if=lambda only: not only,
        description="Only once the provider has confirmed the appointment, if he has to (erst wenn bestätigt); "
        "booked then counts from the confirmation",
    )

    def selects(self, occasion: Occasion) -> bool:
        """Whether it is what happened to an appointment, in one of the calendars, that the rule waits for.

        Its facts are ``event``, ``calendar`` (id) and ``calendar_name``. One that was only announced, without a word
        of what the rule asks for, is waited for as soon as it is read; with ``confirmed_only`` one that is not
        confirmed as soon as it is. What happens to it until then, and that it is confirmed, is no change to the rule.
        """
        if ANNOUNCED in occasion.facts and not self._asks_for <= occasion.facts.keys():
            return False
        if self.confirmed_only and (is_unconfirmed(occasion) or CONFIRMATION in occasion.facts):
            return False
        named = {folded(str(occasion.facts.get(name) or "")) for name in ("calendar", "calendar_name")} - {""}
        return event_of(occasion) == EVENT_OF[self.when.anchor] and (
            not self.calendars or not named.isdisjoint(map(folded, self.calendars))
        )

    @property
    def _asks_for(self) -> set[str]:
        asked = {"newsletter": self.newsletter_only, "confirmed": self.confirmed_only}
        return {fact for fact, only in asked.items() if only}

    def as_counted(self, occasion: Occasion) -> Occasion:
        """Return an appointment that had to be confirmed as if it had been booked then, with ``confirmed_only``."""
        since = confirmed_at(occasion) if self.confirmed_only else None
        if since is None or "booked" not in occasion.anchors:
            return occasion
        return replace(occasion, anchors=occasion.anchors | {"booked": max(since, occasion.anchors["booked"])})

    def judge(self, person: Registration, moment: datetime, occasion: Occasion) -> Judgement:
        """The customer is meant; with ``newsletter_only`` only one who ticked the box."""
        found = listed("customer", moment, occasion)
        if not self.newsletter_only:
            return found
        ticked = occasion.facts.get("newsletter") is True
        return Judgement(ticked, "customer" if ticked else "no_newsletter", found.facts | {"newsletter": ticked})

    def audience(self) -> str:
        """Return who is handed over."""
        only = ", if the newsletter box is ticked" if self.newsletter_only else ""
        return "the customer (Kunde)" + only + (", once it is confirmed (bestätigt)" if self.confirmed_only else "")

    def selection(self) -> tuple[str, str]:
        """Return the calendars."""
        return "Calendars (Kalender)", ", ".join(self.calendars) or "all, also future ones (alle)"
