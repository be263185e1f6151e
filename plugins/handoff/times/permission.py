"""Whether an effect may go out now: its window, and how late it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from handoff.rules.rule import Rule
from handoff.times.late import HELD, LATE


@dataclass(frozen=True, slots=True)
class Go:
    """It may go out now."""


@dataclass(frozen=True, slots=True)
class Wait:
    """It may go out at ``until`` (UTC), when its window opens; ask again then."""

    until: datetime


@dataclass(frozen=True, slots=True)
class End:
    """It is too late: the effect's state is ``held`` or ``skipped``, with this reason."""

    state: str
    reason: str


Permit = Go | Wait | End


def permit(
    rule: Rule, step_no: int, zone: str, due_at: datetime, now: datetime, *, late_allowed: bool = False
) -> Permit:
    """Decide whether a step may go out.

    A window postpones; lateness counts from the postponed moment. What has missed its window is as
    late as the next one opens, and is ended at once when that will be too late.

    :param step_no: place among the rule's steps, from 0.
    :param zone: IANA name of the recipient's zone, see :func:`handoff.times.timing.recipient_zone`.
    :param due_at: the handoff's moment (aware), like ``now``.
    :param late_allowed: a person said that it may go out however late it is; its window still holds.
    :raises UnknownZone: when a window applies and ``zone`` is no IANA name.
    """
    window = rule.window_of(step_no)
    opens = window.earliest(now, zone) if window else now
    if not late_allowed and rule.late_after.too_late(opens, postponed(rule, step_no, zone, due_at)):
        return End("skipped", LATE) if rule.late_after.then == "skip" else End("held", HELD)
    return Go() if opens <= now else Wait(opens)


def postponed(rule: Rule, step_no: int, zone: str, due_at: datetime) -> datetime:
    """Return the moment (aware) at which a step would go out without any delay.

    Each step waits for its window, and for the steps before it.

    :raises UnknownZone: when a window applies and ``zone`` is no IANA name.
    """
    moment = due_at
    for number in range(step_no + 1):
        if window := rule.window_of(number):
            moment = window.earliest(moment, zone)
    return moment
