"""The state of one Callexa account: surveys, their queues, and the answers (contract: callexa.md 5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from sandbox.addresses import normal_address
from sandbox.clock import Clock
from sandbox.effects import Effects

WEEK = 7 * 86400
Rating = int | str


@dataclass(frozen=True, slots=True)
class Reply:
    """What somebody answers ``after`` so many seconds."""

    email: str
    after: float
    rating: Rating
    comment: str


@dataclass(slots=True)
class Recipient:
    """One entry of a queue; moments are unix seconds.

    :param send_at: when it is sent; ``None`` when it was skipped.
    """

    id: str
    email: str
    name: str
    salutation: str
    external_id: str | None
    queued_at: float
    send_at: float | None

    def state(self, now: float) -> str:
        """Return ``queued``, ``sent`` or ``skipped``."""
        if self.send_at is None:
            return "skipped"
        return "sent" if self.send_at <= now else "queued"


@dataclass(slots=True)
class Answer:
    """The newest answer of a recipient."""

    id: str
    recipient: Recipient
    rating: Rating
    comment: str
    at: float


@dataclass(slots=True)
class Survey:
    """One survey; ``min_distance`` in seconds, ``replies`` by address."""

    id: str
    name: str
    min_distance: float
    replies: dict[str, Reply] = field(default_factory=dict)
    recipients: dict[str, Recipient] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)

    def of(self, email: str) -> list[Recipient]:
        """Return the entries of an address, oldest first."""
        return [one for one in self.recipients.values() if one.email == email]


class CallexaAccount:
    """Surveys by id; what is queued or skipped is written to the effects."""

    def __init__(self, effects: Effects, clock: Clock) -> None:
        self._effects = effects
        self._clock = clock
        self._recipient_ids = count(1)
        self._answer_ids = count(1)
        self._ahead = 0.0
        self.surveys: dict[str, Survey] = {}

    def now(self) -> float:
        """Return the present moment of this account."""
        return self._clock.now() + self._ahead

    def advance(self, seconds: float) -> None:
        """Let time pass for this account alone."""
        self._ahead += seconds

    def ask(self, survey: Survey, email: str, name: str, salutation: str, delay: float,
            external_id: str | None, max_delay_days: int = 0) -> Recipient:  # fmt: skip
        """Queue an address, or skip it when it was asked within the survey's minimum distance.

        :param delay: seconds until the survey is sent. :param max_delay_days: only shown with the effect, since here
            nothing is sent later than that.
        """
        now, address = self.now(), normal_address(email)
        send_at = now + delay
        asked = (one.send_at for one in survey.of(address) if one.send_at is not None)
        recently = any(moment > now or send_at - moment < survey.min_distance for moment in asked)
        one = Recipient(f"r{next(self._recipient_ids)}", address, name, salutation, external_id, now,
                        None if recently else send_at)  # fmt: skip
        survey.recipients[one.id] = one
        self._effects.record(
            "callexa", "skip" if recently else "recipient", address, survey=survey.id, id=one.id, name=name,
            salutation=salutation, external_id=external_id, delay_days=delay / 86400, max_delay_days=max_delay_days,
        )  # fmt: skip
        return one

    def answer(self, survey: Survey, recipient: Recipient, rating: Rating, comment: str,
               at: float | None = None) -> Answer:  # fmt: skip
        """Keep what a recipient answers; another answer takes the first one's place."""
        known, moment = survey.answers.get(recipient.id), self.now() if at is None else at
        number = known.id if known else f"a{next(self._answer_ids)}"
        survey.answers[recipient.id] = one = Answer(number, recipient, rating, comment, moment)
        return one

    def answers(self, survey: Survey) -> list[Answer]:
        """Return all answers in order of their moments, those that came by themselves among them."""
        for recipient, reply, at in self._replies(survey):
            if recipient.id not in survey.answers:
                self.answer(survey, recipient, reply.rating, reply.comment, at)
        return sorted(survey.answers.values(), key=lambda one: (int(one.at), one.recipient.queued_at, one.id))

    def _replies(self, survey: Survey) -> Iterator[tuple[Recipient, Reply, float]]:
        for recipient in survey.recipients.values():
            reply = survey.replies.get(recipient.email)
            if reply is not None and recipient.send_at is not None and recipient.send_at + reply.after <= self.now():
                yield recipient, reply, recipient.send_at + reply.after


def moment_text(moment: float) -> str:
    """Return e.g. ``2026-03-02T14:22:05Z``."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def recipient_object(one: Recipient, now: float) -> dict[str, Any]:
    """Return an entry of a queue."""
    state = one.state(now)
    shown: dict[str, Any] = {"id": one.id, "email": one.email, "name": one.name, "salutation": one.salutation}
    if one.external_id is not None:
        shown["external_id"] = one.external_id
    shown["state"] = state
    if one.send_at is None:
        return {**shown, "reason": "asked_recently"}
    return {**shown, "send_at": moment_text(one.send_at)}


def answer_object(one: Answer) -> dict[str, Any]:
    """Return an answer under Callexa's own three names; ``NPS_comment`` is empty when there is none."""
    shown: dict[str, Any] = {
        "id": one.id, "email": one.recipient.email, "NPS_rating": one.rating, "NPS_comment": one.comment,
        "NPS_date": moment_text(one.at),
    }  # fmt: skip
    if one.recipient.external_id is not None:
        shown["external_id"] = one.recipient.external_id
    return shown
