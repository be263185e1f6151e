"""Workers that die, and targets that misbehave in every way there is, decided by a seed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import psycopg
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.errors import LedgerError, RateLimited, TargetError, Transient, UnknownOutcome
from handoff.ledger.connect import open_ledger_async
from handoff.rules.rule import Rule
from handoff.target import Call
from tests.support.delivery import desk_of, work
from tests.support.rows import change
from tests.support.targets import MemoryTarget


class Logbook:
    """A target's own list of effects as ``(contact, tag)``, in the order in which they took place.

    :param lost: share of calls that take place and whose answer is lost; ``dropped``: that are lost
        before they take place; ``busy``: that are turned away with a rate limit or as transient.
    """

    def __init__(
        self, *, seed: int = 0, lost: float = 0.0, dropped: float = 0.0, busy: float = 0.0, latency: float = 0.0
    ) -> None:
        self.effects: list[tuple[str, str]] = []
        self._dice, self._lost, self._dropped, self._busy = random.Random(seed), lost, dropped, busy
        self.target = MemoryTarget(before=self._before, after=self._after, settling=0.01, latency=latency)

    def _before(self, call: Call) -> TargetError | None:
        roll = self._dice.random()
        if roll < self._dropped:
            return UnknownOutcome(call.step.conn_id, "tag", "dropped")
        if roll < self._dropped + self._busy / 2:
            return RateLimited(call.step.conn_id, "tag", retry_after=0.02)
        if roll < self._dropped + self._busy:
            return Transient(call.step.conn_id, "tag")
        return None

    def _after(self, call: Call) -> TargetError | None:
        self.effects.append((call.contact.email, call.step.model_dump()["tag"]))
        return UnknownOutcome(call.step.conn_id, "tag", "lost") if self._dice.random() < self._lost else None

    def by_contact(self) -> dict[str, list[str]]:
        """Return each contact's tags in order."""
        found: dict[str, list[str]] = {}
        for contact, tag in self.effects:
            found.setdefault(contact, []).append(tag)
        return found


async def work_until_killed(ledger_url: str, rule: Rule, book: Logbook, effects: int, *, in_flight: int = 16) -> bool:
    """Let a worker work until the target has seen ``effects`` more, then cut it off from the ledger for good.

    :returns: whether it was killed; ``False`` when it had ended before.
    """
    engine = open_ledger_async(ledger_url, connections=4)
    until = len(book.effects) + effects
    desk = desk_of(engine, {"klicktipp_default": book.target})
    task = asyncio.create_task(work(engine, rule, desk, in_flight=in_flight))
    try:
        while len(book.effects) < until and not task.done():
            await asyncio.sleep(0.001)
        if not task.done():
            await cut_off(ledger_url)
        try:
            await task
        except LedgerError:
            return True
        return False
    finally:
        await engine.dispose()


async def cut_off(ledger_url: str) -> None:
    """End every connection to this ledger, as a restart of the server would."""
    name = "cutter"
    async with await psycopg.AsyncConnection.connect(ledger_url, autocommit=True, application_name=name) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name <> %s",
            [name],
        )


async def expire_leases(engine: AsyncEngine) -> None:
    """Let the time pass after which the work of a dead worker is taken up."""
    await change(engine, "UPDATE handoff.lanes SET leased_until = now() - interval '1 second'"
                         " WHERE leased_until IS NOT NULL")  # fmt: skip
    await change(engine, "UPDATE handoff.batches SET leased_until = now() - interval '1 second'"
                         " WHERE leased_until IS NOT NULL")  # fmt: skip


def tags(*names: str) -> Sequence[dict[str, str]]:
    """Return steps that tag a contact, one for each name."""
    return [{"step": "klicktipp.tag", "tag": name} for name in names]
