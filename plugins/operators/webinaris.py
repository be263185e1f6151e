"""Webinaris' dates into the ledger: read the cursor, record what changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from airflow.sdk import BaseAsyncOperator
from airflow.sdk.definitions.context import Context

from handoff.ledger import cursors
from handoff.planner import plan_new_rules, record
from hooks.accounts import connection_of
from hooks.ledger import LedgerHook
from hooks.source_rules import rules_of
from hooks.webinaris import WebinarisClient, WebinarisHook
from operators.work import open_engine

SOURCE = "webinaris"


class WebinarisCursorOperator(BaseAsyncOperator):
    """Returns how far the account's dates have been recorded: unix seconds of the source's clock.

    :param webinaris_conn_id: the source account.
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

    async def aexecute(self, context: Context) -> float:
        """Read the cursor; 0 when nothing was ever recorded."""
        async with open_engine(self.ledger_conn_id) as engine, engine.connect() as connection:
            return float(await cursors.read(connection, SOURCE, self.webinaris_conn_id) or 0.0)


class RecordWebinarsOperator(WebinarisCursorOperator):
    """Records the dates that changed since the cursor, and lets new rules wait for known dates.

    :returns: counts only: events, repeated, new, moved and cancelled batches.
    """

    async def aexecute(self, context: Context) -> dict[str, int]:  # type: ignore[override]
        """Read, record, and move the cursor."""
        account = self.webinaris_conn_id
        async with open_engine(self.ledger_conn_id) as engine:
            async with engine.connect() as connection:
                since = await cursors.read(connection, SOURCE, account)
            async with WebinarisClient.from_connection(account, await connection_of(account)) as client:
                dates = await client.dates(updated_since=float(since) if since else None)
            for problem in dates.problems:
                self.log.error("%s: a date cannot be recorded: %s", account, problem)
            rules = rules_of(SOURCE, account)
            planned = await record(engine, dates.occasions, rules)
            planned.new += (await plan_new_rules(engine, SOURCE, account, rules)).new
            if dates.cursor:
                async with engine.begin() as connection:
                    await cursors.write(connection, SOURCE, account, repr(dates.cursor))
        self.log.info("recorded %s", planned)
        return asdict(planned)
