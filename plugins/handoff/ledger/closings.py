"""What the ledger knows of a CRM's records: the last occasion of each."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.ledger.occasions import occasion_from_row
from handoff.occasion import Occasion

LAST = text("""
    SELECT DISTINCT ON (series) * FROM handoff.occasions
    WHERE source = :source AND account = :account AND series = ANY(CAST(:names AS text[]))
    ORDER BY series, id DESC
""")


async def last_of(connection: AsyncConnection, source: str, account: str, names: Iterable[str]) -> dict[str, Occasion]:
    """Return the last occasion of each record by its name (see :func:`handoff.planning.closings.name_of`)."""
    found = await connection.execute(LAST, {"source": source, "account": account, "names": list(names)})
    return {row["series"]: occasion_from_row(row) for row in found.mappings()}
