"""A rule that waits for one occasion in rounds, and the time that passes until each of them comes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.occasion import Occasion
from handoff.planning.planner import Planned, record
from handoff.rules.rule import Rule
from tests.support.delivery import desk_of, judge_due, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.rows import change, rows
from tests.support.targets import MemoryTarget

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = datetime.now(UTC).replace(microsecond=0)
SOON = NOW + timedelta(minutes=50)
"""A start that is to be reminded of an hour ahead, which was ten minutes ago."""
LATER, LAST = SOON + 3 * DAY, SOON + 5 * DAY
ROUNDS = "SELECT round, state, reason, due_at, rule_version FROM handoff.batches ORDER BY round"


def reminder(**more: Any) -> Rule:
    """Return a rule that reminds of a start an hour ahead."""
    return a_rule(id="reminder", **({"when": {"hours": 1, "before": "start"}} | more))


def at(start: datetime, changed: float, **more: Any) -> Occasion:
    """Return the occasion with this start, as of the report of that number."""
    return an_occasion(start=start, changed=changed, **more)


class World:
    """A rule, its one occasion with some people, and a target. :ivar changed: of the last report."""

    def __init__(self, ledger: AsyncEngine, rule: Rule, people: int = 1) -> None:
        self.ledger, self.rule, self.changed = ledger, rule, 0.0
        self.source = FixedSource(None, some_registrations(people, before=NOW - 10 * DAY))
        self.target = MemoryTarget()

    def next(self, start: datetime, **more: Any) -> Occasion:
        """Return the occasion as it is from now on."""
        self.changed += 1.0
        return at(start, self.changed, **more)

    async def told(self, start: datetime, *, rules: Sequence[Rule] | None = None, **more: Any) -> Planned:
        """Let the source report the occasion."""
        self.source.now = self.next(start, **more)
        return await record(self.ledger, [self.source.now], [self.rule] if rules is None else rules)

    async def judged(self) -> list[str]:
        """Judge what is due."""
        return await judge_due(self.ledger, self.rule, self.source)

    async def comes(self) -> None:
        """Let the waiting round's moment come: time passes in the ledger and at the source."""
        [(due,)] = await rows(self.ledger, "SELECT due_at FROM handoff.batches WHERE state = 'waiting'")
        passed = due - NOW + timedelta(minutes=10)
        await change(
            self.ledger,
            "UPDATE handoff.batches SET due_at = due_at - CAST(:passed AS interval),"
            " wake_at = wake_at - CAST(:passed AS interval)",
            passed=passed,
        )
        assert self.source.now is not None
        self.source.now = at(self.source.now.anchors["start"] - passed, self.changed)
        moments = ", ".join(f"'{name}', '{at.isoformat()}'" for name, at in self.source.now.anchors.items())
        await change(self.ledger, f"UPDATE handoff.occasions SET anchors = jsonb_build_object({moments})")
        assert await self.judged() == ["judged"]

    async def sent(self) -> list[str]:
        """Send what may be sent; return the names of all effects that reached the target so far."""
        await work(self.ledger, self.rule, desk_of(self.ledger, {"klicktipp_default": self.target}))
        return [key for _, key in self.target.effects]

    async def rounds(self) -> list[tuple[int, str, str]]:
        """Return number, state and reason of each round."""
        return [(number, state, reason) for number, state, reason, *_ in await rows(self.ledger, ROUNDS)]

    async def waits(self) -> list[datetime]:
        """Return the starts for which a round waits."""
        return [due + HOUR for _, state, _, due, _ in await rows(self.ledger, ROUNDS) if state == "waiting"]
