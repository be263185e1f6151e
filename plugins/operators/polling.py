"""One poll of a source account by a watch; a day whose requests are used up is no failure of it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.errors import QuotaUsedUp
from handoff.ledger import cursors, notices
from handoff.ledger.quotas import next_day
from hooks.last_poll import resting
from operators.work import open_engine

log = logging.getLogger(__name__)

Poll = Callable[[AsyncEngine], Awaitable[dict[str, Any]]]
"""Polls and records. It writes the account's cursor whatever the poll brings."""


async def poll_once(ledger_conn_id: str, source: str, account: str, poll: Poll) -> dict[str, Any]:
    """Poll an account. When its day is used up, let it rest until the next one begins, and tell the team once.

    :returns: what ``poll`` returns, or ``{"resumes_at": ISO}``.
    """
    async with open_engine(ledger_conn_id) as engine:
        try:
            return await poll(engine)
        except QuotaUsedUp as error:
            log.warning("%s", error)
            resume_at = await _rest(engine, source, account, error)
            return {"resumes_at": resume_at.isoformat()}


async def _rest(engine: AsyncEngine, source: str, account: str, error: QuotaUsedUp) -> datetime:
    now = datetime.now(UTC)
    resume_at = now + timedelta(seconds=error.retry_after) if error.retry_after else next_day(now)
    words = (
        f"{account}: no request of the day is left for polling; what happens there is heard of from "
        f"{resume_at:%Y-%m-%d %H:%M} UTC on ({error.words})"
    )
    async with engine.begin() as ledger:
        if text := await cursors.read(ledger, source, account):
            await cursors.write(ledger, source, account, resting(text, resume_at))
        await notices.stands(ledger, f"quota/{account}/polling", "quota", words, 1)
    return resume_at
