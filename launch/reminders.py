"""What became of the reminders of appointments, and of what follows them: they move and die with the appointment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from handoff.rules.rule import Rule
from launch.appointments import SOURCE
from launch.expectation import due
from launch.occasions import TrueOccasion, moment_of

AROUND = frozenset({"start", "end"})


@dataclass(frozen=True, slots=True)
class Reminder:
    """What one rule does around one appointment.

    :param key: the appointment's. :param contact: the address as it was given.
    :param news: what happened (``booked``, ``moved``, ``cancelled``) and when, in this world's time.
    :param first_due_at: as the appointment was heard of first. :param due_at: ``None`` when nothing is to go out.
    """

    rule: Rule
    key: str
    title: str
    contact: str
    news: tuple[tuple[str, datetime], ...]
    first_due_at: datetime
    due_at: datetime | None


def reminders(rules: Iterable[Rule], occasions: Iterable[TrueOccasion]) -> Iterator[Reminder]:
    """Yield what rules do before or after appointments, by appointment."""
    timed = [rule for rule in rules if rule.source == SOURCE and rule.when.anchor in AROUND]
    for true in occasions:
        first = true.plans[0].occasion
        for rule in timed:
            if not rule.matches(first):
                continue
            planned = due(rule, true)
            yield Reminder(
                rule, first.key, first.title, true.registrations(first)[0].email, tuple(_news(true)),
                rule.when.due(first.anchors[rule.when.anchor], first.timezone), planned[1] if planned else None,
            )  # fmt: skip


def _news(true: TrueOccasion) -> Iterator[tuple[str, datetime]]:
    booked = true.plans[0].occasion.anchors["booked"]
    if booked.timestamp() >= true.plans[0].since:
        yield "booked", booked
    for plan in true.plans[1:]:
        yield "cancelled" if plan.occasion.cancelled else "moved", moment_of(plan.since)
