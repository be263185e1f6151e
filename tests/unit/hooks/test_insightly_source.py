"""The end of an Insightly source while it still reads."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from airflow.sdk import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from handoff.occasion import Occasion
from hooks.insightly import InsightlyAccount, InsightlyClient
from hooks.insightly_source import InsightlySource

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
WON = Occasion("insightly", "crm", "opportunity/31/1", "Chance 31", {"closed": NOON}, series="opportunity/31")
CRM = Connection(conn_id="crm", conn_type="insightly", host="http://127.0.0.1:1", password="0a1b2c3d")


async def test_nothing_is_read_any_more_once_it_is_closed() -> None:
    """Who asked gave up; what is read for all who ask goes on, until the source is closed."""
    begun, never = asyncio.Event(), asyncio.Event()

    async def wait_for_a_slot() -> None:
        begun.set()
        await never.wait()

    client = InsightlyClient(InsightlyAccount.from_connection("crm", CRM), throttle=wait_for_a_slot)
    source = InsightlySource(client, create_async_engine("postgresql+psycopg://"), frozenset())
    before = asyncio.all_tasks()
    asking = asyncio.create_task(source.occasion(WON))
    await begun.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert len(asyncio.all_tasks() - before) == 1
    await source.close()
    await source.close()
    assert asyncio.all_tasks() == before
