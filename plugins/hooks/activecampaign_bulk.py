"""Calls that wait at one ActiveCampaign account at the same time go out as one bulk import."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from handoff.contact import comparable
from handoff.errors import RateLimited, Refused, TargetError, Transient, UnknownOutcome
from handoff.target import Proof
from hooks.protocols.activecampaign import ActiveCampaignProtocol
from hooks.protocols.activecampaign_bulk import (
    IMPORTING,
    MAX_CONTACTS,
    BulkRefused,
    Entry,
    Imported,
    read_import,
    start_import,
)
from hooks.transport import AsyncTransport

GATHER_SECONDS = 0.3
POLL_SECONDS, SLOWEST_POLL_SECONDS = 0.5, 5.0
PATIENCE_SECONDS = 300.0

SendSingly = Callable[[], Awaitable[Proof]]


@dataclass(eq=False, slots=True)
class Waiting:
    """One call that waits for company; its future gives a proof, or ``None`` for "go out on your own"."""

    entry: Entry
    outcome: asyncio.Future[Proof | None]

    def settle(self, outcome: Proof | TargetError | None) -> None:
        """Tell the caller, who may have gone."""
        if self.outcome.done():
            return
        if isinstance(outcome, TargetError):
            self.outcome.set_exception(outcome)
        else:
            self.outcome.set_result(outcome)


class BulkCollector:
    """Gathers calls for a moment and sends them in bulk when they are many, singly when they are few.

    Every caller awaits its own outcome, so the order within a contact is the caller's to keep and is kept.

    :param threshold: from this many waiting calls on they go out together; 0 turns bulk off.
    :param patience: seconds until an import that does not end leaves all its contacts in doubt.
    """

    def __init__(
        self,
        protocol: ActiveCampaignProtocol,
        transport: AsyncTransport,
        threshold: int,
        *,
        poll: float = POLL_SECONDS,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._protocol, self._transport = protocol, transport
        self.threshold, self._poll, self._patience = threshold, poll, patience
        self._waiting: list[Waiting] = []
        self._timer: asyncio.TimerHandle | None = None
        self._imports: set[asyncio.Task[None]] = set()

    async def send(self, entry: Entry, singly: SendSingly) -> Proof:
        """Carry out one call, in bulk or singly. :raises TargetError: what became of this very call."""
        if self.threshold:
            waiting = Waiting(entry, asyncio.get_running_loop().create_future())
            self._enqueue(waiting)
            proof = await waiting.outcome
            if proof is not None:
                return proof
        return await singly()

    async def close(self) -> None:
        """Give up what is under way; whoever still waits is cancelled. Safe to call twice."""
        if self._timer:
            self._timer.cancel()
        tasks = list(self._imports)
        for waiting in self._waiting:
            waiting.outcome.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _flush(self) -> None:
        self._timer = None
        present = [waiting for waiting in self._waiting if not waiting.outcome.done()]
        self._waiting = []
        if len(present) < self.threshold:
            for waiting in present:
                waiting.settle(None)
            return
        for batch in batches(present):
            task = asyncio.create_task(self._send(batch))
            self._imports.add(task)
            task.add_done_callback(partial(self._end, batch))

    def _end(self, batch: Sequence[Waiting], task: asyncio.Task[None]) -> None:
        """Leave nobody waiting after an import that was cancelled or broke; one that broke may have had its effect."""
        self._imports.discard(task)
        if task.cancelled():
            for waiting in batch:
                waiting.outcome.cancel()
        elif error := task.exception():
            for waiting in batch:
                waiting.settle(UnknownOutcome(self._protocol.account, IMPORTING, type(error).__name__))

    async def _send(self, batch: Sequence[Waiting]) -> None:
        """Settle every call of a batch, whatever happens."""
        try:
            batch_id = await self._transport.run(start_import(self._protocol, [waiting.entry for waiting in batch]))
            imported = await self._await_import(batch_id)
        except BulkRefused as refusal:
            self._refuse(batch, refusal)
        except TargetError as error:
            for waiting in batch:
                waiting.settle(error)
        else:
            for waiting in batch:
                failed = comparable(str(waiting.entry["email"])) in imported.failed
                words = "the vendor lists this contact as a failure of the import"
                waiting.settle(Refused(self._protocol.account, IMPORTING, words) if failed else {"batch_id": batch_id})

    def _refuse(self, batch: Sequence[Waiting], refusal: BulkRefused) -> None:
        """Refuse whom the vendor complains of; the others were not imported either and wait again, or go singly."""
        reasons = {index: words for index, words in refusal.reasons.items() if index in range(len(batch))}
        for index, waiting in enumerate(batch):
            if index in reasons:
                waiting.settle(Refused(self._protocol.account, IMPORTING, reasons[index]))
            elif reasons:
                self._enqueue(waiting)
            else:
                waiting.settle(None)

    def _enqueue(self, waiting: Waiting) -> None:
        self._waiting.append(waiting)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._flush)

    async def _await_import(self, batch_id: str) -> Imported:
        """Ask until the vendor has worked on the batch. :raises UnknownOutcome: it takes too long."""
        deadline = time.monotonic() + self._patience
        pause = self._poll
        while time.monotonic() + pause < deadline:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, SLOWEST_POLL_SECONDS)
            try:
                if imported := await self._transport.run(read_import(self._protocol, batch_id)):
                    return imported
            except RateLimited as error:
                pause = max(pause, error.retry_after or 0.0)
            except Transient:
                continue
            except TargetError as error:
                raise UnknownOutcome(error.account, error.operation, error.words) from None
        words = f"the import was accepted but not finished within {self._patience:g} s"
        raise UnknownOutcome(self._protocol.account, IMPORTING, words)


def batches(waiting: Sequence[Waiting]) -> list[list[Waiting]]:
    """Split calls into imports of at most ``MAX_CONTACTS``, no contact twice in one."""
    result: list[tuple[list[Waiting], set[object]]] = []
    for call in waiting:
        address = call.entry["email"]
        fitting = (pair for pair in result if len(pair[0]) < MAX_CONTACTS and address not in pair[1])
        calls, addresses = next(fitting, ([], set()))
        if not calls:
            result.append((calls, addresses))
        calls.append(call)
        addresses.add(address)
    return [calls for calls, _ in result]
