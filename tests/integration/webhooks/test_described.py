"""The receiver does what its OpenAPI description says, whatever Schemathesis makes of that, and keeps what it took.

Schemathesis runs in processes of its own: imported, it would change Hypothesis for all other tests.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi.openapi.utils import get_openapi
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.ledger.storable import storable
from hooks.webhook_account import WebhookAccount
from tests.support.etermin_world import rule
from tests.support.pushing import Server, account_connection, serving
from tests.support.rows import rows
from web import webhooks
from web.adapters import ADAPTERS
from web.adapters.adapter import Push

pytestmark = pytest.mark.integration
SECRET = "a-good-secret-01234"
KINDS = {"crm": "insightly", "booking": "etermin"}
"""Connection types of the accounts."""
MOST_EXAMPLES, STRANGERS_EXAMPLES = 120, 15
ABOUT_THE_ACCOUNT = "positive_data_acceptance,negative_data_rejection"
"""Left out: the description is of all systems, and an account takes the pushes of its own; these in other forms too."""
STORED = "SELECT account, payload FROM handoff.deliveries"
COUNTED = """
    SELECT account, CAST(sum(count) FILTER (WHERE outcome = 'accepted') AS int),
        CAST(coalesce(sum(count) FILTER (WHERE outcome = 'repeated'), 0) AS int)
    FROM handoff.webhook_counts GROUP BY account
"""
WAITING = "SELECT account, payload, problem FROM handoff.deliveries WHERE processed_at IS NULL"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and how it was answered."""

    account: str
    content_type: str
    body: str
    status: int
    said: str


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of Schemathesis found. :ivar report: its words."""

    status: int
    report: str
    exchanges: tuple[Exchange, ...]


@pytest.fixture
def complaints(tmp_path: Path) -> Path:
    """Where the server writes what goes wrong in it."""
    return tmp_path / "complaints.txt"


@pytest.fixture
def server(ledger_url: str, tmp_path: Path, complaints: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A running server with both kinds of accounts and a rule that records bookings."""
    folder = tmp_path / "include" / "handoffs"
    folder.mkdir(parents=True)
    spec = rule("booked", {"minutes": 0, "after": "booked"}) | {"conn_id": "booking"}
    (folder / "booked.yaml").write_text(json.dumps(spec))
    monkeypatch.setenv("HANDOFFS_HOME", str(tmp_path))
    accounts = {name: account_connection(SECRET, kind) for name, kind in KINDS.items()}
    with complaints.open("wb") as errors, serving(ledger_url, accounts, errors) as running:
        yield running


async def fuzz(server: Server, folder: Path, name: str, known: Mapping[str, str], most: int, *more: str) -> Run:
    """Let Schemathesis send what it makes of the description.

    :param known: values of parameters. :param most: examples of each operation, beside those that cover it.
    """
    described = get_openapi(title="Webhooks", version="1", routes=webhooks.router.routes)
    description, config, record = (folder / f"{name}.{end}" for end in ("json", "toml", "har"))
    description.write_text(json.dumps(described))
    given = (f"{json.dumps(parameter)} = {json.dumps(value)}" for parameter, value in known.items())
    config.write_text("\n".join(["[parameters]", *given]))
    # By chance for who develops; the same each time where a change is accepted or not.
    chance = ["--generation-deterministic"] if os.environ.get("CI") else ["--generation-database", "none"]
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("schemathesis"), "--config-file", config, "run", description,
        "--url", server.url, "--max-examples", str(most), "--exclude-checks", ABOUT_THE_ACCOUNT,
        "--continue-on-failure", "--suppress-health-check", "all", "--request-timeout", "60",
        "--report-har-path", record, "--output-sanitize", "false", "--warnings", "off", "--no-color", *chance, *more,
        cwd=folder, env=os.environ | {"NO_PROXY": "127.0.0.1"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    printed, _ = await process.communicate()
    assert record.exists(), printed.decode()
    return Run(process.returncode or 0, printed.decode(), tuple(recorded(json.loads(record.read_text()))))


def recorded(har: dict[str, Any]) -> Iterator[Exchange]:
    """Return what a HAR file has."""
    for entry in har["log"]["entries"]:
        sent, answer = entry["request"], entry["response"]
        account = urlsplit(sent["url"]).path.split("/")[2]
        posted = sent.get("postData", {})
        kinds = [one["value"] for one in sent["headers"] if one["name"].lower() == "content-type"]
        yield Exchange(account, "".join(kinds), posted.get("text", ""), answer["status"], answer["content"]["text"])


def kept(exchange: Exchange) -> tuple[str, str]:
    """Return the account, and what is to be kept of a push that was taken."""
    kind = KINDS[exchange.account]
    account = WebhookAccount(exchange.account, kind, {}, ())
    media_type = exchange.content_type.partition(";")[0].strip().lower()
    arrival = ADAPTERS[kind].read(Push(account, media_type, exchange.body.encode()))
    return exchange.account, canonical(storable(arrival.kept))


def canonical(payload: object) -> str:
    return json.dumps(payload, sort_keys=True)


async def until_recorded(ledger: AsyncEngine) -> None:
    deadline = time.monotonic() + 60
    while waiting := await rows(ledger, WAITING):
        assert time.monotonic() < deadline, waiting
        await asyncio.sleep(0.05)


async def test_it_answers_as_described_and_keeps_what_it_took(
    ledger: AsyncEngine, server: Server, tmp_path: Path, complaints: Path
) -> None:
    in_header = {"path.account": "crm", "header.X-Webhook-Secret": SECRET}
    in_path = {"path.account": "booking", "path.secret": SECRET}
    *senders, stranger = await asyncio.gather(
        fuzz(server, tmp_path, "crm", in_header, MOST_EXAMPLES, "--include-path", "/webhooks/{account}"),
        fuzz(server, tmp_path, "booking", in_path, MOST_EXAMPLES, "--include-path", "/webhooks/{account}/{secret}"),
        fuzz(server, tmp_path, "stranger", {}, STRANGERS_EXAMPLES, "--phases", "fuzzing"),
    )
    for run in (*senders, stranger):
        assert run.status == 0, run.report
    assert complaints.read_text() == ""
    for run in senders:
        assert {200, 400, 405, 415, 422} <= {one.status for one in run.exchanges}
    assert {one.status for one in stranger.exchanges} == {401}
    taken = [one for run in senders for one in run.exchanges if (one.status, one.said) == (200, "ok")]
    stored = [(account, canonical(payload)) for account, payload in await rows(ledger, STORED)]
    assert set(stored) == {kept(one) for one in taken}
    counted = {account: (new, again) for account, new, again in await rows(ledger, COUNTED)}
    new, all_of_them = Counter(account for account, _ in stored), Counter(one.account for one in taken)
    assert counted == {account: (new[account], all_of_them[account] - new[account]) for account in KINDS}
    await until_recorded(ledger)
