"""One lane's work: its effects strictly one after the other, until nothing is left or something must wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NoReturn

from handoff.delivery.consents import Consents
from handoff.delivery.desk import Desk, Planned
from handoff.delivery.discretion import discreet
from handoff.delivery.gate import Gate, Hold
from handoff.delivery.policy import MOST_ATTEMPTS, Account, Then, reading_backoff, treatment
from handoff.delivery.standing import LeaseLost, as_long_as
from handoff.delivery.unforeseen import LEDGER_TROUBLE, told
from handoff.errors import TargetError, TemplateError, UnknownOutcome
from handoff.ledger.consents import Use
from handoff.ledger.journal import Journal, Outcome, Release
from handoff.ledger.lanes import ClaimedLane, OpenEffect
from handoff.ledger.survey_distance import ASKED_RECENTLY
from handoff.rules.rule import Rule
from handoff.target import Call, Promise, Proof, Target
from handoff.times.permission import End, Wait, permit
from handoff.times.timing import recipient_zone

LONGEST_WAIT_SECONDS = 86_400.0
TAKEN_SECONDS = 1.0
"""How long a lane rests that another worker was faster than, where nothing else says so."""
SHORT_SECONDS = 1.0
"""What is known of an occasion is not older when an effect of it is judged; after a longer wait for its turn it is
judged again: late, cancelled, without a legal ground?"""


class Parked(Exception):  # noqa: N818 - not an error: the lane rests
    """The lane goes on later: after ``seconds`` or when what it ``rests`` for ends, or when a person lets it."""

    def __init__(self, seconds: float | None = None, held: str | None = None, rests: str | None = None) -> None:
        self.seconds, self.held, self.rests = seconds, held, rests
        super().__init__()


class Ended(Exception):  # noqa: N818 - not an error of this program: the effect's end
    """The effect goes no further: ``refused`` by the target, ``skipped``, or ``held`` for a person."""

    def __init__(self, state: str, reason: str) -> None:
        self.state, self.reason = state, reason
        super().__init__(reason)


class LaneRun:
    """Works through one claimed lane.

    :param gate: knows what is frozen, paused or resting; asked before each effect.
    :param consents: knows who may be written to; asked before each survey or marketing message.
    :param fresh: tells whether the worker's leases are certainly still its own.
    """

    def __init__(
        self,
        lane: ClaimedLane,
        desk: Desk,
        journal: Journal,
        gate: Gate,
        consents: Consents,
        fresh: Callable[[], bool],
    ) -> None:
        self._lane, self._desk, self._journal = lane, desk, journal
        self._gate, self._consents, self._fresh = gate, consents, fresh
        self._ended: set[int] = set()
        self._announced = False
        self._probe: str | None = None

    async def run(self) -> None:
        """Carry out what is open, in order, and give the lane back."""
        release = Release(self._lane.id, self._lane.revision)
        try:
            for effect in self._lane.effects:
                if effect.handoff_id not in self._ended:
                    await self._advance(effect)
        except Parked as parked:
            release = Release(self._lane.id, self._lane.revision, parked.seconds, parked.held, parked.rests)
        except LeaseLost:
            return
        finally:
            if self._probe:
                self._gate.probe_unused(self._probe)
        self._journal.release(release)

    async def _advance(self, effect: OpenEffect) -> None:
        """Bring one effect to its end, or park the lane."""
        known = self._lane.known[effect.handoff_id, effect.account]
        await self._ask_gate(effect)
        try:
            proof = await self._carry_out(effect, known)
        except TemplateError as error:
            self._end(effect, _dead(effect, f"template: {error}"))
        except Ended as ended:
            self._end(effect, ended)
        else:
            known.update(proof)
            self._gate.answered(effect.account)
            self._journal.note(Outcome(effect.id, "confirmed", proof=dict(proof)))

    async def _ask_gate(self, effect: OpenEffect) -> None:
        """Park the lane unless the effect may pass; at an open circuit only the lane with the probe may."""
        self._look_at_gate(effect)
        if self._gate.is_open(effect.account) and effect.account != self._probe:
            if not await self._gate.probe(effect.account):
                self._park(self._gate.rests(effect.account) or Hold(TAKEN_SECONDS))
            self._probe = effect.account

    def _look_at_gate(self, effect: OpenEffect) -> None:
        hold = self._gate.frozen(effect.rule_id, effect.account)
        if hold is None and effect.account != self._probe:
            hold = self._gate.rests(effect.account)
        if hold is not None:
            self._park(hold)

    @staticmethod
    def _park(hold: Hold) -> NoReturn:
        raise Parked(hold.seconds, rests=hold.rests)

    async def _carry_out(self, effect: OpenEffect, known: dict[str, Any]) -> Proof:
        self._announced, target = False, None
        try:
            planned = await self._desk.batch(effect, _lately())
            _compare(planned.rule, effect)
            target = await self._desk.target(effect.account, effect.step)
            call = await self._desk.call(effect, planned, known)
            proof = await self._settled(effect, target, call) if effect.state != "planned" else None
            return proof if proof is not None else await self._sent(effect, planned, target, call)
        except TargetError as error:
            self._failed(effect, target, error)
        except (Ended, Parked, LeaseLost, TemplateError, *LEDGER_TROUBLE):
            raise
        except Exception as error:
            words = told(error, effect)
            if not self._announced and effect.state == "planned":
                raise Ended("refused", f"nothing was sent: {words}") from error
            if not self._announced:
                # Read once more it would meet the same mistake, for ever.
                raise Ended("held", f"outcome unknown, and it cannot be read back: {words}") from error
            self._failed(effect, target, UnknownOutcome(effect.account, effect.step, words))

    async def _settled(self, effect: OpenEffect, target: Target, call: Call) -> Proof | None:
        """Read whether an earlier attempt had its effect: the proof, or ``None`` when it is to be sent."""
        if target.promise is not Promise.SETTLED_BY_READING or not call.step.readable:
            raise Ended("held", "outcome unknown, and this target cannot be read back")
        too_early = target.settling_seconds - (effect.seconds_since_intent or 0.0)
        if too_early > 0:
            self._journal.note(Outcome(effect.id, "unknown", "waits until the target can be read"))
            raise Parked(too_early)
        with discreet(call.contact):
            proof = await target.seen(call)
        if proof is None:
            if effect.attempts >= MOST_ATTEMPTS:
                raise Ended("held", f"gave up after {effect.attempts} attempts; read back: not there")
            self._journal.note(Outcome(effect.id, "planned", "read back: not there"))
            effect.state = "planned"
            return None
        return {**proof, "settled_by": "reading"}

    async def _sent(self, effect: OpenEffect, planned: Planned, target: Target, call: Call) -> Proof:
        _judge_again(effect, planned)
        use = await self._ground(effect, planned.rule, call)
        if await self._desk.asked_recently(effect, call):
            raise Ended("skipped", ASKED_RECENTLY)
        async with target.slot():
            await self._turn(effect, target, call)
            if effect.known_at < _lately():
                planned = await self._desk.batch(effect, _lately())
                _judge_again(effect, planned)
                use = await self._ground(effect, planned.rule, call)
            # Not before: what has no turn yet, and perhaps never gets one, keeps nobody from asking.
            if not await self._desk.may_ask(effect, call):
                raise Ended("skipped", ASKED_RECENTLY)
            if not await self._journal.intend(effect.id, use) or not self._fresh():
                raise LeaseLost
            effect.attempts += 1
            self._announced = True
            with discreet(call.contact), as_long_as(self._fresh):
                return await target.send(call)

    async def _turn(self, effect: OpenEffect, target: Target, call: Call) -> None:
        """Wait until the account's rate limit lets the effect out; park the lane if it may not pass by then."""
        limiter = self._desk.limiter(effect.account)
        if target.coalesces(call):
            limiter.check()
        else:
            await limiter.reserve()
        # The slot and the turn may have been long in coming.
        await self._ask_gate(effect)

    async def _ground(self, effect: OpenEffect, rule: Rule, call: Call) -> Use | None:
        """Return the legal ground of a survey or marketing message; end the effect when it has none now."""
        ground = await self._consents.ground(rule, effect)
        refusal = ground.refusal or await self._desk.opt_in_refusal(rule, effect, call)
        if refusal is not None:
            raise Ended("skipped", refusal)
        return ground.use

    def _failed(self, effect: OpenEffect, target: Target | None, error: TargetError) -> NoReturn:
        """Treat a failed call as the policy says: see :data:`handoff.delivery.policy.POLICY`."""
        settling = target.settling_seconds if target else 0.0
        rest = self._gate.failed(error, effect.account, effect.attempts, settling)
        then = treatment(error).then
        if then is Then.DEAD:
            raise _dead(effect, str(error)) from error
        doubtful = self._announced and then is Then.SETTLE
        if doubtful and (target is None or target.promise is not Promise.SETTLED_BY_READING):
            raise Ended("held", str(error)) from error
        # An earlier attempt is still in doubt when this call was only to read what became of it.
        reading = effect.state != "planned" and not self._announced
        self._journal.note(Outcome(effect.id, "unknown" if reading or doubtful else "planned", str(error)))
        if reading and treatment(error).account is Account.FAILS:
            rest = max(settling, reading_backoff(effect.seconds_since_intent or 0.0))
        stopped = treatment(error).account is Account.STOPS
        raise Parked(rest, rests=f"account:{effect.account}" if stopped else None) from error

    def _end(self, effect: OpenEffect, ended: Ended) -> None:
        """Write an effect's end; a doubt parks a contact's lane, but only the one contact of a strict lane."""
        self._ended.add(effect.handoff_id)
        self._journal.note(Outcome(effect.id, ended.state, ended.reason))
        if ended.state == "held" and not self._lane.strict:
            raise Parked(held=ended.reason)
        rest = "skipped" if ended.state in {"refused", "skipped"} else "held"
        self._journal.stop_rest(effect.handoff_id, rest, f"step {effect.step_no + 1} was {ended.state}")


