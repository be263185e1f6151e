"""Insightly's and Callexa's stand-ins with Airflow connections and rule files that lead to them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from airflow.sdk import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger.connect import open_ledger_async
from handoff.rules.rule import Rule
from hooks import accounts
from hooks.ledger import LedgerHook
from operators import callexa, insightly, next_poll
from sandbox import CALLEXA_APIKEY, CALLEXA_LOGIN, INSIGHTLY_KEY, Sandbox, Scenario

SURVEY = "Kundenzufriedenheit"


class Crm:
    """The stand-ins, the connections ``insightly_default`` and ``callexa_default``, and a folder of rules."""

    def __init__(self, sandbox: Sandbox, http: aiohttp.ClientSession, folder: Path) -> None:
        self.sandbox, self._http, self.folder = sandbox, http, folder
        self.extra: dict[str, Any] = {"timeout": 5, "requests_per_second": 1000, "settling_seconds": 0.1}
        self.apikey = CALLEXA_APIKEY

    def connection(self, conn_id: str) -> Connection:
        """Return a connection as it is now; its vendor is the first part of its id."""
        vendor = conn_id.partition("_")[0]
        login, password = {"insightly": (None, INSIGHTLY_KEY), "callexa": (CALLEXA_LOGIN, self.apikey)}[vendor]
        host, extra = f"{self.sandbox.http_url}/{vendor}", json.dumps(self.extra)
        return Connection(conn_id=conn_id, conn_type=vendor, host=host, login=login, password=password, extra=extra)

    def rule(self, **spec: Any) -> Rule:
        """Write a rule file and return its rule."""
        spec = {"title": spec["id"], "when": {"minutes": 0, "after": "answered"}} | spec
        (self.folder / f"{spec['id']}.yaml").write_text(yaml.safe_dump(spec))
        return Rule.model_validate(spec)

    async def order(self, call: str, **body: Any) -> Any:
        """Make one of the sandbox's own calls, e.g. ``callexa/answer``."""
        async with self._http.post(f"/_sandbox/{call}", json=body) as response:
            assert response.status in {200, 201}, await response.text()
            return await response.json()

    async def answer(self, rating: int | str, comment: str = "", email: str = "person0@example.org") -> None:
        """Let somebody answer, or change the answer."""
        await self.order("callexa/answer", email=email, rating=rating, comment=comment)

    async def queue_by_hand(self, survey: str, email: str) -> None:
        """Queue somebody for a survey, as its owner does in Callexa."""
        login = {"Authorization": aiohttp.encode_basic_auth(CALLEXA_LOGIN, CALLEXA_APIKEY)}
        path, body = f"/callexa/api/v2/surveys/{survey}/recipients", {"email": email, "name": ""}
        async with self._http.post(path, json=body, headers=login) as response:
            assert response.status == 201, await response.text()

    async def fault(self, kind: str, **order: Any) -> None:
        """Let Callexa go wrong."""
        await self.order("faults", **{"system": "callexa", "fault": kind, "changing_only": False, **order})

    async def asked(self, system: str) -> Counter[str]:
        """Return how often each path was asked since the start, in all outcomes."""
        async with self._http.get("/_sandbox/calls") as response:
            paths = (await response.json()).get(system, {"paths": {}})["paths"]
        return Counter({path: sum(outcomes.values()) for path, outcomes in paths.items()})

    async def struck(self) -> list[int]:
        """Return how often each fault in force struck."""
        async with self._http.get("/_sandbox/faults") as response:
            return [one["struck"] for one in (await response.json())["faults"]]

    def did(self, system: str) -> list[str]:
        """Return the effects of one system, in order."""
        return [one.action for one in self.sandbox.effects if one.system == system]


@asynccontextmanager
async def a_crm(
    scenario: dict[str, Any], home: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Crm]:
    """Run the stand-ins, with the tasks' connections, ledger and rules led to them."""
    folder = home / "include" / "handoffs"
    folder.mkdir(parents=True)
    monkeypatch.setenv("HANDOFFS_HOME", str(home))

    async def open_ledger(conn_id: str = "", *, connections: int = 4) -> AsyncEngine:
        return open_ledger_async(ledger_url, connections=connections)

    monkeypatch.setattr(LedgerHook, "open", open_ledger)
    async with (
        Sandbox(Scenario.model_validate(scenario)) as running,
        aiohttp.ClientSession(running.http_url) as http,
    ):
        crm = Crm(running, http, folder)

        async def connection_of(conn_id: str) -> Connection:
            return crm.connection(conn_id)

        for module in (accounts, callexa, insightly, next_poll):
            monkeypatch.setattr(module, "connection_of", connection_of)
        yield crm
