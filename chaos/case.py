"""What stories are judged by: one rule and one date at a time, and what was found broken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chaos.oracle import Basis, Person
from chaos.story import Date, RuleLine
from chaos.world import tag_of

CRASHED = "an error that nobody planned for"


@dataclass(frozen=True, slots=True, order=True)
class Broken:
    """A promise that was not kept: its number in the design, and what was found."""

    promise: int
    words: str


@dataclass(frozen=True, slots=True)
class Case:
    """One rule and one date of a story, with the batch of one round and the plan it was judged by.

    :param people: who is to be handed over; of a batch that is not ``whole``, those who were judged in time.
    """

    rule: RuleLine
    date: Date
    batch: dict[str, Any]
    basis: Basis
    people: tuple[Person, ...]

    @property
    def whole(self) -> bool:
        """Whether everybody was judged; else it was cancelled or moved when a part of them had been."""
        return bool(self.batch["state"] == "judged")

    @property
    def name(self) -> str:
        """The case for people."""
        return f"{self.rule.id} at {self.date.id}"

    def tag(self, step_no: int) -> str:
        """Return the tag of a step, in the version of the rule that the batch was judged by."""
        return tag_of(self.rule, step_no, anew=self.batch["anew"])
