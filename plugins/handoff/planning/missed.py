"""What is heard of when its moment is long past: history, or news that was late."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.ledger import notices, rule_versions
from handoff.occasion import Occasion
from handoff.rules.rule import Rule

LOOK_BACK = timedelta(days=30)
"""Moments older than this are not made up for, nor compared any more."""
HAPPENINGS = ("closed", "booked", "modified", "deleted")
"""Anchors that say when something came about, whenever it was heard of. (Not ``answered``: how long an answer that a
vendor tells late is news is decided where it is recorded.)"""


@dataclass(frozen=True, slots=True)
class Missed:
    """Why a batch whose moment is long past is not started.

    :param reason: as the ledger has it. :param doubtful: somebody may be owed something, so the team is told.
    """

    reason: str
    doubtful: bool


FIRST_SEEN = Missed(reason="past_when_first_seen", doubtful=False)
"""The rule was not at work at the moment, or the occasion was only made up after it."""
HEARD_TOO_LATE = Missed(reason="heard_too_late", doubtful=True)
"""The rule was at work, and who is to say that the occasion was not there?"""


async def why_missed(
    connection: AsyncConnection, rule: Rule, occasion: Occasion, due_at: datetime, heard: bool
) -> Missed | None:
    """Return why a batch whose moment is long past is not started; ``None`` when ``late_after`` decides about it.

    That is so when rule and occasion were there in time and only the news of it was late.

    :param due_at: the moment (aware). :param heard: see :func:`handoff.planning.planner.plan`.
    """
    then = await rule_versions.at_work(connection, rule.id, due_at)
    if then is None or not then.matches(occasion):
        return FIRST_SEEN
    since = came_about(rule.as_counted(occasion))
    if since is not None and since > due_at:
        # A reminder of what was made up at short notice was never due; any other date was changed after its moment.
        return FIRST_SEEN if rule.when.before else HEARD_TOO_LATE
    in_time = heard and since is not None and due_at > datetime.now(UTC) - LOOK_BACK
    return None if in_time else HEARD_TOO_LATE


def came_about(occasion: Occasion) -> datetime | None:
    """Return since when an occasion is as it is (aware), ``None`` when its source does not say."""
    happened = [occasion.anchors[name] for name in HAPPENINGS if name in occasion.anchors]
    if happened:
        return happened[0]
    return datetime.fromtimestamp(occasion.changed, UTC) if occasion.changed else None


async def tell(connection: AsyncConnection, rule: Rule, occasion: Occasion) -> None:
    """Note for the team that nobody is handed over for an occasion that was heard of too late."""
    words = (
        f"rule {rule.id}: nobody is handed over for what was heard of too long after its moment, lately "
        f"{occasion.title}. If somebody should be: handoff add-recipient {rule.id}. See: handoff certificate "
        f"{occasion.key}"
    )
    await notices.notice(connection, f"missed/rule:{rule.id}", "missed", words)
