"""What the tasks of a rule's DAG share: the ledger, the accounts they open, and their names in leases."""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from airflow.sdk import Context
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.desk import Desk, LimiterOf
from handoff.delivery.sources import Sources
from handoff.home import templates_folder
from handoff.ledger.connect import single_statements
from handoff.ledger.keys import signing_key
from handoff.source import Source
from handoff.target import Target
from handoff.texts.links import IN_CLEAR, Links, in_clear, public_url
from handoff.texts.messages import Templates
from hooks.accounts import open_source, open_target
from hooks.ledger import LedgerHook

log = logging.getLogger(__name__)


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
    templates = Templates(templates_folder(), await links_of(engine))

    async def opener(account: str, step: str, limiter_of: LimiterOf) -> Target:
        return await open_target(step, account, templates, limiter_of)

    desk = Desk(engine, opener)
    try:
        yield desk
    finally:
        await desk.close()


@asynccontextmanager
async def open_sources(engine: AsyncEngine) -> AsyncIterator[Sources]:
    """Open the source accounts that are asked for, for the time of a block."""

    async def opener(source: str, account: str) -> Source:
        return await open_source(source, account, engine)

    sources = Sources(opener)
    try:
        yield sources
    finally:
        await sources.close()


async def links_of(engine: AsyncEngine) -> Links | None:
    """Return what makes links that lead back here; ``None`` when this Airflow has no public address."""
    base_url = public_url()
    if base_url is None:
        return None
    if in_clear(base_url):
        log.warning("%s", IN_CLEAR)
    async with single_statements(engine) as connection:
        return Links(base_url, await signing_key(connection))
