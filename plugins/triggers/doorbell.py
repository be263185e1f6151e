"""The doorbell: rings a rule's asset a little before its next moment.

All rules' watchers share one stream: one connection to the ledger, one query, whatever waits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Hashable
from typing import Any

from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from psycopg import AsyncConnection as DriverConnection
from psycopg import Error as DriverError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from handoff.errors import HandoffError
from handoff.ledger import bells, lanes
from handoff.ledger.bells import Bell
from hooks.ledger import LedgerHook

log = logging.getLogger(__name__)

LONGEST_SLEEP_SECONDS = 5.0
RING_AGAIN_SECONDS = 20.0
RECONNECT_SECONDS = 2.0

_switched_on: defaultdict[str, set[str]] = defaultdict(set)
"""By ledger the rules whose bell has just begun to be watched: the shared stream has yet to look after them."""


class DoorbellTrigger(BaseEventTrigger):
    """Fires when a rule has something to do soon.

    The event's payload names the rule, the moment and when the bell rang (unix seconds). Airflow
    may merge or repeat events: a run claims from the ledger whatever is due, whoever rang.

    :param rule_id: the rule whose batches ring.
    :param order_group: the group whose lanes ring; several rules may share it.
    """

    def __init__(self, rule_id: str, order_group: str, ledger_conn_id: str = LedgerHook.default_conn_name) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rule_id, self.order_group, self.ledger_conn_id = rule_id, order_group, ledger_conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and its plain arguments."""
        kwargs = {"rule_id": self.rule_id, "order_group": self.order_group, "ledger_conn_id": self.ledger_conn_id}
        return "triggers.doorbell.DoorbellTrigger", kwargs

    def shared_stream_key(self) -> Hashable | None:
        """All rules on one ledger share one stream."""
        return ("handoff-doorbell", self.ledger_conn_id)

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[list[Bell]]:
        """Yield the bells that are to ring now, for ever; a lost ledger is waited for."""
        chime = Chime()
        while True:
            engine = None
            try:
                engine = await LedgerHook.open(kwargs["ledger_conn_id"], connections=1)
                async with engine.connect() as opened:
                    connection = await opened.execution_options(isolation_level="AUTOCOMMIT")
                    await connection.exec_driver_sql(f"LISTEN {bells.CHANNEL}")
                    while True:
                        await chime.welcome(connection, _switched_on[kwargs["ledger_conn_id"]])
                        ringing, pause = await chime.look(connection)
                        if ringing:
                            yield ringing
                        await _news(connection, pause)
            except (SQLAlchemyError, DriverError, OSError, HandoffError, AirflowNotFoundException) as error:
                log.warning("the ledger cannot be read (%s); trying again", type(error).__name__)
                await asyncio.sleep(RECONNECT_SECONDS)
            finally:
                if engine is not None:
                    await engine.dispose()

    async def filter_shared_stream(self, shared_stream: AsyncIterator[list[Bell]]) -> AsyncIterator[TriggerEvent]:
        """Turn this rule's bells into events, one for each look at the ledger.

        Airflow watches the bell of a paused DAG no longer: where a watch begins, the DAG may have been unpaused.
        """
        _switched_on[self.ledger_conn_id].add(self.rule_id)
        async for ringing in shared_stream:
            mine = [bell.moment for bell in ringing if bell.name == self._name(bell)]
            if mine:
                moment = min(mine).isoformat()
                payload = {"rule_id": self.rule_id, "moment": moment, "rung_at": time.time()}
                yield TriggerEvent(payload)  # type: ignore[no-untyped-call]

    def _name(self, bell: Bell) -> str:
        return self.rule_id if bell.kind == "batch" else self.order_group

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ring for this rule alone; used where the triggerer does not share streams."""
        async for event in self.filter_shared_stream(self.open_shared_stream(self.serialize()[1])):
            yield event


class Chime:
    """Remembers what has rung, so that a moment rings once, and again only if nobody came."""

    def __init__(self) -> None:
        self._rung: dict[tuple[str, str], tuple[object, float]] = {}

    async def welcome(self, connection: AsyncConnection, rules: set[str]) -> None:
        """Let the lanes go on that rest because these rules were paused; empties the set."""
        for rule_id in sorted(rules):
            await lanes.wake(connection, lanes.paused_scope(rule_id))
            self._rung.pop(("batch", rule_id), None)
            rules.discard(rule_id)

    async def look(self, connection: AsyncConnection) -> tuple[list[Bell], float]:
        """Return the bells to ring now, and the seconds after which to look again."""
        lead = await bells.lead_seconds(connection)
        waiting = await bells.due(connection, lead)
        ringing = [bell for bell in waiting if self._rings(bell)]
        pause = await bells.seconds_to_next(connection, lead)
        longest = 1.0 if waiting else LONGEST_SLEEP_SECONDS
        return ringing, longest if pause is None else min(pause, longest)

    def _rings(self, bell: Bell) -> bool:
        moment, rung_at = self._rung.get((bell.kind, bell.name), (None, 0.0))
        if moment == bell.moment and time.monotonic() - rung_at < RING_AGAIN_SECONDS:
            return False
        self._rung[bell.kind, bell.name] = (bell.moment, time.monotonic())
        return True


async def _news(connection: AsyncConnection, pause: float) -> None:
    """Wait for word of changed moments, ``pause`` seconds at most."""
    driver = (await connection.get_raw_connection()).driver_connection
    if isinstance(driver, DriverConnection):
        async for _ in driver.notifies(timeout=pause, stop_after=1):
            pass
