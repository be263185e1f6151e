"""The secret with which this ledger's links are signed."""

from __future__ import annotations

import secrets

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

KEY_BYTES = 32

READ = text("SELECT secret FROM handoff.signing_keys WHERE name = 'links'")
MAKE = text("INSERT INTO handoff.signing_keys (name, secret) VALUES ('links', :secret) ON CONFLICT (name) DO NOTHING")


async def signing_key(connection: AsyncConnection) -> bytes:
    """Return the ledger's signing key (32 bytes), made at random when it is asked for the first time.

    All workers and the web server get the same; links in mails that are out stay valid for ever.

    :param connection: in a transaction that is committed afterwards, or without one.
    """
    found = (await connection.execute(READ)).scalar_one_or_none()
    if found is None:
        await connection.execute(MAKE, {"secret": secrets.token_bytes(KEY_BYTES)})
        found = (await connection.execute(READ)).scalar_one()
    return bytes(found)
