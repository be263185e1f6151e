"""What the team should know: one notice for each cause, however many contacts it concerns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

Kind = Literal[
    "held", "refused", "circuit", "credentials", "certificate", "comparison", "late", "missed", "quota", "webhook",
    "calendar", "history",
]  # fmt: skip
"""What a notice is about; each has its words in :mod:`notifications.wording`."""


@dataclass(frozen=True, slots=True)
class NoticeToTell:
    """A notice that nobody has been told yet.

    :param words: what happened, where, and what to do; no contact data.
    """

    id: int
    cause: str
    kind: Kind
    words: str
    count: int
    first_at: datetime


RAISE = text("""
    INSERT INTO handoff.notices AS notice (cause, kind, words, count) VALUES (:cause, :kind, :words, :count)
    ON CONFLICT (cause) WHERE closed_at IS NULL DO UPDATE
        SET count = notice.count + EXCLUDED.count, words = EXCLUDED.words, last_at = clock_timestamp()
""")
STANDS = text("""
    INSERT INTO handoff.notices AS notice (cause, kind, words, count) VALUES (:cause, :kind, :words, :count)
    ON CONFLICT (cause) WHERE closed_at IS NULL DO UPDATE
        SET count = EXCLUDED.count, words = EXCLUDED.words, last_at = clock_timestamp()
""")
CLOSE = text("UPDATE handoff.notices SET closed_at = clock_timestamp() WHERE cause = :cause AND closed_at IS NULL")
OPEN = text("SELECT cause FROM handoff.notices WHERE kind = :kind AND closed_at IS NULL ORDER BY cause")
UNTOLD = text("""
    -- One teller at a time; the rows stay free for those who have something to add while a message is on its way.
    WITH teller AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(hashtext('handoff-tell')) AS alone)
    SELECT id, cause, kind, words, count, first_at FROM handoff.notices, teller
    WHERE teller.alone AND told_at IS NULL AND closed_at IS NULL ORDER BY id
""")
TOLD = text("UPDATE handoff.notices SET told_at = clock_timestamp() WHERE id = ANY(CAST(:ids AS bigint[]))")


async def notice(connection: AsyncConnection, cause: str, kind: Kind, words: str, count: int = 1) -> None:
    """Note something for the team; what is open already only counts on and is not told again.

    :param cause: names what happened to what, e.g. ``circuit/klicktipp_default``.
    """
    await connection.execute(RAISE, {"cause": cause, "kind": kind, "words": words, "count": count})


async def stands(connection: AsyncConnection, cause: str, kind: Kind, words: str, count: int) -> None:
    """Note how something stands now: like :func:`notice`, but ``count`` is the whole of it and replaces what was."""
    await connection.execute(STANDS, {"cause": cause, "kind": kind, "words": words, "count": count})


async def close(connection: AsyncConnection, cause: str) -> None:
    """End a cause: should it come back, it is told again."""
    await connection.execute(CLOSE, {"cause": cause})


async def still_open(connection: AsyncConnection, kind: Kind) -> list[str]:
    """Return the causes of a kind that have not ended."""
    return list((await connection.execute(OPEN, {"kind": kind})).scalars())


async def untold(connection: AsyncConnection) -> list[NoticeToTell]:
    """Return the open notices that nobody has been told yet; nothing while another transaction is telling them."""
    return [NoticeToTell(*row) for row in (await connection.execute(UNTOLD)).all()]


async def told(connection: AsyncConnection, ids: Sequence[int]) -> None:
    """Remember that the team has been told."""
    await connection.execute(TOLD, {"ids": list(ids)})
