"""What should come of a story, worked out from the story alone and without the engine's code."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from chaos.story import Date, Entry, Plan, RuleLine


@dataclass(frozen=True, slots=True)
class Basis:
    """A plan that a batch may have been judged by.

    :param due: the rule's moment. :param until: from then on the source says otherwise (story seconds).
    """

    plan: Plan
    due: float
    until: float


@dataclass(frozen=True, slots=True)
class Person:
    """Everybody with one address in a date's list, however often and however spelled."""

    email: str
    registered: float
    stays: tuple[tuple[float, float], ...]
    poison: bool


def bases(rule: RuleLine, date: Date, early: float = 0.0) -> Iterator[Basis]:
    """Yield the plans that a last look at or after the rule's moment can have found in force.

    :param early: by so many seconds a worker's clock may be ahead.
    """
    changes = [*[plan.since for plan in date.plans[1:]], math.inf]
    for plan, until in zip(date.plans, changes, strict=True):
        due = rule.due(plan)
        if max(due - early, plan.since) < until:
            yield Basis(plan, due, until)


def address(entry: Entry) -> str:
    """Return the one spelling of an entry's address."""
    return entry.email.strip().lower()


def people(date: Date) -> list[Person]:
    """Return who can be written to, in order of registration."""
    found: dict[str, list[Entry]] = {}
    for entry in sorted(date.entries, key=lambda entry: entry.registered):
        if entry.person:
            found.setdefault(address(entry), []).append(entry)
    return [
        Person(
            email,
            min(entry.registered for entry in entries),
            tuple((joined, math.inf if left is None else left) for entry in entries for joined, left in entry.stays),
            any(entry.poison for entry in entries),
        )
        for email, entries in found.items()
    ]  # fmt: skip


def audience(rule: RuleLine, date: Date, basis: Basis) -> list[Person]:
    """Return who belongs to the rule's audience at its moment, in order of registration."""
    return [person for person in people(date) if person.registered <= basis.due and _is(rule, person, basis)]


def _is(rule: RuleLine, person: Person, basis: Basis) -> bool:
    moment, length = basis.due - basis.plan.start, basis.plan.end - basis.plan.start
    online = any(joined <= moment < left for joined, left in person.stays)
    attended = _watched(person, min(moment, length)) * 100 >= length * rule.percent
    return {
        "registered": True, "online": online, "not_online": not online, "attended": attended,
        "not_attended": not attended,
    }[rule.who]  # fmt: skip


def _watched(person: Person, until: float) -> float:
    """Return the seconds from the date's start in which the person was there at all, counted in eighths."""
    slots = range(max(0, round(until * 8)))
    return sum(any(joined <= slot / 8 < left for joined, left in person.stays) for slot in slots) / 8


def listed_by(date: Date, moment: float) -> int:
    """Return how many entries the source listed by a moment, also those that nobody can write to."""
    return sum(entry.registered <= moment for entry in date.entries)
