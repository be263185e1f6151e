"""The eTermin stand-in, a receiver that it pushes to, and the account and rules that connect them to a ledger."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn
from airflow.sdk import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger import cursors
from handoff.rules.rule import Rule
from handoff.source import Source
from hooks.accounts import open_source
from hooks.etermin import ETerminHook
from operators.etermin import RecordAppointmentsOperator
from operators.next_poll import NextPollOperator
from sandbox import Sandbox, Scenario
from sandbox.credentials import ETERMIN_PRIVATEKEY, ETERMIN_PUBLICKEY, QUENTN_APIKEY
from tests.support.pushing import ledger_connection
from tests.support.rows import rows
from web.app import create_app
from web.ledger import close_ledger

CONN, SECRET = "etermin_default", "push-secret-0123456"
EVA = {"firstname": "Eva", "lastname": "Möller", "email": "eva@example.org", "notes": "Bitte klingeln, Tür 3"}
WORLD: dict[str, Any] = {
    "services": [{"id": 501, "name": "Erstgespräch", "minutes": 30}],
    "calendars": [{"id": 90709, "name": "Beratung", "services": ["Erstgespräch"]}, {"id": 90710, "name": "Coaching"}],
}
QUENTN: dict[str, Any] = {
    "fields": [
        {"name": "termin_beginn", "label": "Termin Beginn", "type": "date"},
        {"name": "termin_ende", "label": "Termin Ende", "type": "date"},
    ]
}
KLICKTIPP: dict[str, Any] = {
    "tags": ["Termin"],
    "fields": [{"id": 7, "label": "Beginn", "type": "datetime"}, {"id": 8, "label": "Ende", "type": "datetime"}],
}
ACTIVECAMPAIGN: dict[str, Any] = {"per_second": None, "tags": ["Termin"], "fields": ["Beginn", "Ende"]}
OCCASIONS = "SELECT key, cancelled FROM handoff.occasions ORDER BY id"
BATCHES = """
    SELECT batch.rule_id, occasion.key, batch.state FROM handoff.batches AS batch
    JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id ORDER BY batch.id
"""


def rule(rule_id: str, when: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a rule of the account, as its file has it."""
    steps = [{"step": "klicktipp.tag", "tag": "Termin"}]
    return {"id": rule_id, "title": rule_id, "source": "etermin", "when": when, "steps": steps, **more}


def put_rules(home: Path, *given: dict[str, Any]) -> list[Rule]:
    """Have these rules and no others in a project's folder, and return them."""
    folder = home / "include" / "handoffs"
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.yaml"):
        path.unlink()
    for one in given:
        (folder / f"{one['id']}.yaml").write_text(json.dumps(one))
    return [Rule.model_validate(one) for one in given]


RULES = (
    rule("booked", {"minutes": 0, "after": "booked"}),
    rule("modified", {"minutes": 0, "after": "modified"}),
    rule("deleted", {"minutes": 0, "after": "deleted"}),
    rule("reminder", {"hours": 1, "before": "start"}),
)


