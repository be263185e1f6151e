"""The gate before every effect: what is frozen, paused or resting does not pass.

It answers from memory. One query every two seconds keeps that memory fresh, so that a freeze, a pause or
another worker's open circuit bites within five seconds, between two effects of a batch in flight.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.circuit import Circuit
from handoff.delivery.policy import pause_after
from handoff.errors import TargetError, WrongCredentials
from handoff.ledger import circuits, lanes, stops
from handoff.ledger.bells import ring
from handoff.ledger.connect import single_statements
from handoff.ledger.lanes import paused_scope

REFRESH_SECONDS, PAUSES_SECONDS = 2.0, 3.0
FROZEN_SECONDS = 300.0
"""A frozen lane is woken by the thaw; only should that miss it, it looks by itself after so long."""
PAUSED_SECONDS = 60.0
"""Nobody is told that a DAG is no longer paused: where no gate sees it, its lanes look again after so long."""

Paused = Callable[[str], Awaitable[bool]]
"""Asks whether a rule, named by its id, is paused where it is scheduled."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Why something does not pass, and for how many seconds its lane rests.

    :param rests: what wakes the lane earlier, see :class:`handoff.ledger.schema.Lane`.
    """

    seconds: float
    rests: str | None = None


class Gate:
    """What stands still, as one task knows it; all its workers share one gate.

    :param paused: asks whether a rule is paused; ``None`` where nothing can be.
    """

    def __init__(self, engine: AsyncEngine, paused: Paused | None = None) -> None:
        self._engine, self._ask_paused = engine, paused
        self._frozen: frozenset[str] = frozenset()
        self._paused: dict[str, bool] = {}
        self._circuits: dict[str, Circuit] = {}
        self._urgent, self._telling = asyncio.Event(), asyncio.Lock()

    @property
    def stopped(self) -> dict[str, WrongCredentials]:
        """The accounts whose credentials this task found wrong, and no success since."""
        return {account: circuit.wrong for account, circuit in self._circuits.items() if circuit.wrong is not None}

    def circuit(self, account: str) -> Circuit:
        """Return an account's circuit, closed when the ledger knows of none."""
        if account not in self._circuits:
            self._circuits[account] = Circuit(account)
        return self._circuits[account]

    def frozen(self, rule_id: str, account: str = "") -> Hold | None:
        """Return what a person stopped of this, ``None`` when nothing is.

        :param account: the target account, empty for the judging of a batch, which calls none.
        """
        if self._frozen:
            for scope in ("all", f"rule:{rule_id}", f"account:{account}"):
                if scope in self._frozen:
                    return Hold(FROZEN_SECONDS, scope)
        return Hold(PAUSED_SECONDS, paused_scope(rule_id)) if self._paused.get(rule_id) else None

    def rests(self, account: str) -> Hold | None:
        """Return why nothing may be sent to an account now; ``None`` when something may, if only as a probe."""
        circuit = self._circuits.get(account)
        if circuit is None:
            return None
        if limited := circuit.limited():
            return Hold(limited)
        seconds = circuit.rest()
        return None if seconds is None else Hold(seconds, f"account:{account}")

    async def probe(self, account: str) -> bool:
        """Ask for the one probe of an open circuit; no other worker gets it before its outcome is heard."""
        circuit = self.circuit(account)
        circuit.take_probe()
        async with single_statements(self._engine) as connection:
            won = await circuits.probe(connection, account)
        if not won:
            circuit.probe_lost()
        return won

    def is_open(self, account: str) -> bool:
        """Whether only a probe may be sent to an account."""
        circuit = self._circuits.get(account)
        return circuit is not None and circuit.is_open

    def answered(self, account: str) -> None:
        """Hear that an account's target carried something out."""
        circuit = self.circuit(account)
        circuit.answered()
        if circuit.is_open:
            self._urgent.set()

    def failed(self, error: TargetError, account: str, attempts: int, settling_seconds: float = 0.0) -> float:
        """Hear of a failed call, and return the seconds for which its lane rests.

        :param attempts: how many calls the effect has cost so far.
        """
        rest = pause_after(error, attempts, settling_seconds)
        circuit = self.circuit(account)
        circuit.failed(error, rest)
        if circuit.urgent:
            self._urgent.set()
        return rest

    def probe_unused(self, account: str) -> None:
        """Hear that a lane did not need the probe it had asked for, or that it was used; then this does nothing."""
        circuit = self.circuit(account)
        circuit.probe_unused()
        if circuit.urgent:
            self._urgent.set()

    async def keep(self) -> None:
        """Keep the gate fresh until cancelled."""
        await asyncio.gather(self._keep_ledger(), self._keep_pauses())

    async def _keep_ledger(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._urgent.wait(), REFRESH_SECONDS)
            await self.refresh()

    async def _keep_pauses(self) -> None:
        while True:
            await asyncio.sleep(PAUSES_SECONDS)
            await self._look_at_pauses(list(self._paused))

    async def meet(self, rule_ids: set[str]) -> None:
        """Get to know rules before anything of theirs passes: whether they are paused is asked from now on."""
        if self._ask_paused is not None and (new := [rule for rule in rule_ids if rule not in self._paused]):
            await self._look_at_pauses(new)

    async def _look_at_pauses(self, rule_ids: list[str]) -> None:
        if self._ask_paused is None:
            return
        for rule_id in rule_ids:
            before = self._paused.get(rule_id, True)
            self._paused[rule_id] = now = await self._ask_paused(rule_id)
            if before and not now:
                await self._wake(rule_id)

    async def _wake(self, rule_id: str) -> None:
        """Let the lanes go on that a gate put to rest because the rule was paused."""
        async with self._engine.begin() as connection:
            if await lanes.wake(connection, paused_scope(rule_id)):
                await ring(connection)

    async def tell(self) -> None:
        """Bring to the ledger what it should hear before anybody waits for it."""
        if self._urgent.is_set():
            await self.refresh()

    async def refresh(self) -> None:
        """Tell the ledger what was heard, in the order of accounts, and read what stands still now."""
        async with self._telling:
            self._urgent.clear()
            if self._circuits:
                async with self._engine.begin() as connection:
                    for account in sorted(self._circuits):
                        await self._circuits[account].tell(connection)
            async with single_statements(self._engine) as connection:
                now = await stops.stops(connection)
            self._frozen = now.frozen
            for account, circuit in now.circuits.items():
                self.circuit(account).read(circuit)
