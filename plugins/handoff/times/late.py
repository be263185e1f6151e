"""How late is too late, and what becomes of it then."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from handoff.times.timing import Language, Span

Then = Literal["hold", "send", "skip"]

LATE = "late"
"""Reason of what is skipped because it is late."""
HELD = "later than the rule's late_after; a person decides"

_WORDS = {
    "hold": {"de": "wartet auf eine Entscheidung", "en": "waits for a person's decision"},
    "send": {"de": "geht trotzdem hinaus", "en": "goes out all the same"},
    "skip": {"de": "entf\u00e4llt", "en": "is left out"},
}
_AFTER = {"de": "sp\u00e4ter als", "en": "later than"}
_AT_ONCE = {"de": "der Zeitpunkt", "en": "the moment"}


class LateAfter(Span):
    """A grace after the moment, and what becomes of what is later: ``{hours: 2, then: skip}``."""

    model_config = ConfigDict(json_schema_extra={})

    # Left out where it is not said, so that a rule written before it could be said stays the same version.
    then: Then = Field(
        default="hold",
        exclude_if=lambda then: then == "hold",
        description="hold: waits for a person's decision (Standard); send: goes out all the same; "
        "skip: is left out (entf\u00e4llt)",
    )

    @model_validator(mode="after")
    def _leaves_time(self) -> LateAfter:
        # Nothing goes out at the very instant of its moment, so without any grace nothing ever would.
        if self.then != "send" and not self.elapsed:
            right = "at least {minutes: 1}; leave late_after out for one day"
            raise PydanticCustomError("no_grace", "with no time at all everything would be late", {"right": right})
        return self

    def too_late(self, moment: datetime, meant_for: datetime) -> bool:
        """Tell whether ``moment`` is past the grace of what was meant for another moment; both aware.

        Never when late ones go out all the same.
        """
        return self.then != "send" and moment > meant_for + self.elapsed

    def describe(self, language: Language = "en") -> str:
        """Return the sentence for people: ``"later than 2 hours: is left out"``."""
        length = self.in_words(language) or _AT_ONCE[language]
        return f"{_AFTER[language]} {length}: {_WORDS[self.then][language]}"
