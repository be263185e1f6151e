"""How far a source account has been read."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

READ = text("SELECT value FROM handoff.cursors WHERE source = :source AND account = :account")
WRITE = text("""
    INSERT INTO handoff.cursors (source, account, value) VALUES (:source, :account, :value)
    ON CONFLICT (source, account) DO UPDATE SET value = EXCLUDED.value, updated_at = clock_timestamp()
""")


async def read(connection: AsyncConnection, source: str, account: str) -> str | None:
    """Return the cursor, ``None`` when the account was never read."""
    return (await connection.execute(READ, {"source": source, "account": account})).scalar_one_or_none()


async def write(connection: AsyncConnection, source: str, account: str, value: str) -> None:
    """Move the cursor; do it in the transaction that recorded what was read."""
    await connection.execute(WRITE, {"source": source, "account": account, "value": value})
