"""eTermin's appointments into the ledger: one poll, recorded, and the cursor moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import BaseAsyncOperator
from airflow.sdk.definitions.context import Context
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.appointments import Account
from handoff.ledger import cursors
from handoff.occasion import Occasion
from handoff.planner import Planned, plan_new_rules, record
from handoff.rule import Rule
from hooks.accounts import connection_of
from hooks.etermin import ETerminClient, ETerminHook
from hooks.etermin_cursor import FeedCursor
from hooks.etermin_poll import Polled, meaning, poll
from hooks.etermin_source import SOURCE, known_of
from hooks.ledger import LedgerHook
from hooks.source_rules import asks_newsletter, rules_of
from operators.work import open_engine


class RecordAppointmentsOperator(BaseAsyncOperator):
    """Polls an account once and records what it tells: appointments booked, changed or deleted.

    :param etermin_conn_id: the source account.
    :returns: counts only: appointments read, and events, new, moved and cancelled batches.
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
        conn_id, rules = self.etermin_conn_id, rules_of(SOURCE, self.etermin_conn_id)
        async with open_engine(self.ledger_conn_id) as engine:
            async with engine.connect() as connection:
                heeded = await cursors.poked(connection, SOURCE, conn_id)
                cursor = FeedCursor.parse(await cursors.read(connection, SOURCE, conn_id))
            # Noted whatever the poll brings: an account that does not answer is not asked without a pause.
            cursor.polled_at, cursor.heeded = datetime.now(UTC), heeded
            try:
                polled, occasions = await self._read(engine, cursor, rules)
                planned = await self._record(engine, occasions, rules)
                cursor = polled.cursor
            finally:
                async with engine.begin() as connection:
                    await cursors.write(connection, SOURCE, conn_id, cursor.text())
        self.log.info("%s appointments changed, recorded %s", len(polled.keys), planned)
        return {"appointments": len(polled.keys), **asdict(planned)}

    async def _read(
        self, engine: AsyncEngine, cursor: FeedCursor, rules: Sequence[Rule]
    ) -> tuple[Polled, Sequence[Occasion]]:
        conn_id = self.etermin_conn_id
        async with ETerminClient.from_connection(conn_id, await connection_of(conn_id)) as client:
            polled = await poll(client, cursor)
            for problem in polled.problems:
                self.log.error("%s: an appointment cannot be read: %s", conn_id, problem)
            async with engine.connect() as connection:
                known = await known_of(connection, conn_id, polled.keys)
            account = Account(SOURCE, conn_id, client.account.zone)
            return polled, await meaning(client, polled, known, account, newsletter=asks_newsletter(rules))

    async def _record(self, engine: AsyncEngine, occasions: Sequence[Occasion], rules: Sequence[Rule]) -> Planned:
        planned = await record(engine, occasions, rules)
        planned.new += (await plan_new_rules(engine, SOURCE, self.etermin_conn_id, rules)).new
        return planned
