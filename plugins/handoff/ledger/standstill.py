"""What stands still for people to see: what somebody froze, and accounts whose circuit is open; since when and why."""

from __future__ import annotations

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

Row = RowMapping

STANDSTILL = text("""
    SELECT scope, 'frozen' AS kind, reason, at AS since FROM handoff.freezes
    UNION ALL
    SELECT 'account:' || account, 'circuit open', cause, opened_at FROM handoff.circuits WHERE opened_at IS NOT NULL
    ORDER BY since, scope
""")


async def standstill(connection: AsyncConnection) -> list[Row]:
    """Return what stands still, the longest first: ``scope, kind, reason, since``."""
    return list((await connection.execute(STANDSTILL)).mappings().all())
