"""Intents and outcomes, committed in groups: the write-ahead log of every outward call.

A lane announces an effect (``planned -> sending``) and may send only after that is on disk;
what became of it follows. Many lanes share one transaction, in the order in which they spoke.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from handoff.errors import LedgerError
from handoff.ledger import consents
from handoff.ledger.connect import single_statements
from handoff.ledger.consents import Use
from handoff.ledger.storable import storable_json

GATHER_SECONDS = 0.004
"""How long the first to speak waits for others to share its transaction."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an effect: its new state, why, and the target's proof."""

    effect_id: int
    state: str
    reason: str = ""
    proof: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """A lane given back: ready again after ``seconds`` (``None``: nothing left), or held for a person.

    :param rests: what it rests for; the end of that wakes it earlier (see :class:`~handoff.ledger.schema.Lane`).
    """

    lane_id: int
    revision: int
    seconds: float | None = None
    held: str | None = None
    rests: str | None = None


@dataclass(slots=True)
class _Group:
    intents: dict[int, asyncio.Future[bool]] = field(default_factory=dict)
    uses: dict[int, Use] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    stops: list[tuple[int, str, str]] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)

    @property
    def kinds(self) -> int:
        """How many kinds of things are to be written, each by one statement."""
        return sum(map(bool, (self.intents, self.uses, self.outcomes, self.stops, self.releases)))


OUTCOMES = text("""
    UPDATE handoff.effects AS effect SET state = outcome.state, reason = outcome.reason,
        proof = COALESCE(outcome.proof, effect.proof),
        settled_at = CASE WHEN outcome.state IN ('planned', 'unknown') THEN NULL ELSE clock_timestamp() END
    FROM jsonb_to_recordset(CAST(:outcomes AS jsonb))
        AS outcome (effect_id bigint, state text, reason text, proof jsonb),
        handoff.lanes AS lane
    WHERE effect.id = outcome.effect_id AND lane.id = effect.lane_id AND lane.lease_owner = :owner
      -- What was ended meanwhile, erased for instance, stays ended.
      AND effect.state IN ('planned', 'sending', 'unknown')
""")
STOPS = text("""
    UPDATE handoff.effects AS effect SET state = stop.state, reason = stop.reason, settled_at = clock_timestamp()
    FROM jsonb_to_recordset(CAST(:stops AS jsonb)) AS stop (handoff_id bigint, state text, reason text),
        handoff.lanes AS lane
    WHERE effect.handoff_id = stop.handoff_id AND effect.state = 'planned'
      AND lane.id = effect.lane_id AND lane.lease_owner = :owner
""")
RELEASES = text("""
    WITH release AS (
        SELECT lane.id, release.* FROM handoff.lanes AS lane
        JOIN jsonb_to_recordset(CAST(:releases AS jsonb))
            AS release (lane_id bigint, revision bigint, seconds double precision, held text, rests text)
            ON lane.id = lane_id
        WHERE lane.lease_owner = :owner
        ORDER BY lane.id FOR NO KEY UPDATE OF lane
    )
    UPDATE handoff.lanes AS lane SET lease_owner = NULL, leased_until = NULL, held = release.held,
        rests = release.rests,
        ready_at = CASE
            -- What it is to rest for has ended meanwhile, and woke it too early; of a pause the ledger knows nothing.
            WHEN release.rests IS NOT NULL AND release.rests NOT LIKE 'paused:%'
                AND NOT EXISTS (SELECT FROM handoff.freezes WHERE scope = release.rests)
                AND NOT EXISTS (SELECT FROM handoff.circuits
                    WHERE 'account:' || account = release.rests AND opened_at IS NOT NULL)
                THEN clock_timestamp() + make_interval(secs => LEAST(release.seconds, 2))
            WHEN release.rests IS NULL AND lane.revision <> release.revision THEN clock_timestamp()
            WHEN release.seconds IS NULL THEN NULL
            ELSE clock_timestamp() + make_interval(secs => release.seconds) END
    FROM release WHERE lane.id = release.id
""")
INTENTS = text("""
    UPDATE handoff.effects AS effect
    SET state = 'sending', intent_at = clock_timestamp(), attempts = LEAST(effect.attempts + 1, 32767)
    FROM handoff.lanes AS lane
    WHERE effect.id = ANY(CAST(:intents AS bigint[])) AND effect.state = 'planned' AND lane.id = effect.lane_id
      AND lane.lease_owner = :owner AND lane.leased_until > clock_timestamp()
    RETURNING effect.id
""")


