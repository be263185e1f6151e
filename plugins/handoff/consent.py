"""Whether somebody may be written to: decided from what they said and were told, at the moment of sending.

Rules with the purpose ``service`` need none of this. For ``survey`` and ``marketing`` a rule names its
legal basis (section 7 UWG; what it rests on: email_and_consent, 8.2 to 8.4): a consent for this channel and
purpose, or an existing customer who was told at the collection of the address that they may object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from handoff.rules.rule import Rule
from handoff.rules.steps import Step

Channel = Literal["email", "sms", "phone"]
Purpose = Literal["survey", "marketing"]
What = Literal["granted", "confirmed", "withdrawn", "objected", "used", "notice_given"]
Reason = Literal[
    "unsubscribed", "objection", "hard_bounce", "complaint", "stop", "provider_blocked", "erased", "by_person"
]

CHANNELS, PURPOSES, REASONS = get_args(Channel), get_args(Purpose), get_args(Reason)
ALL = "all"
"""Suppressed for every channel."""
SAID = ("granted", "confirmed", "withdrawn", "objected")
"""What a person says; the latest counts. ``confirmed`` is a double opt-in's second half."""
SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a message is for, by which channel and to what purpose."""

    contact_key: str
    channel: str
    purpose: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What the ledger knows of a subject.

    :param suppressed: reasons of the suppressions that hold for the channel.
    :param said: what the person said last, one of ``SAID``, though no ``granted`` takes the place of a ``confirmed``
        that stands; ``None`` when nothing is known.
    :param notice_given: whether the person was told, when the address was collected, that they may object.
    :param wording: hash of the wording that was agreed to or told, empty when there is none.
    """

    suppressed: frozenset[str] = frozenset()
    said: str | None = None
    notice_given: bool = False
    wording: str = ""


def subject_of(rule: Rule, step: Step, contact_key: str) -> Subject | None:
    """Return what a step of a rule needs a legal ground for; ``None`` when it writes to nobody, or as service."""
    if rule.purpose == SERVICE or not (step.to_person or step.target_writes):
        return None
    return Subject(contact_key, channel_of(step), rule.purpose)


def confirmed_only(rule: Rule, purpose: str) -> bool:
    """Whether nothing but a double opt-in counts as a consent of the rule's contacts."""
    return rule.single_opt_in and purpose == "marketing"


def refusal(legal_basis: str | None, standing: Standing, *, confirmed: bool = False) -> str | None:
    """Return why nothing may be sent, as a reason of :mod:`handoff.reasons`; ``None`` when it may.

    :param legal_basis: the rule's: ``consent`` or ``existing_customer``; without one nothing may be sent.
    :param confirmed: a consent has to be confirmed by a double opt-in.
    """
    if standing.suppressed:
        return "unsubscribed" if "unsubscribed" in standing.suppressed else "suppressed"
    if standing.said == "withdrawn":
        return "consent_withdrawn"
    if standing.said == "objected":
        return "objected"
    if legal_basis == "existing_customer":
        return None if standing.notice_given else "no_objection_notice"
    if legal_basis != "consent" or standing.said is None:
        return "no_consent"
    return "not_confirmed" if confirmed and standing.said == "granted" else None


def channel_of(step: Step) -> Channel:
    """Return by which channel a step, or its target because of it, reaches the person."""
    channels: dict[str, Channel] = {"sms": "sms", "call": "phone"}
    return channels.get(step.step.partition(".")[0], "email")
