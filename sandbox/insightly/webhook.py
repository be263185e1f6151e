"""Insightly's workflow webhook: every change of a state is posted to one address (contract: insightly.md 1.9)."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp

from sandbox.basic import basic_header
from sandbox.insightly.answers import record_object
from sandbox.insightly.moments import webhook_text
from sandbox.insightly.record import Record
from sandbox.scenario_insightly import InsightlyModel
from sandbox.world import World

TRIES = 3
PAUSE = 0.1
PATIENCE = aiohttp.ClientTimeout(total=5)


async def post_news(world: World) -> None:
    """Post the news of the world's Insightly account, as long as nobody cancels it."""
    async with aiohttp.ClientSession(timeout=PATIENCE) as session:
        while True:
            account, model = world.insightly, world.scenario.insightly
            account.catch_up()
            news, account.news = account.news, []
            for record in news if model.webhook_url else ():
                tries, status = await _deliver(session, model, payload(record))
                if account is world.insightly:
                    account.record("webhook", record, tries=tries, status=status, state=record.state)
            await asyncio.sleep(PAUSE)


def payload(record: Record) -> dict[str, Any]:
    """Return ``{"entity": ...}`` with the moments in ASP.NET's way; other parts of the vendor's are not known."""
    kind = record.kind
    moments = {"DATE_CREATED_UTC": record.created, "DATE_UPDATED_UTC": record.updated, kind.closed: record.closed,
               "LAST_ACTIVITY_DATE_UTC": record.activity}  # fmt: skip
    shown = {name: None if moment is None else webhook_text(moment) for name, moment in moments.items()}
    return {"entity": {**record_object(record, brief=True), **shown}}


async def _deliver(session: aiohttp.ClientSession, model: InsightlyModel, content: dict[str, Any]) -> tuple[int, int]:
    """Post once and again twice at most; return the number of tries and the last status, 0 for none."""
    status, headers = 0, {}
    if model.webhook_user:
        headers["Authorization"] = basic_header(model.webhook_user, model.webhook_password)
    for tried in range(1, TRIES + 1):
        try:
            async with session.post(model.webhook_url, json=content, headers=headers) as response:
                status = response.status
        except (aiohttp.ClientError, TimeoutError):
            status = 0
        if 200 <= status < 300:
            return tried, status
        if tried < TRIES:
            await asyncio.sleep(model.webhook_retry_seconds)
    return TRIES, status
