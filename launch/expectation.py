"""What must arrive at the targets: from the rule files and from what is true in the sandbox's world."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from handoff.contact import Contact, UnusableAddress, normalise_email
from handoff.delivery.desk import rendered
from handoff.occasion import Occasion
from handoff.planning.planner import FIRST_SEEN_GRACE
from handoff.registration import Registration
from handoff.rules.rule import Rule
from handoff.rules.steps import AnyStep, QuentnContact, QuentnUnterm, Step
from handoff.target import effect_key
from handoff.texts.templates import RuleFacts, variables_of
from launch.occasions import TrueOccasion, moment_of
from launch.traces import NOTES_KEPT, STATUS_SET, Trace, is_sure, traces

TARGETS = frozenset({
    "klicktipp_default",
    "activecampaign_default",
    "quentn_default",
    "smtp_default",
    "insightly_default",
    "callexa_default",
})
"""The connections that lead to the sandbox."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One effect that a rule owes a contact.

    :param occasion: because of which it is owed.
    :param sure: ``False`` where it depends on the account whether there is anything to do, or on when its source is
        read whether it is heard of.
    """

    rule: Rule
    occasion: Occasion
    contact: str
    step: AnyStep
    trace: Trace
    due_at: datetime
    sure: bool = True


def expected(
    rules: Sequence[Rule],
    occasions: Iterable[TrueOccasion],
    customers: frozenset[str] = frozenset(),
    closed: frozenset[str] = frozenset(),
) -> list[Wanted]:
    """Return what is owed to whom, by due moment.

    :param customers: the addresses of those who were told that they may object to surveys.
    :param closed: the addresses with which nothing is done in Quentn.
    """
    wanted = [
        one
        for true in occasions
        for rule in rules
        if (planned := due(rule, true)) is not None
        for person in _audience(rule, true, *planned)
        for one in _effects(rule, *planned, person, true.sure)
        if _allowed(one, customers)
        for one in _open(one, closed)
    ]
    return list(_asked_once(sorted(wanted, key=lambda one: one.due_at)))


def due(rule: Rule, true: TrueOccasion) -> tuple[Occasion, datetime] | None:
    """Return the occasion as it is when the rule is due for it, and that moment; ``None`` when it never is.

    What is long past when it is first seen, or later than the rule allows when it moves, waits for another moment.
    """
    waits = False
    for plan, later in zip(true.plans, [*true.plans[1:], None], strict=True):
        occasion = plan.occasion
        if occasion.cancelled or not rule.matches(occasion):
            return None
        moment = rule.when.due(occasion.anchors[rule.when.anchor], occasion.timezone)
        since = moment_of(plan.since)
        waits = waits or moment >= since - FIRST_SEEN_GRACE
        if not waits or rule.late_after.too_late(since, moment):
            continue
        if later is None or max(moment, since) < moment_of(later.since):
            return occasion, moment
    return None


def _audience(rule: Rule, true: TrueOccasion, occasion: Occasion, moment: datetime) -> Iterator[Registration]:
    """Yield those who belong to the rule's audience, each once and with the one spelling of the address."""
    for email, person in _people(true.registrations(occasion)).items():
        if rule.judge(person, moment, occasion).included:
            yield replace(person, email=email)


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


def _effects(rule: Rule, occasion: Occasion, due_at: datetime, person: Registration, heard: bool) -> Iterator[Wanted]:
    contact = Contact(person.email, person.first_name, person.last_name, person.phone, person.language or "de")
    for number, step in enumerate(rule.steps):
        if step.conn_id not in TARGETS:
            continue
        key = effect_key(rule.id, occasion, contact.key, number)
        for trace in traces(_as_sent(step, rule, occasion, contact, person), key, occasion):
            sure = heard and is_sure(step, trace, occasion)
            yield Wanted(rule, occasion, contact.email, step, trace, due_at, sure)


def _as_sent(step: AnyStep, rule: Rule, occasion: Occasion, contact: Contact, person: Registration) -> Step:
    """Return a step with its texts where it depends on them what it leaves."""
    if not isinstance(step, QuentnContact):
        return step
    variables = variables_of(contact, occasion, RuleFacts(rule.id, rule.title, rule.language))
    return rendered(step, variables | ({"entry": dict(person.details)} if rule.tells_details else {}))


def _open(wanted: Wanted, closed: frozenset[str]) -> Iterator[Wanted]:
    """Yield what is owed unless the contact is closed in Quentn, where only terms are still taken away.

    It may be made there once more if Quentn only remembered the address, as is seen only then.
    """
    if wanted.trace[0] != "quentn" or wanted.contact not in closed or isinstance(wanted.step, QuentnUnterm):
        yield wanted
    elif isinstance(wanted.step, QuentnContact) and wanted.trace not in {NOTES_KEPT, STATUS_SET}:
        yield replace(wanted, sure=False)


def _allowed(wanted: Wanted, customers: frozenset[str]) -> bool:
    """Whether the person may be written to: nobody in this world has agreed to anything."""
    if wanted.rule.purpose == "service" or not wanted.step.to_person:
        return True
    return wanted.rule.legal_basis == "existing_customer" and wanted.contact in customers


def _asked_once(wanted: Iterable[Wanted]) -> Iterator[Wanted]:
    """Yield what is left when nobody is asked the same twice within weeks; a run takes minutes."""
    asked = set[tuple[str, str]]()
    for one in wanted:
        question = one.contact, str(getattr(one.step, "survey", ""))
        if getattr(one.step, "at_least_weeks_apart", 0):
            if question in asked:
                continue
            asked.add(question)
        yield one
