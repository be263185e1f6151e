"""Webinaris' dates into the ledger: when to look, how far was read, and recording what changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import BaseAsyncOperator, Context
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger import cursors
from handoff.planning.planner import plan_new_rules, record
from hooks.accounts import connection_of
from hooks.ledger import LedgerHook
from hooks.source_rules import rules_of
from hooks.webinaris import WebinarisClient, WebinarisHook
from hooks.webinaris_cursor import DatesCursor
from operators.next_poll import NextPollOperator
from operators.polling import poll_once


class NextWebinarPollOperator(NextPollOperator):
    """Returns when an account is to be polled again where its requests are limited, and how far it has been recorded.

    :returns: see :class:`~operators.next_poll.NextPollOperator`; and ``since``, unix seconds of the source's clock.
    """

    def more(self, cursor: str | None) -> dict[str, Any]:
        """Return how far the dates have been recorded; 0 when nothing was ever recorded."""
        return {"since": DatesCursor.parse(cursor).since}


class RecordWebinarsOperator(BaseAsyncOperator):
    """Records the dates that changed since the cursor, and lets new rules wait for known dates.

    :param webinaris_conn_id: the source account.
    :returns: counts only: events, repeated, new, moved and cancelled batches; of a day that is used up what
        :func:`operators.polling.poll_once` says.
    """

    template_fields: Sequence[str] = ("webinaris_conn_id", "ledger_conn_id")

    def __init__(
        self,
        *,
        webinaris_conn_id: str = WebinarisHook.default_conn_name,
        ledger_conn_id: str = LedgerHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.webinaris_conn_id, self.ledger_conn_id = webinaris_conn_id, ledger_conn_id

    async def aexecute(self, context: Context) -> dict[str, Any]:
        """Read, record, and move the cursor."""
        return await poll_once(self.ledger_conn_id, WebinarisHook.conn_type, self.webinaris_conn_id, self._poll)

    async def _poll(self, engine: AsyncEngine) -> dict[str, Any]:
        account = self.webinaris_conn_id
        async with engine.connect() as connection:
            heeded = await cursors.poked(connection, WebinarisHook.conn_type, account)
            cursor = DatesCursor.parse(await cursors.read(connection, WebinarisHook.conn_type, account))
        # Noted whatever the poll brings: an account that does not answer is not asked without a pause.
        cursor.polled_at = datetime.now(UTC)
        try:
            async with WebinarisClient.from_connection(account, await connection_of(account)) as client:
                dates = await client.dates(updated_since=cursor.since or None)
            for problem in dates.problems:
                self.log.error("%s: a date cannot be recorded: %s", account, problem)
            rules = rules_of(WebinarisHook.conn_type, account)
            planned = await record(engine, dates.occasions, rules)
            planned.new += (await plan_new_rules(engine, WebinarisHook.conn_type, account, rules)).new
            cursor.since, cursor.heeded = dates.cursor or cursor.since, heeded
        finally:
            async with engine.begin() as connection:
                await cursors.write(connection, WebinarisHook.conn_type, account, cursor.text())
        self.log.info("recorded %s", planned)
        return asdict(planned)
