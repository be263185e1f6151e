"""What must arrive at the targets: from the rule files and from what is true in the sandbox's world."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from handoff.contact import Contact, UnusableAddress, normalise_email
from handoff.delivery.desk import effect_key
from handoff.occasion import Occasion
from handoff.planner import FIRST_SEEN_GRACE
from handoff.registration import Registration
from handoff.rule import Rule
from handoff.steps import (
    ActiveCampaignContact,
    ActiveCampaignList,
    ActiveCampaignTag,
    ActiveCampaignUntag,
    AnyStep,
    Email,
    KlickTippContact,
    KlickTippTag,
    KlickTippUntag,
)
from launch.world import TrueDate

TARGETS = frozenset({"klicktipp_default", "activecampaign_default", "smtp_default"})
"""The connections that lead to the sandbox."""

Trace = tuple[str, str, str]
"""How an effect shows in the sandbox's journal: system, action, and what: tag, list, or a mail's effect key."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One effect that a rule owes a contact.

    :param sure: ``False`` where it depends on the account whether there is anything to do.
    """

    rule: Rule
    contact: str
    step: AnyStep
    trace: Trace
    due_at: datetime
    sure: bool = True


def expected(rules: Sequence[Rule], dates: Iterable[TrueDate]) -> list[Wanted]:
    """Return what is owed to whom, by due moment."""
    wanted = [
        one
        for date in dates
        for rule in rules
        if (planned := due(rule, date)) is not None
        for contact, due_at in _audience(rule, date, *planned)
        for one in _effects(rule, planned[0], contact, due_at)
    ]
    return sorted(wanted, key=lambda one: one.due_at)


def due(rule: Rule, date: TrueDate) -> tuple[Occasion, datetime] | None:
    """Return the date as it is when the rule is due for it, and that moment; ``None`` when it never is."""
    first_seen = _moment(date.plans[0].since)
    for plan, later in zip(date.plans, [*date.plans[1:], None], strict=True):
        occasion = plan.occasion
        if occasion.cancelled or not rule.matches(occasion):
            return None
        moment = rule.when.due(occasion.anchors[rule.when.anchor], occasion.timezone)
        if plan is date.plans[0] and moment < first_seen - FIRST_SEEN_GRACE:
            return None
        if later is None or max(moment, _moment(plan.since)) < _moment(later.since):
            return occasion, moment
    return None


def _audience(rule: Rule, date: TrueDate, occasion: Occasion, moment: datetime) -> Iterator[tuple[str, datetime]]:
    """Yield the addresses of those who belong to the rule's audience, each once."""
    for email, person in _people(date.registrations(occasion)).items():
        if rule.judge(person, moment, occasion).included:
            yield email, moment


def _people(registrations: Iterable[Registration]) -> dict[str, Registration]:
    """Return everybody with a usable address once, with all their stays."""
    people: dict[str, Registration] = {}
    for one in registrations:
        try:
            email = normalise_email(one.email)
        except UnusableAddress:
            continue
        known = people.get(email)
        people[email] = replace(known, presence=known.presence + one.presence) if known else one
    return people


def _effects(rule: Rule, occasion: Occasion, contact: str, due_at: datetime) -> Iterator[Wanted]:
    for number, step in enumerate(rule.steps):
        if step.conn_id not in TARGETS:
            continue
        sure = not isinstance(step, KlickTippUntag | ActiveCampaignUntag | ActiveCampaignList)
        key = effect_key(rule.id, occasion, Contact(contact).key, number)
        for trace in _traces(step, key):
            yield Wanted(rule, contact, step, trace, due_at, sure)


def _traces(step: AnyStep, key: str) -> Iterator[Trace]:
    match step:
        case KlickTippContact():
            yield "klicktipp", "contact", ""
            if step.tag:
                yield "klicktipp", "tag", step.tag
        case KlickTippTag():
            yield "klicktipp", "tag", step.tag
        case KlickTippUntag():
            yield "klicktipp", "untag", step.tag
        case ActiveCampaignContact():
            yield "activecampaign", "contact", ""
        case ActiveCampaignTag():
            yield "activecampaign", "tag", step.tag
        case ActiveCampaignUntag():
            yield "activecampaign", "untag", step.tag
        case ActiveCampaignList():
            yield "activecampaign", "list", step.list
        case Email():
            yield "email", "mail", key


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
