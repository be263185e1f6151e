"""A run's lease on the batches it has claimed: short, so that others soon take up what a dead run leaves behind."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger import batches
from handoff.ledger.connect import single_statements

RENEW_SECONDS = 5.0

log = logging.getLogger(__name__)


@asynccontextmanager
async def kept(engine: AsyncEngine, owner: str, *, seconds: float | None = None) -> AsyncIterator[None]:
    """Keep what this owner has claimed for the time of a block.

    :param seconds: how long the lease outlasts the block, or the process; see :func:`handoff.ledger.batches.renew`.
    """
    keeping = asyncio.create_task(_keep(engine, owner, seconds))
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def _keep(engine: AsyncEngine, owner: str, seconds: float | None) -> None:
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        try:
            async with single_statements(engine) as connection:
                await batches.renew(connection, owner, seconds=seconds)
        except (SQLAlchemyError, OSError) as error:
            log.warning("the lease of %s was not renewed, next try in %g s: %s", owner, RENEW_SECONDS, error)
