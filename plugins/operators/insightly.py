"""Insightly's changes into the ledger: one poll, recorded, and the cursor moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import BaseAsyncOperator, Context
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from handoff.ledger import cursors, notices
from handoff.ledger.closings import last_of
from handoff.occasion import Occasion
from handoff.planning.closings import Account, name_of
from handoff.planning.planner import Planned, plan_new_rules, record
from handoff.rules.insightly import InsightlyRule
from hooks.accounts import connection_of
from hooks.insightly import InsightlyClient, InsightlyHook
from hooks.insightly_cursor import PollCursor
from hooks.insightly_poll import Polled, meaning, poll
from hooks.ledger import LedgerHook
from hooks.protocols.insightly_records import RecordKind
from hooks.source_rules import asked_states, asked_tags, rules_of
from operators.polling import poll_once


class RecordClosingsOperator(BaseAsyncOperator):
    """Polls an account once and records what its changes mean: records closed, or opened again.

    :param insightly_conn_id: the source account.
    :returns: counts only: records read, and events, new, moved and cancelled batches; of a day that is used up what
        :func:`operators.polling.poll_once` says.
    """

    template_fields: Sequence[str] = ("insightly_conn_id", "ledger_conn_id")

    def __init__(
        self,
        *,
        insightly_conn_id: str = InsightlyHook.default_conn_name,
        ledger_conn_id: str = LedgerHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.insightly_conn_id, self.ledger_conn_id = insightly_conn_id, ledger_conn_id

    async def aexecute(self, context: Context) -> dict[str, Any]:
        """Read, record, and move the cursor."""
        return await poll_once(self.ledger_conn_id, InsightlyHook.conn_type, self.insightly_conn_id, self._poll)

    async def _poll(self, engine: AsyncEngine) -> dict[str, Any]:
        conn_id = self.insightly_conn_id
        rules = [rule for rule in rules_of(InsightlyHook.conn_type, conn_id) if isinstance(rule, InsightlyRule)]
        account = Account(InsightlyHook.conn_type, conn_id, asked_tags(rules), asked_states(rules))
        async with engine.connect() as connection:
            heeded = await cursors.poked(connection, InsightlyHook.conn_type, conn_id)
            cursor = PollCursor.parse(await cursors.read(connection, InsightlyHook.conn_type, conn_id))
        # Noted whatever the poll brings: an account that does not answer is not asked without a pause.
        cursor.polled_at, given_up = datetime.now(UTC), list[str]()
        try:
            async with InsightlyClient.from_connection(conn_id, await connection_of(conn_id)) as client:
                polled = await poll(client, _kinds(rules), cursor)
                occasions = await meaning(client, polled, await _known(engine, conn_id, polled), account)
            for problem in polled.problems:
                self.log.error("%s: a record cannot be read: %s", conn_id, problem)
            planned = await self._record(engine, occasions, rules)
            cursor, given_up = polled.cursor, polled.given_up
            cursor.heeded = heeded
        finally:
            async with engine.begin() as connection:
                await cursors.write(connection, InsightlyHook.conn_type, conn_id, cursor.text())
                if given_up:
                    await _tell(connection, conn_id, given_up)
        self.log.info("%s records changed, recorded %s", len(polled.records), planned)
        return {"records": len(polled.records), **asdict(planned)}

    async def _record(
        self, engine: AsyncEngine, occasions: Sequence[Occasion], rules: Sequence[InsightlyRule]
    ) -> Planned:
        planned = await record(engine, occasions, rules)
        planned.new += (await plan_new_rules(engine, InsightlyHook.conn_type, self.insightly_conn_id, rules)).new
        return planned


async def _known(engine: AsyncEngine, conn_id: str, polled: Polled) -> dict[str, Occasion]:
    names = {*map(name_of, polled.records), *polled.cursor.doubtful}
    async with engine.connect() as connection:
        return await last_of(connection, InsightlyHook.conn_type, conn_id, sorted(names))


async def _tell(connection: AsyncConnection, conn_id: str, given_up: Sequence[str]) -> None:
    """Note for the team that nobody is handed over for records of which nothing says when they were closed."""
    words = (
        f"{conn_id}: {given_up[-1]}. Nobody is handed over for it. When the history can be read again, an edit of the "
        f"record in Insightly has it looked at anew; else hand over by hand: handoff add-recipient"
    )
    await notices.notice(connection, f"history/{conn_id}", "history", words, len(given_up))


def _kinds(rules: Sequence[InsightlyRule]) -> set[RecordKind]:
    """Return the kinds of records that some rule waits for; what no rule waits for costs no request."""
    kinds: set[RecordKind] = set()
    for rule in rules:
        kinds |= {"opportunity"} if rule.opportunities else set()
        kinds |= {"project"} if rule.projects else set()
    return kinds