class ETermin:
    """What a test does to the account, and what it lets the project do.

    :ivar url: where its pushes are taken, when a receiver runs.
    """

    def __init__(
        self, sandbox: Sandbox, http: aiohttp.ClientSession, ledger: AsyncEngine, home: Path,
        patch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        self.sandbox, self.ledger = sandbox, ledger
        self._http, self._home, self._patch, self.url = http, home, patch, ""
        self.account()
        self.rules(*RULES)

    def account(self, private: str = ETERMIN_PRIVATEKEY, **extra: Any) -> None:
        """Say what the connection says from now on."""
        fields = {"timezone": "Europe/Berlin", "timeout": 5, "requests_per_second": 1000, "webhook_secrets": SECRET}
        values = {
            "conn_type": "etermin", "host": f"{self.sandbox.http_url}/etermin", "login": ETERMIN_PUBLICKEY,
            "password": private, "extra": fields | extra,
        }  # fmt: skip
        self._patch.setenv("AIRFLOW_CONN_ETERMIN_DEFAULT", json.dumps(values))

    def quentn(self) -> Connection:
        """Return the connection of the stand-in's Quentn account."""
        extra = {"mail_status_unknown": 1, "mail_status_single": 4, "mail_status_double": 5, "settling_seconds": 0}
        host = f"{self.sandbox.http_url}/quentn"
        return Connection(
            conn_id="quentn_default", conn_type="quentn", host=host, password=QUENTN_APIKEY, extra=json.dumps(extra)
        )

    def rules(self, *given: dict[str, Any]) -> list[Rule]:
        """Have these rules and no others, and return them."""
        return put_rules(self._home, *given)

    async def order(self, call: str, **body: Any) -> Any:
        """Let a customer or the account's owner do something, in a second after what was read before.

        eTermin's clock, which says how old a reading is, counts in seconds.
        """
        second = int(time.time())
        await until(lambda: int(time.time()) > second)
        async with self._http.post(f"/_sandbox/etermin/{call}", json=body) as response:
            assert response.status in {200, 201}, await response.text()
            return await response.json()

    async def fault(self, path: str, kind: str) -> None:
        """Let the reads of a path go wrong from now on."""
        body = {"system": "etermin", "fault": kind, "path": path, "changing_only": False}
        async with self._http.post("/_sandbox/faults", json=body) as response:
            assert response.status in {200, 201}, await response.text()

    async def book(self, uid: str = "a1", start: str = "+2d", **more: Any) -> None:
        """Book an appointment now."""
        about = EVA | {"calendar": "Beratung", "service": "Erstgespräch"} | more
        await self.order("book", uid=uid, start=start, **about)

    async def poll(self) -> dict[str, Any]:
        """Let the watching DAG's task run once."""
        found: dict[str, Any] = await RecordAppointmentsOperator(task_id="record").aexecute({})
        return found

    async def planned(self) -> dict[str, Any]:
        """Return when the account is to be polled again."""
        return await NextPollOperator(task_id="next", hook=ETerminHook, account=CONN, requests=2).aexecute({})

    async def source(self) -> Source:
        """Return the account as the rules' DAGs open it."""
        return await open_source("etermin", CONN, self.ledger)

    async def pokes(self) -> str:
        """Return a text that changes with every poke."""
        async with self.ledger.connect() as connection:
            return await cursors.poked(connection, "etermin", CONN)

    def pushes(self) -> list[dict[str, Any]]:
        """Return what the stand-in pushed so far, in order."""
        return [one.detail for one in self.sandbox.effects.since(system="etermin") if one.action == "push"]

    async def until_pushed(self, count: int) -> None:
        """Wait until so many pushes were accepted, and what they say is recorded."""
        await until(lambda: sum(one["accepted"] for one in self.pushes()) >= count)
        waiting = "SELECT count(*) FROM handoff.deliveries WHERE processed_at IS NULL"
        async with asyncio.timeout(60):
            while await rows(self.ledger, waiting) != [(0,)]:
                await asyncio.sleep(0.02)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def receiving() -> AsyncIterator[str]:
    """Serve the receiver until the block ends; return the address that takes the account's pushes."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        config = uvicorn.Config(create_app(), lifespan="off", log_level="error", access_log=False, ws="none")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([listening]))
        try:
            yield f"http://127.0.0.1:{port}/webhooks/{CONN}"
        finally:
            server.should_exit = True
            await serving
    await close_ledger()


@asynccontextmanager
async def etermin_world(
    ledger: AsyncEngine, ledger_url: str, home: Path, patch: pytest.MonkeyPatch, **settings: Any
) -> AsyncIterator[ETermin]:
    """Run the stand-in, and let Airflow's environment name it, the ledger and a folder of rules.

    :param settings: of the account, in words of the scenario file.
    """
    patch.setenv("AIRFLOW_CONN_HANDOFF_LEDGER", ledger_connection(ledger_url))
    patch.setenv("HANDOFFS_HOME", str(home))
    scenario = Scenario.model_validate({
        "etermin": WORLD | settings, "quentn": QUENTN, "klicktipp": KLICKTIPP, "activecampaign": ACTIVECAMPAIGN,
    })  # fmt: skip
    async with Sandbox(scenario) as running, aiohttp.ClientSession(running.http_url) as http:
        yield ETermin(running, http, ledger, home, patch)
