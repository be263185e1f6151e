"""Looking into the ledger, and changing it behind everybody's back."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger.schema import Base


async def rows(engine: AsyncEngine, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
    """Return what a query finds."""
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(text(query), parameters)]


async def everything(engine: AsyncEngine) -> str:
    """Return all rows of all tables as one text."""
    found = []
    for table in Base.metadata.sorted_tables:
        found += await rows(engine, f"SELECT COALESCE(json_agg(one), '[]')::text FROM handoff.{table.name} AS one")
    return "\n".join(text for (text,) in found)


async def rows_become(engine: AsyncEngine, query: str, expected: list[tuple[Any, ...]]) -> None:
    """Wait until a query finds what it should."""
    deadline = time.monotonic() + 60
    while (found := await rows(engine, query)) != expected:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.05)


async def change(engine: AsyncEngine, statement: str, **parameters: Any) -> None:
    """Carry out a statement."""
    async with engine.begin() as connection:
        await connection.execute(text(statement), parameters)


async def batches_now(engine: AsyncEngine) -> list[tuple[str, str, datetime]]:
    """Return rule, state and due moment of every batch."""
    found = await rows(engine, "SELECT rule_id, state, due_at FROM handoff.batches ORDER BY rule_id")
    return [(rule, state, due) for rule, state, due in found]
