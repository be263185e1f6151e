"""One run's way from claimed batches to effects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.desk import Desk
from handoff.delivery.gate import Gate
from handoff.delivery.lease import kept
from handoff.delivery.moment import RulesOf, attend, look_again_seconds, no_rules, put_off
from handoff.delivery.sources import Sources
from handoff.delivery.worker import Worker
from handoff.errors import HandoffError
from handoff.ledger.batches import WaitingBatch

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shift:
    """Attends to each batch at its moment, while one worker lets the effects go out that get ready.

    :param owner: the run's name in leases; the batches were claimed with it.
    :param gate: the worker's gate. :param rules_of: see :func:`handoff.delivery.moment.attend`.
    """

    engine: AsyncEngine
    owner: str
    desk: Desk
    gate: Gate
    sources: Sources
    worker: Worker
    rules_of: RulesOf = no_rules

    async def run(self, claimed: Sequence[WaitingBatch]) -> None:
        """Work until every batch has had its moment and no lane is ready; the batches' lease is kept meanwhile.

        A batch whose source cannot be read is put off, the others go on.

        :raises LedgerError: when the ledger can no longer be read or written.
        """
        turn = asyncio.Lock()
        judging = [asyncio.create_task(self._attend(batch, turn)) for batch in claimed]

        async def more_to_come() -> bool:
            return not all(task.done() for task in judging)

        async with kept(self.engine, self.owner):
            try:
                await self.worker.run(more_to_come=more_to_come)
                await asyncio.gather(*judging)
            finally:
                for task in judging:
                    task.cancel()
                await asyncio.gather(*judging, return_exceptions=True)

    async def _attend(self, batch: WaitingBatch, turn: asyncio.Lock) -> None:
        known = batch.occasion.occasion
        try:
            became = await attend(
                self.engine,
                batch,
                await self.sources.of(known.source, known.account),
                self.worker.wake,
                prepare=lambda: self.desk.prepare(batch.id),
                frozen=lambda: self.gate.frozen(batch.rule_id) is not None,
                turn=turn,
                rules_of=self.rules_of,
            )
        except HandoffError as error:
            log.warning("batch %s waits: %s", batch.id, error)
            await put_off(self.engine, batch, look_again_seconds(batch), str(error))
        else:
            log.info("batch %s, due %s: %s", batch.id, batch.due_at.isoformat(), became)
