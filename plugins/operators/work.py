"""What the tasks of a rule's DAG share: the ledger, the rule's desk, and their names in leases."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from airflow.sdk.definitions.context import Context
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.desk import Desk, LimiterOf
from handoff.home import templates_folder
from handoff.messages import Templates
from handoff.source import Source
from handoff.target import Target
from hooks.accounts import open_source, open_target
from hooks.ledger import LedgerHook


def run_owner(context: Context) -> str:
    """Return the DAG run's name in leases: its tasks share what one of them claimed."""
    return f"run/{context['dag'].dag_id}/{context['run_id']}"


def worker_owner() -> str:
    """Return a name in leases for one attempt of one task, never used again."""
    return f"worker/{uuid.uuid4()}"


@asynccontextmanager
async def open_engine(ledger_conn_id: str, *, connections: int = 4) -> AsyncIterator[AsyncEngine]:
    """Open the ledger for the time of a block."""
    engine = await LedgerHook.open(ledger_conn_id, connections=connections)
    try:
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def open_desk(engine: AsyncEngine) -> AsyncIterator[Desk]:
    """Open the targets that steps ask for, for the time of a block."""
    templates = Templates(templates_folder())

    async def opener(account: str, step: str, limiter_of: LimiterOf) -> Target:
        return await open_target(step, account, templates, limiter_of)

    desk = Desk(engine, opener)
    try:
        yield desk
    finally:
        await desk.close()


class Sources:
    """The source accounts of some batches, each opened once."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], Source] = {}

    async def of(self, source: str, account: str) -> Source:
        """Return the source account, opened on first use."""
        if (source, account) not in self._open:
            self._open[source, account] = await open_source(source, account)
        return self._open[source, account]

    async def close(self) -> None:
        """Close them all."""
        for source in self._open.values():
            await source.close()
