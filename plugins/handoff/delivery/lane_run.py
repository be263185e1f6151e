"""One lane's work: its effects strictly one after the other, until nothing is left or something must wait."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NoReturn

from handoff.delivery.desk import Desk
from handoff.delivery.policy import CREDENTIALS_SECONDS, MOST_ATTEMPTS, backoff, reading_backoff
from handoff.errors import RateLimited, Refused, TargetError, TemplateError, UnknownOutcome, WrongCredentials
from handoff.ledger.journal import Journal, Outcome, Release
from handoff.ledger.lanes import ClaimedLane, OpenEffect
from handoff.target import Call, Promise, Proof, Target


class Parked(Exception):  # noqa: N818 - not an error: the lane rests
    """The lane goes on later: after ``seconds``, or when a person lets it (``held``)."""

    def __init__(self, seconds: float | None = None, held: str | None = None) -> None:
        self.seconds, self.held = seconds, held
        super().__init__()


class Ended(Exception):  # noqa: N818 - not an error of this program: the effect's end
    """The effect goes no further: ``refused`` by the target, or ``held`` for a person."""

    def __init__(self, state: str, reason: str) -> None:
        self.state, self.reason = state, reason
        super().__init__(reason)


class LeaseLost(Exception):  # noqa: N818 - not an error: another worker has the lane
    """Somebody else may work in this lane now; nothing more is sent or written."""


class LaneRun:
    """Works through one claimed lane.

    :param stopped: accounts whose credentials were not accepted, shared by all lanes of a worker.
    :param fresh: tells whether the worker's leases are certainly still its own.
    """

    def __init__(
        self,
        lane: ClaimedLane,
        desk: Desk,
        journal: Journal,
        stopped: dict[str, WrongCredentials],
        fresh: Callable[[], bool],
    ) -> None:
        self._lane, self._desk, self._journal = lane, desk, journal
        self._stopped, self._fresh = stopped, fresh
        self._ended: set[int] = set()
        self._announced = False

    async def run(self) -> None:
        """Carry out what is open, in order, and give the lane back."""
        seconds, held = None, None
        try:
            for effect in self._lane.effects:
                if effect.handoff_id not in self._ended:
                    await self._advance(effect)
        except Parked as parked:
            seconds, held = parked.seconds, parked.held
        except LeaseLost:
            return
        self._journal.release(Release(self._lane.id, self._lane.revision, seconds, held))

    async def _advance(self, effect: OpenEffect) -> None:
        """Bring one effect to its end, or park the lane."""
        known = self._lane.known[effect.handoff_id, effect.account]
        if effect.account in self._stopped:
            raise Parked(CREDENTIALS_SECONDS)
        try:
            proof = await self._carry_out(effect, known)
        except TemplateError as error:
            self._end(effect, Ended("refused", f"template: {error}"))
        except Refused as error:
            self._end(effect, Ended("refused", str(error)))
        except Ended as ended:
            self._end(effect, ended)
        else:
            known.update(proof)
            self._journal.note(Outcome(effect.id, "confirmed", proof=dict(proof)))

    async def _carry_out(self, effect: OpenEffect, known: dict[str, Any]) -> Proof:
        self._announced = False
        try:
            target = await self._desk.target(effect.account, effect.step)
            call = await self._desk.call(effect, known)
            proof = await self._settled(effect, target, call) if effect.state != "planned" else None
            return proof if proof is not None else await self._sent(effect, target, call)
        except UnknownOutcome as error:
            self._doubt(effect, target, error)
        except Refused:
            raise
        except TargetError as error:
            self._postpone(effect, error)

    async def _settled(self, effect: OpenEffect, target: Target, call: Call) -> Proof | None:
        """Read whether an earlier attempt had its effect: the proof, or ``None`` when it is to be sent."""
        if target.promise is not Promise.SETTLED_BY_READING:
            raise Ended("held", "outcome unknown, and this target cannot be read back")
        too_early = target.settling_seconds - (effect.seconds_since_intent or 0.0)
        if too_early > 0:
            self._journal.note(Outcome(effect.id, "unknown", "waits until the target can be read"))
            raise Parked(too_early)
        proof = await target.seen(call)
        if proof is None:
            if effect.attempts >= MOST_ATTEMPTS:
                raise Ended("held", f"gave up after {effect.attempts} attempts; read back: not there")
            self._journal.note(Outcome(effect.id, "planned", "read back: not there"))
            effect.state = "planned"
            return None
        return {**proof, "settled_by": "reading"}

    async def _sent(self, effect: OpenEffect, target: Target, call: Call) -> Proof:
        rule, _ = await self._desk.batch(effect.batch_id)
        if datetime.now(UTC) > effect.due_at + rule.late_after.elapsed:
            raise Ended("held", "later than the rule's late_after; a person decides")
        if not target.coalesces(call):
            await self._desk.limiter(effect.account).reserve()
        if not await self._journal.intend(effect.id) or not self._fresh():
            raise LeaseLost
        effect.attempts += 1
        self._announced = True
        return await target.send(call)

    def _doubt(self, effect: OpenEffect, target: Target, error: UnknownOutcome) -> NoReturn:
        if target.promise is not Promise.SETTLED_BY_READING:
            raise Ended("held", str(error)) from error
        self._journal.note(Outcome(effect.id, "unknown", str(error)))
        if not self._announced:
            rest = reading_backoff(effect.seconds_since_intent or 0.0)
        else:
            rest = backoff(effect.attempts - 2) if effect.attempts > 2 else 0.0
        raise Parked(max(target.settling_seconds, rest)) from error

    def _postpone(self, effect: OpenEffect, error: TargetError) -> NoReturn:
        """Park the lane after a failure that certainly had no effect; ``late_after`` ends the waiting."""
        nothing_open = self._announced or effect.state == "planned"
        self._journal.note(Outcome(effect.id, "planned" if nothing_open else "unknown", str(error)))
        if isinstance(error, WrongCredentials):
            self._stopped[effect.account] = error
            raise Parked(CREDENTIALS_SECONDS) from error
        if isinstance(error, RateLimited) and error.retry_after is not None:
            raise Parked(error.retry_after) from error
        if not nothing_open:
            raise Parked(reading_backoff(effect.seconds_since_intent or 0.0)) from error
        raise Parked(backoff(effect.attempts)) from error

    def _end(self, effect: OpenEffect, ended: Ended) -> None:
        """Write an effect's end; a doubt parks a contact's lane, but only the one contact of a strict lane."""
        self._ended.add(effect.handoff_id)
        self._journal.note(Outcome(effect.id, ended.state, ended.reason))
        if ended.state == "held" and not self._lane.strict:
            raise Parked(held=ended.reason)
        rest = "skipped" if ended.state == "refused" else "held"
        self._journal.stop_rest(effect.handoff_id, rest, f"step {effect.step_no + 1} was {ended.state}")
