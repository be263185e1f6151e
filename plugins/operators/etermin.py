"""eTermin's appointments into the ledger: one poll, recorded, and the cursor moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import BaseAsyncOperator, Context
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger import cursors
from handoff.planning.appointments import Account
from handoff.planning.planner import Planned, plan_new_rules, record_one
from handoff.rules.rule import Rule
from hooks.accounts import connection_of
from hooks.etermin import ETerminClient, ETerminHook
from hooks.etermin_calendars import look_up_calendars
from hooks.etermin_cursor import FeedCursor
from hooks.etermin_meaning import meaning
from hooks.etermin_poll import Polled, poll
from hooks.etermin_source import known_of
from hooks.ledger import LedgerHook
from hooks.source_rules import rules_of
from operators.polling import poll_once


class RecordAppointmentsOperator(BaseAsyncOperator):
    """Polls an account once and records what it tells: appointments booked, changed or deleted.

    :param etermin_conn_id: the source account.
    :returns: counts only: appointments read, and events, new, moved and cancelled batches; of a day that is used up
        what :func:`operators.polling.poll_once` says.
    """

    template_fields: Sequence[str] = ("etermin_conn_id", "ledger_conn_id")

    def __init__(
        self,
        *,
        etermin_conn_id: str = ETerminHook.default_conn_name,
        ledger_conn_id: str = LedgerHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.etermin_conn_id, self.ledger_conn_id = etermin_conn_id, ledger_conn_id

    async def aexecute(self, context: Context) -> dict[str, Any]:
        """Read, record, and move the cursor."""
        return await poll_once(self.ledger_conn_id, ETerminHook.conn_type, self.etermin_conn_id, self._poll)

    async def _poll(self, engine: AsyncEngine) -> dict[str, Any]:
        conn_id, rules = self.etermin_conn_id, rules_of(ETerminHook.conn_type, self.etermin_conn_id)
        async with engine.connect() as connection:
            heeded = await cursors.poked(connection, ETerminHook.conn_type, conn_id)
            cursor = FeedCursor.parse(await cursors.read(connection, ETerminHook.conn_type, conn_id))
        # Noted whatever the poll brings: an account that does not answer is not asked without a pause.
        cursor.polled_at = datetime.now(UTC)
        try:
            polled, planned = await self._record(engine, cursor, rules)
            cursor = polled.cursor
            cursor.heeded = heeded
        finally:
            async with engine.begin() as connection:
                await cursors.write(connection, ETerminHook.conn_type, conn_id, cursor.text())
        self.log.info("%s appointments changed, recorded %s", len(polled.keys), planned)
        return {"appointments": len(polled.keys), **asdict(planned)}

    async def _record(self, engine: AsyncEngine, cursor: FeedCursor, rules: Sequence[Rule]) -> tuple[Polled, Planned]:
        conn_id, planned = self.etermin_conn_id, Planned()
        async with ETerminClient.from_connection(conn_id, await connection_of(conn_id)) as client:
            polled = await poll(client, cursor)
            account = Account(ETerminHook.conn_type, conn_id, client.account.zone)
            async with engine.connect() as connection:
                known = await known_of(connection, conn_id, polled.keys)
            try:
                async for occasion in meaning(client, polled, known, account, rules):
                    async with engine.begin() as connection:
                        await record_one(connection, occasion, rules, planned)
            finally:
                for problem in polled.problems:
                    self.log.error("%s: not everything about an appointment can be read: %s", conn_id, problem)
            await look_up_calendars(client, engine, rules)
        planned.new += (await plan_new_rules(engine, ETerminHook.conn_type, conn_id, rules)).new
        return polled, planned
