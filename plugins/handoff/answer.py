"""An answer to a survey: a rating from 0 to 10 with a comment, and what ratings add up to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from handoff.errors import HandoffError

RATINGS = range(11)
LONGEST_COMMENT = 10_000
"""Characters; a line break counts as one."""
PROMOTERS_FROM, PASSIVES_FROM = 9, 7
SOURCE = ACCOUNT = "survey"
"""Source and account of the occasions that answers are."""
OWN = "own"
"""Asked by a mail of this project, whoever else may ask."""


class UnusableAnswer(HandoffError):
    """A rating is no whole number from 0 to 10."""


class Content(NamedTuple):
    """What somebody answered, for the messages and notes that tell it on."""

    rating: int
    comment: str


TRIED = Content(10, "Test")
"""The answer that a rule of answers is tried with by hand."""


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """An answer as it arrives.

    :param survey: the survey's name. :param rating: 0 to 10.
    :param ref: what the source knows this answer by, the same when it is changed; free of contact data.
    :param answered_at: aware.
    :param via: :data:`OWN`, or the vendor that asked, e.g. ``"callexa"``.
    :param contact_id: the person's row in the ledger, ``None`` for somebody it does not know.
    :param effect_id: the effect that asked, ``None`` when none did.
    :param rule_id: the rule that asked, empty when none did.
    :param occasion_id: the occasion because of which was asked.
    """

    survey: str
    rating: int
    ref: str
    answered_at: datetime
    comment: str = ""
    via: str = OWN
    contact_id: int | None = None
    effect_id: int | None = None
    rule_id: str = ""
    occasion_id: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The newest version of an answer.

    :param version: from 1, one more with every change of rating or comment.
    """

    id: int
    survey: str
    via: str
    rating: int
    comment: str
    answered_at: datetime
    version: int
    contact_id: int | None
    occasion_id: int | None

    @property
    def key(self) -> str:
        """The key of this version's occasion."""
        return f"{self.id}/{self.version}"


@dataclass(frozen=True, slots=True)
class Figures:
    """How a survey did: how many were asked, and the newest version of each answer."""

    asked: int = 0
    promoters: int = 0
    passives: int = 0
    detractors: int = 0

    @property
    def answered(self) -> int:
        """How many answers there are."""
        return self.promoters + self.passives + self.detractors

    @property
    def nps(self) -> int | None:
        """Share of promoters less share of detractors in percent, -100 to 100; ``None`` without answers.

        Whole, halves rounded away from zero.
        """
        if not self.answered:
            return None
        balance = self.promoters - self.detractors
        size = (200 * abs(balance) + self.answered) // (2 * self.answered)
        return size if balance >= 0 else -size

    @property
    def response_rate(self) -> float | None:
        """Answers for each person asked; ``None`` when nobody was asked.

        More than 1 where answers fall into another period than their mails.
        """
        return self.answered / self.asked if self.asked else None


def figures(asked: int, ratings: Mapping[int, int]) -> Figures:
    """Count promoters (9 and 10), passives (7 and 8) and detractors (0 to 6).

    :param ratings: how often each rating was given.
    """
    kinds = {"promoters": 0, "passives": 0, "detractors": 0}
    for rating, count in ratings.items():
        kinds[kind_of(rating)] += count
    return Figures(asked, **kinds)


def kind_of(rating: int) -> str:
    """Return ``promoters``, ``passives`` or ``detractors``.

    :raises UnusableAnswer: when the rating is not from 0 to 10.
    """
    if rating not in RATINGS:
        raise UnusableAnswer("a rating is a whole number from 0 to 10")
    if rating >= PROMOTERS_FROM:
        return "promoters"
    return "passives" if rating >= PASSIVES_FROM else "detractors"


def rating_of(text: str) -> int:
    """Read a rating as somebody wrote it.

    :raises UnusableAnswer: when it is no whole number from 0 to 10.
    """
    if not re.fullmatch("[0-9]|10", text.strip()):
        raise UnusableAnswer("a rating is a whole number from 0 to 10")
    return int(text)
