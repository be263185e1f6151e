"""A person planted everywhere, and everything that a run writes where people without the ledger may look."""

from __future__ import annotations

import json
import logging
import traceback
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from airflow.sdk import BaseAsyncOperator, Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.contact import Contact
from handoff.delivery import sweep
from handoff.ledger.connect import open_ledger_async
from handoff.ledger.erasure import erase
from handoff.occasion import Occasion
from handoff.planning.planner import record
from handoff.registration import Registration
from handoff.rules.rule import Rule
from hooks import accounts
from hooks.ledger import LedgerHook
from operators import callexa, etermin, insightly, work
from sandbox import credentials
from tests.support.domain import FixedSource, a_rule, an_occasion
from tests.support.hostile import Answer
from tests.support.rows import everything, rows
from tests.support.tasks import context_of, run_dag

EMAIL, FIRST, LAST, PHONE = "xenia.q7@planted.example.org", "Xeniaq", "Zwickelhuber", "+49 151 70074711"
SECRETS = (
    credentials.KLICKTIPP_PASSWORD, credentials.KLICKTIPP_DEVELOPER_KEY, credentials.ACTIVECAMPAIGN_TOKEN,
    credentials.SMTP_PASSWORD, credentials.WEBINARIS_APIKEY, "planted-webinaris-key",
    credentials.INSIGHTLY_KEY, b64encode(f"{credentials.INSIGHTLY_KEY}:".encode()).decode(),
    credentials.CALLEXA_APIKEY,
    b64encode(f"{credentials.CALLEXA_LOGIN}:{credentials.CALLEXA_APIKEY}".encode()).decode(),
    credentials.QUENTN_APIKEY, credentials.ETERMIN_PRIVATEKEY,
)  # fmt: skip
PLANTED = ("xenia.q7", FIRST, LAST, "70074711", *SECRETS)
KNOWN = f"{FIRST} {LAST} <{EMAIL}> {PHONE} {quote(EMAIL)} {quote(EMAIL).upper()} {quote(quote(EMAIL))}?{quote(PHONE)}"
LOGINS = {
    "klicktipp": (credentials.KLICKTIPP_USERNAME, credentials.KLICKTIPP_PASSWORD),
    "activecampaign": (None, credentials.ACTIVECAMPAIGN_TOKEN),
    "quentn": (None, credentials.QUENTN_APIKEY),
    "insightly": (None, credentials.INSIGHTLY_KEY),
    "callexa": (credentials.CALLEXA_LOGIN, credentials.CALLEXA_APIKEY),
    "etermin": (credentials.ETERMIN_PUBLICKEY, credentials.ETERMIN_PRIVATEKEY),
}
EXTRAS: dict[str, dict[str, Any]] = {
    "quentn": {"mail_status_unknown": 1, "mail_status_single": 4, "mail_status_double": 5}
}
WORLD: dict[str, Any] = {
    "insightly": {
        "per_second": None,
        "contacts": [{"id": 101, "firstname": FIRST, "lastname": LAST, "email": EMAIL}],
        "opportunities": [{"id": 31, "name": "Kauf", "contacts": [101]}],
    },
    "callexa": {"surveys": [{"id": "s1", "name": "Zufriedenheit", "min_distance_weeks": 0}]},
}
READ = [*(Answer(status) for status in (400, 403, 404, 422, 500, 200)), Answer(200, "list"), Answer(404, "html")]


def xenia(count: int = 1) -> tuple[Registration, ...]:
    """Return the person, and more of the kind."""
    then = datetime.now(UTC) - timedelta(hours=2)
    return tuple(
        Registration(f"p{n}", EMAIL if n == 0 else f"{n}.{EMAIL}", then, FIRST, LAST, PHONE) for n in range(count)
    )


class Run:
    """One run of a rule, and everything that it wrote where people without access to the ledger may look."""

    def __init__(self, ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ledger, self.said = ledger, list[str]()
        self.connections: dict[str, Connection] = {}
        self.source: Any = None

        async def open_ledger(ledger_conn_id: str, *, connections: int = 4) -> AsyncEngine:
            return open_ledger_async(ledger_url, connections=connections)

        async def connection_of(conn_id: str) -> Connection:
            return self.connections[conn_id]

        async def open_source(source: str, account: str, engine: AsyncEngine) -> Any:
            return self.source or await accounts.open_source(source, account, engine)

        monkeypatch.setattr(LedgerHook, "open", open_ledger)
        for module in (accounts, callexa, etermin, insightly):
            monkeypatch.setattr(module, "connection_of", connection_of)
        monkeypatch.setattr(work, "open_source", open_source)

    def account(self, conn_id: str, host: str, login: str | None, password: str, **extra: Any) -> None:
        """Let a connection be found."""
        vendor = EXTRAS.get(conn_id.removesuffix("_default"), {})
        values = {"settling_seconds": 0, "requests_per_second": 500, "timeout": 5} | vendor | extra
        self.connections[conn_id] = Connection(
            conn_id=conn_id, conn_type="http", host=host, login=login, password=password, extra=json.dumps(values)
        )

    async def of(self, rule: Rule, people: tuple[Registration, ...] = (), occasion: Occasion | None = None) -> None:
        """Hand the people of a webinar that has just ended over, or of another occasion."""
        occasion = occasion or an_occasion(start=datetime.now(UTC) - timedelta(minutes=61))
        if people:
            self.source = FixedSource(occasion, people)
        await record(self._ledger, [occasion], [rule])
        try:
            self.said.append(repr(await run_dag(rule)))
        except Exception as error:
            self.said += traceback.format_exception(error)
        await self.look()

    async def poll(self, operator: BaseAsyncOperator) -> None:
        """Let a watch's task poll its account once."""
        try:
            self.said.append(repr(await operator.aexecute(context_of(a_rule()))))
        except Exception as error:
            self.said += traceback.format_exception(error)
        await self.look()

    async def sweep(self, rule: Rule) -> None:
        """Compare the source's own lists with the ledger."""
        async with work.open_sources(self._ledger) as sources:
            swept = await sweep.run(sweep.Sweep(self._ledger, [rule], sources.of))
        self.said += map(repr, (swept.compared, swept.failed))
        await self.look()

    async def look(self) -> None:
        """Read what operators are shown of the ledger."""
        for query in (
            "SELECT state, reason FROM handoff.effects",
            "SELECT held FROM handoff.lanes",
            "SELECT reason FROM handoff.batches",
            "SELECT reason FROM handoff.verdicts",
            "SELECT cause, words FROM handoff.notices",
            "SELECT * FROM handoff.certificates",
            "SELECT cause FROM handoff.circuits",
            "SELECT problem FROM handoff.deliveries",
        ):
            self.said += map(repr, await rows(self._ledger, query))


def leaks(run: Run, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was planted and told."""
    formatter = logging.Formatter()
    # The server of the test itself is no part of the program.
    ours = [
        record for record in caplog.records if not record.name.startswith(("mail.log", "aiohttp.access", "sandbox"))
    ]
    everything = "\n".join([*run.said, *map(formatter.format, ours)]).lower()
    return [word for word in PLANTED if word.lower() in everything]


async def left_after_erasing(ledger: AsyncEngine) -> list[str]:
    """Erase the person; return what any row of any table still says of them."""
    async with ledger.begin() as connection:
        await erase(connection, Contact(EMAIL).key, EMAIL)
    found = (await everything(ledger)).lower()
    return [word for word in PLANTED if word.lower() in found]
