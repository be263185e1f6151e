"""One batch's judging: everybody's verdict written, in parts, with what goes out because of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from types import TracebackType
from typing import Self

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from handoff.ledger import batches, registrations, verdicts
from handoff.ledger.batches import WaitingBatch
from handoff.ledger.connect import let_go_soon, single_statements
from handoff.ledger.verdicts import Judged
from handoff.planning.judging import judge_list
from handoff.rules.rule import Rule

FIRST_WRITTEN, WRITTEN_AT_ONCE = 100, 1000


class JudgingRun:
    """Writes everybody's verdict; leaving ``async with`` takes back what was begun and not finished.

    The first part can be written a little ahead of the moment and be held back until then: of all that is to do
    after the moment it takes the longest, above all where several rules are due at once.

    :param wake: called whenever effects have become ready.
    :param turn: shared by the rule's batches in this process. The ledger takes one at a time anyway; whoever waits
        here has no connection, which the one whose turn it is may need.
    """

    def __init__(
        self, engine: AsyncEngine, batch: WaitingBatch, rule: Rule, wake: Callable[[], None], turn: asyncio.Lock
    ) -> None:
        self._engine, self._batch, self._rule, self._wake, self._turn = engine, batch, rule, wake, turn
        self._judged: Iterator[Judged] = iter(())
        self._connection: AsyncConnection | None = None
        self._due = self._last = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.take_back()

    @property
    def begun(self) -> bool:
        """Whether a part is written that nobody else can see yet."""
        return self._connection is not None

    async def begin_ahead(self, read_at: datetime) -> None:
        """Judge for the moment to come and hold the first part back; batch and lanes are locked until its end.

        Nothing is begun while another batch has its turn.
        """
        if not self._turn.locked():
            connection = await self._begin(read_at, {})
            await let_go_soon(connection)

    async def judge(self, read_at: datetime, facts: Mapping[str, str]) -> bool:
        """Judge and write everything; ``False`` when the batch was moved or cancelled meanwhile.

        :param read_at: when the list was read from the source (aware).
        :param facts: what was known of all of them, to be written beside the facts of each.
        """
        await self._begin(read_at, facts)
        return await self.finish()

    async def finish(self) -> bool:
        """Let what was begun be seen, and write the rest; ``False`` when the batch was moved or cancelled."""
        while self._connection is not None and self._due:
            await self._connection.commit()
            await self.take_back()
            self._wake()
            if self._last:
                return True
            await self._write(WRITTEN_AT_ONCE)
        return False

    async def take_back(self) -> None:
        """Let nothing have been written since the last part that was finished, and leave the turn to others."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close()
            finally:
                self._turn.release()

    async def _begin(self, read_at: datetime, facts: Mapping[str, str]) -> AsyncConnection:
        batch = self._batch
        async with single_statements(self._engine) as connection:
            listed = await registrations.listed(connection, batch.occasion.id)
        everybody = judge_list(self._rule, batch.occasion.occasion, batch.id, batch.moment, listed)
        self._judged = (one._replace(facts={**one.facts, **facts}) for one in everybody)
        self._read_at = read_at
        return await self._write(FIRST_WRITTEN)

    async def _write(self, most: int) -> AsyncConnection:
        """Write the next part without an end, if the batch still waits for the moment it was claimed for."""
        connection, batch = await self._connect(), self._batch
        chunk = list(islice(self._judged, most))
        self._last = len(chunk) < most
        self._due = await batches.still_due(connection, batch)
        if self._due and chunk:
            await verdicts.write(connection, batch.id, self._rule, chunk, moment=batch.moment, read_at=self._read_at)
        if self._due and self._last:
            await batches.close(connection, batch.id, "judged")
        return connection

    async def _connect(self) -> AsyncConnection:
        await self._turn.acquire()
        try:
            self._connection = await self._engine.connect()
        except BaseException:
            self._turn.release()
            raise
        return self._connection
