"""One poll of a source account by a watch; a day whose requests are used up is no failure of it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from handoff.errors import QuotaUsedUp
from handoff.ledger import cursors, notices
from handoff.ledger.quotas import next_day
from hooks.last_poll import LastPoll, failing, resting
from operators.work import open_engine

log = logging.getLogger(__name__)

Poll = Callable[[AsyncEngine], Awaitable[dict[str, Any]]]
"""Polls and records. It writes the account's cursor whatever the poll brings; pokes are heeded when it did not fail."""


async def poll_once(ledger_conn_id: str, source: str, account: str, poll: Poll) -> dict[str, Any]:
    """Poll an account. When its day is used up, let it rest until the next one begins, and tell the team once.

    :returns: what ``poll`` returns, or ``{"resumes_at": ISO}``.
    """
    async with open_engine(ledger_conn_id) as engine:
        async with engine.connect() as ledger:
            last = LastPoll.parse(await cursors.read(ledger, source, account))
        try:
            return await poll(engine)
        except QuotaUsedUp as error:
            log.warning("%s", error)
            resume_at = await _rest(engine, source, account, error)
            return {"resumes_at": resume_at.isoformat()}
        except Exception:
            async with engine.begin() as ledger:
                await _note(ledger, source, account, lambda cursor: failing(cursor, last.failed + 1))
            raise


async def _rest(engine: AsyncEngine, source: str, account: str, error: QuotaUsedUp) -> datetime:
    now = datetime.now(UTC)
    resume_at = now + timedelta(seconds=error.retry_after) if error.retry_after else next_day(now)
    words = (
        f"{account}: no request of the day is left for polling; what happens there is heard of from "
        f"{resume_at:%Y-%m-%d %H:%M} UTC on ({error.words})"
    )
    async with engine.begin() as ledger:
        await _note(ledger, source, account, lambda cursor: resting(cursor, resume_at))
        await notices.stands(ledger, f"quota/{account}/polling", "quota", words, 1)
    return resume_at


async def _note(ledger: AsyncConnection, source: str, account: str, more: Callable[[str], str]) -> None:
    """Add something to the account's cursor, if it has one."""
    if text := await cursors.read(ledger, source, account):
        await cursors.write(ledger, source, account, more(text))