def _lately() -> float:
    return time.monotonic() - SHORT_SECONDS


def _dead(effect: OpenEffect, words: str) -> Ended:
    """Return the end of what cannot be carried out; what is in doubt is not refused: it may have had its effect."""
    if effect.state == "planned":
        return Ended("refused", words)
    return Ended("held", f"outcome unknown, and it cannot be read back: {words}")


def _compare(rule: Rule, effect: OpenEffect) -> None:
    """Hold an effect that is not what its rule says there: carrying out another step would be worse."""
    step = rule.steps[effect.step_no] if effect.step_no < len(rule.steps) else None
    if step is None or (step.step, step.conn_id) != (effect.step, effect.account):
        there = f"{step.step} at {step.conn_id}" if step else "missing"
        words = f"step {effect.step_no + 1} was planned as {effect.step} at {effect.account}"
        raise Ended("held", f"{words}, but in the rule {rule.id} it is {there}")


def _judge_again(effect: OpenEffect, planned: Planned) -> None:
    """Decide, as the ledger stands, whether it may still go out now: it may have waited long since it was judged."""
    if effect.cancelled:
        raise Ended("skipped", "occasion_cancelled")
    now, due_now = datetime.now(UTC), planned.due_at
    moved = due_now is not None and due_now != effect.due_at
    if moved and effect.newer_round:
        raise Ended("skipped", "occasion_moved")
    if moved and due_now is not None and due_now > now:
        raise Ended("held", "occasion_moved: judged for an earlier date, and not due yet by the new one")
    zone = recipient_zone(effect.contact.timezone, planned.occasion.timezone)
    answer = permit(planned.rule, effect.step_no, zone, effect.due_at, now, late_allowed=effect.late_allowed)
    if isinstance(answer, Wait):
        raise Parked(min(max(0.0, (answer.until - now).total_seconds()), LONGEST_WAIT_SECONDS))
    if isinstance(answer, End):
        raise Ended(answer.state, answer.reason)
