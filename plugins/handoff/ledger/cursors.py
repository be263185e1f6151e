"""How far a source account has been read."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

READ = text("SELECT value FROM handoff.cursors WHERE source = :source AND account = :account")
WRITE = text("""
    INSERT INTO handoff.cursors (source, account, value) VALUES (:source, :account, :value)
    ON CONFLICT (source, account) DO UPDATE SET value = EXCLUDED.value, updated_at = clock_timestamp()
""")

POKE = text("""
    INSERT INTO handoff.cursors (source, account, value) VALUES (:source, :account, '1')
    ON CONFLICT (source, account) DO UPDATE
        SET value = CAST(CAST(cursors.value AS bigint) + 1 AS text), updated_at = clock_timestamp()
""")


async def read(connection: AsyncConnection, source: str, account: str) -> str | None:
    """Return the cursor, ``None`` when the account was never read."""
    return (await connection.execute(READ, {"source": source, "account": account})).scalar_one_or_none()


async def write(connection: AsyncConnection, source: str, account: str, value: str) -> None:
    """Move the cursor; do it in the transaction that recorded what was read."""
    await connection.execute(WRITE, {"source": source, "account": account, "value": value})


async def poke(connection: AsyncConnection, source: str, account: str) -> None:
    """Note that an account has news, so that it is polled before its time."""
    await connection.execute(POKE, {"source": f"{source}.poke", "account": account})


async def poked(connection: AsyncConnection, source: str, account: str) -> str:
    """Return a text that changes with every poke; empty when there was none."""
    return await read(connection, f"{source}.poke", account) or ""