class Journal:
    """One worker's journal.

    :param owner: the worker's name in leases; every write is refused to lanes it has lost.
    """

    def __init__(self, engine: AsyncEngine, owner: str) -> None:
        self._engine, self._owner = engine, owner
        self._group = _Group()
        self._news, self._writing = asyncio.Event(), asyncio.Lock()
        self._failure: BaseException | None = None

    async def intend(self, effect_id: int, use: Use | None = None) -> bool:
        """Announce an effect and wait until that is on disk.

        :param use: the legal ground that it rests on, noted with it.
        :returns: ``False`` when the lane's lease was lost; then nothing may be sent.
        """
        self._check()
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._group.intents[effect_id] = answer
        if use is not None:
            self._group.uses[effect_id] = use
        self._news.set()
        return await answer

    def note(self, outcome: Outcome) -> None:
        """Write an outcome with the next group; a later intent of the same lane is never written before it."""
        self._check()
        self._group.outcomes[outcome.effect_id] = outcome
        self._news.set()

    def stop_rest(self, handoff_id: int, state: str, reason: str) -> None:
        """End the planned effects of a handoff that cannot go on: ``skipped`` or ``held``."""
        self._group.stops.append((handoff_id, state, reason))
        self._news.set()

    def release(self, release: Release) -> None:
        """Give a lane back with the next group."""
        self._group.releases.append(release)
        self._news.set()

    def _check(self) -> None:
        if self._failure is not None:
            raise LedgerError("the ledger could not be written; nothing more is sent") from self._failure

    @staticmethod
    async def warm_up(connection: AsyncConnection) -> None:
        """Write nothing, in order to have done it once: see :mod:`handoff.delivery.warming`."""
        await connection.execute(OUTCOMES, {"owner": "", "outcomes": "[]"})
        await connection.execute(INTENTS, {"owner": "", "intents": []})
        await connection.execute(RELEASES, {"owner": "", "releases": "[]"})

    async def run(self) -> None:
        """Write groups until cancelled."""
        while True:
            await self._news.wait()
            await asyncio.sleep(GATHER_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Write everything noted so far in one transaction, after any group that is being written.

        :raises LedgerError: when an earlier group could not be written. What was noted after it may
            rest on it, such as the release of a lane whose outcome is lost: so nothing is written.
        """
        async with self._writing:
            self._check()
            self._news.clear()
            group, self._group = self._group, _Group()
            if group.kinds:
                await self._commit(group)

    async def _commit(self, group: _Group) -> None:
        try:
            single = group.kinds == 1
            async with single_statements(self._engine) if single else self._engine.begin() as connection:
                granted = await self._write(connection, group)
        except BaseException as failure:
            self._failure = failure
            for answer in group.intents.values():
                if not answer.done():
                    answer.set_exception(LedgerError("the ledger could not be written; nothing was sent"))
            raise
        for effect_id, answer in group.intents.items():
            if not answer.done():
                answer.set_result(effect_id in granted)

    async def _write(self, connection: AsyncConnection, group: _Group) -> set[int]:
        owner = {"owner": self._owner}
        if group.outcomes:
            rows: list[dict[str, Any]] = [
                {"effect_id": o.effect_id, "state": o.state, "reason": o.reason, "proof": o.proof}
                for o in group.outcomes.values()
            ]
            await connection.execute(OUTCOMES, owner | {"outcomes": storable_json(rows)})
        if group.stops:
            rows = [{"handoff_id": h, "state": state, "reason": reason} for h, state, reason in group.stops]
            await connection.execute(STOPS, owner | {"stops": storable_json(rows)})
        granted: set[int] = set()
        if group.intents:
            result = await connection.execute(INTENTS, owner | {"intents": list(group.intents)})
            granted = set(result.scalars())
        if uses := [use for effect_id, use in group.uses.items() if effect_id in granted]:
            await consents.note_used(connection, uses)
        if group.releases:
            rows = [
                {"lane_id": r.lane_id, "revision": r.revision, "seconds": r.seconds, "held": r.held, "rests": r.rests}
                for r in group.releases
            ]
            await connection.execute(RELEASES, owner | {"releases": storable_json(rows)})
        return granted
