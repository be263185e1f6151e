"""Insightly's stand-in, an account of it, and the rules that wait for it: polled as the watch's task does."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from airflow.sdk import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger import cursors
from handoff.ledger.connect import open_ledger_async
from handoff.rules.rule import Rule
from hooks.insightly_source import InsightlySource
from hooks.ledger import LedgerHook
from operators import insightly as operator_module
from operators import next_poll as next_poll_module
from operators.insightly import RecordClosingsOperator
from sandbox import INSIGHTLY_KEY, Sandbox, Scenario

CONN = "insightly_default"
RULE: dict[str, Any] = {
    "id": "won", "title": "Won", "source": "insightly", "when": {"minutes": 0, "after": "closed"},
    "steps": [{"step": "klicktipp.tag", "tag": "Kunde"}],
}  # fmt: skip
WORLD: dict[str, Any] = {
    "per_second": None,
    "contacts": [
        {"id": 101, "firstname": "Anna", "lastname": "Öz", "email": "anna@example.org"},
        {"id": 102, "firstname": "Bert", "email": "bert@example.org"},
        {"id": 103, "firstname": "Ohne", "email": ""},
        {"id": 104, "firstname": "Falsch", "email": "kein@@punkt"},
        {"id": 105, "firstname": "Anna2", "email": "ANNA@example.org"},
    ],
    "opportunities": [
        {"id": 31, "name": "Geheim", "contacts": [101]},
        {"id": 32, "name": "Zwei", "contacts": [101, 102]},
        {"id": 33, "name": "Keiner"},
        {"id": 34, "name": "Seltsam", "contacts": [103, 104, 101, 105]},
    ],
    "projects": [{"id": 51, "name": "Umzug", "contacts": [102]}],
}
OCCASIONS = "SELECT key, cancelled, facts FROM handoff.occasions ORDER BY id"


class Insightly:
    """The stand-in, an account that points to it, and the rules that wait for it."""

    def __init__(self, sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
        self.sandbox, self._http = sandbox, http
        self.rules = [Rule.model_validate(RULE)]
        self.extra: dict[str, Any] = {"timeout": 5, "requests_per_second": 1000}
        self.key = INSIGHTLY_KEY
        self._asked = Counter[str]()

    @property
    def connection(self) -> Connection:
        host = f"{self.sandbox.http_url}/insightly"
        return Connection(
            conn_id=CONN, conn_type="insightly", host=host, password=self.key, extra=json.dumps(self.extra)
        )

    async def order(self, call: str, **body: Any) -> Any:
        async with self._http.post(f"/_sandbox/insightly/{call}", json=body) as response:
            assert response.status in {200, 201}, await response.text()
            return await response.json()

    async def state(self, number: int, state: str, kind: str = "Opportunities") -> None:
        await self.order("state", object=kind, id=number, state=state)

    async def open_ids(self, count: int) -> list[int]:
        """Return so many opportunities that are open."""
        login = {"Authorization": aiohttp.encode_basic_auth(self.key, "")}
        async with self._http.get("/insightly/v3.1/Opportunities", params={"top": "500"}, headers=login) as response:
            rows = await response.json()
        return [row["OPPORTUNITY_ID"] for row in rows if row["OPPORTUNITY_STATE"] == "OPEN"][:count]

    async def asked(self) -> dict[str, int]:
        """Return how often each path was asked since the last time."""
        async with self._http.get("/_sandbox/calls") as response:
            paths = (await response.json()).get("insightly", {"paths": {}})["paths"]
        total = Counter({path.removeprefix("GET "): sum(outcomes.values()) for path, outcomes in paths.items()})
        fresh, self._asked = dict(total - self._asked), total
        return fresh

    async def poll(self) -> dict[str, Any]:
        found: dict[str, Any] = await RecordClosingsOperator(task_id="record").aexecute({})
        return found

    async def fault(self, path: str, kind: str = "403", **order: Any) -> None:
        """Let the reads of a path go wrong."""
        body = {"system": "insightly", "fault": kind, "path": path, "changing_only": False, **order}
        async with self._http.post("/_sandbox/faults", json=body) as response:
            assert response.status in {200, 201}, await response.text()

    async def mend(self) -> None:
        """Let nothing go wrong any more."""
        async with self._http.delete("/_sandbox/faults") as response:
            assert response.status < 300, await response.text()

    def source(self, ledger: AsyncEngine) -> InsightlySource:
        """Return the account as deliveries and the sweep see it."""
        return InsightlySource.from_connection(CONN, self.connection, ledger, ())


@asynccontextmanager
async def insightly_world(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch, world: dict[str, Any] = WORLD
) -> AsyncIterator[Insightly]:
    """Run the stand-in, with the tasks' connection, ledger and rules led to it."""

    async def open_ledger(conn_id: str = "", *, connections: int = 4) -> AsyncEngine:
        return open_ledger_async(ledger_url, connections=connections)

    async with (
        Sandbox(Scenario.model_validate({"insightly": world})) as running,
        aiohttp.ClientSession(running.http_url) as http,
    ):
        crm = Insightly(running, http)

        async def connection_of(conn_id: str) -> Connection:
            return crm.connection

        monkeypatch.setattr(LedgerHook, "open", open_ledger)
        for module in (operator_module, next_poll_module):
            monkeypatch.setattr(module, "connection_of", connection_of)
        monkeypatch.setattr(operator_module, "rules_of", lambda source, conn_id: crm.rules)
        yield crm


async def cursor_of(ledger: AsyncEngine) -> dict[str, Any]:
    """Return how far the account has been read, as the ledger keeps it."""
    async with ledger.connect() as connection:
        return json.loads(await cursors.read(connection, "insightly", CONN) or "{}")
