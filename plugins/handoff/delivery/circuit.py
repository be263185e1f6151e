"""One target account as a worker sees it: its circuit in the ledger, and what was heard of it since."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.delivery.policy import Account, treatment
from handoff.errors import TargetError, WrongCredentials
from handoff.ledger import circuits
from handoff.ledger.circuits import CREDENTIALS, CREDENTIALS_SECONDS, FAILING, FIRST_PAUSE_SECONDS, CircuitNow

ONE_FAILURE_SECONDS = 0.1
"""Failures so close together count as one: a lost request may carry a hundred effects, and a hundred lanes
meet the same short hiccup. So it takes an outage of about a second to open a circuit."""
AT_THE_PROBE = 3
"""So many lanes of a worker come back when the next probe may go out; the others wait for its success."""
SPREAD_SECONDS, LATER_SECONDS = 1.0, 300.0
"""The others come back so far apart, and no later than that. A lane that came for the probe may be put to rest
by a worker that has not heard of its outcome yet: then the next one asks soon."""


@dataclass(slots=True)
class Heard:
    """What the ledger has not been told yet.

    :param answered: the target answered; ``failures``: so often it failed after that.
    :param probe: what became of this worker's probe: ``failed`` or ``unused``.
    :param rest: for how many seconds the target asked to be left alone.
    """

    answered: bool = False
    failures: int = 0
    stops: bool = False
    probe: str = ""
    rest: float = 0.0


class Circuit:
    """Counts failures in a row, opens at once where the policy says so, and lets one probe through.

    Between two looks at the ledger it answers from memory, with what it has heard itself counted in.

    :ivar wrong: the error, as long as this worker has met wrong credentials and no success since.
    """

    def __init__(self, account: str) -> None:
        self.account = account
        self.wrong: WrongCredentials | None = None
        self._heard, self._last = Heard(), ""
        self._known = CircuitNow(account, 0, "", None, 0.0)
        self._probe_at: float | None = None
        self._probing = False
        self._rests_until = 0.0
        self._given_back = 0
        self._counted_at = -math.inf

    def read(self, now: CircuitNow) -> None:
        """Take over what the ledger says."""
        read_at = time.monotonic()
        self._known, self._given_back = now, 0
        self._probe_at = None if now.probe_in is None else read_at + now.probe_in
        self._probing = self._probing and self.is_open
        self._rests_until = max(self._rests_until, read_at + now.rest)

    @property
    def is_open(self) -> bool:
        """Whether only a probe may go out."""
        return self._probe_at is not None

    @property
    def urgent(self) -> bool:
        """Whether the ledger should hear at once what was heard here."""
        heard = self._heard
        return bool(heard.rest or heard.probe or (heard.answered if self.is_open else self._opens()))

    def _opens(self) -> bool:
        heard = self._heard
        in_a_row = heard.failures + (0 if heard.answered else self._known.failures)
        return heard.stops or (heard.failures > 0 and in_a_row >= circuits.FAILURES_IN_A_ROW)

    def limited(self) -> float:
        """Return the seconds for which the target asked to be left alone."""
        return max(0.0, self._rests_until - time.monotonic())

    def rest(self) -> float | None:
        """Return for how many seconds a lane has to rest, ``None`` when it may go on, or ask for the probe."""
        if self._probe_at is None:
            if not self._opens():
                return None
            seconds = CREDENTIALS_SECONDS if self._heard.stops else FIRST_PAUSE_SECONDS
        else:
            seconds = FIRST_PAUSE_SECONDS if self._probing else self._probe_at - time.monotonic()
            if seconds <= 0:
                return None
        self._given_back += 1
        behind = max(0, self._given_back - AT_THE_PROBE)
        return seconds + min(behind * SPREAD_SECONDS, LATER_SECONDS)

    def take_probe(self) -> None:
        """Keep the worker's other lanes from asking for the same probe."""
        self._probing = True

    def probe_lost(self) -> None:
        """Hear that another worker has the probe, and leave it the time."""
        self._probing, self._probe_at = False, time.monotonic() + FIRST_PAUSE_SECONDS

    def probe_unused(self) -> None:
        """Hear that the lane with the probe did not need it."""
        if self._probing:
            self._probing, self._heard.probe = False, "unused"

    def answered(self) -> None:
        """Hear that the target works: what failed before is over."""
        self._heard.answered, self._heard.failures, self._heard.stops = True, 0, False
        self.wrong, self._probing = None, False

    def failed(self, error: TargetError, rest: float) -> None:
        """Hear of a failed call. :param rest: for how many seconds its lane rests."""
        says = treatment(error).account
        if says in {Account.WORKS, Account.LIMITED}:
            self.answered()
        if says is Account.LIMITED:
            self._heard.rest = max(self._heard.rest, rest)
            self._rests_until = max(self._rests_until, time.monotonic() + rest)
        if says in {Account.FAILS, Account.STOPS}:
            self._fail(error, stops=says is Account.STOPS)

    def _fail(self, error: TargetError, *, stops: bool) -> None:
        self._last, heard = str(error), self._heard
        if isinstance(error, WrongCredentials):
            self.wrong = error
        if self._probing:
            self._probing, heard.probe = False, "failed"
        heard.stops |= stops
        if not self.is_open and time.monotonic() - self._counted_at >= ONE_FAILURE_SECONDS:
            self._counted_at = time.monotonic()
            heard.failures += 1

    async def tell(self, connection: AsyncConnection) -> None:
        """Write to the ledger what was heard."""
        opens, heard = self._opens(), self._heard
        self._heard = Heard()
        was_open = self.is_open
        if opens and not was_open:
            # At once: no lane shall slip through while the ledger is being told.
            self._probe_at = time.monotonic() + FIRST_PAUSE_SECONDS
        if heard.rest:
            await circuits.rest(connection, self.account, heard.rest)
        if was_open:
            await self._tell_of_probe(connection, heard)
            return
        in_a_row = 0
        if heard.failures or (heard.answered and self._known.failures):
            in_a_row = await circuits.report(connection, self.account, heard.failures, answered=heard.answered)
        if heard.stops or in_a_row >= circuits.FAILURES_IN_A_ROW:
            await circuits.open_(connection, self.account, CREDENTIALS if heard.stops else FAILING, self._last)

    async def _tell_of_probe(self, connection: AsyncConnection, heard: Heard) -> None:
        if heard.answered:
            await circuits.close(connection, self.account)
        elif heard.stops and self._known.cause != CREDENTIALS:
            await circuits.open_(connection, self.account, CREDENTIALS, self._last)
        elif heard.probe == "failed":
            await circuits.probe_failed(connection, self.account, longer=self._known.cause == FAILING)
        elif heard.probe == "unused":
            await circuits.probe_unused(connection, self.account)
