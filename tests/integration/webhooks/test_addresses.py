"""Where to push is shown, and leads through what the plugin gives Airflow to mount into the ledger."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from httpx import ASGITransport, AsyncClient
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.routing import Mount

from handoff.cli.webhooks import PUSHING
from handoff_plugin import HandoffPlugin
from tests.support.commands import handoff
from tests.support.etermin_world import SECRET, put_rules, rule
from tests.support.pushing import account_connection, booked
from tests.support.rows import rows_become
from web.adapters import ADAPTERS
from web.ledger import close_ledger

pytestmark = pytest.mark.usefixtures("connections")
AIRFLOW = "https://airflow.example.org/base"


@pytest.fixture(autouse=True)
def accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An eTermin account that two rules name, and a source that cannot push."""
    monkeypatch.setenv("HANDOFFS_HOME", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_ETERMIN_BERN", account_connection(SECRET, "etermin"))
    before = {"hours": 1, "before": "start"}
    put_rules(tmp_path, *(rule(one, before, conn_id="etermin_bern") for one in ("a", "b")))
    webinar = {"id": "w", "title": "W", "when": {"minutes": 1, "after": "end"}, "who": "attended"}
    steps = [{"step": "klicktipp.tag", "tag": "Termin"}]
    (tmp_path / "include" / "handoffs" / "w.yaml").write_text(json.dumps(webinar | {"steps": steps}))


@pytest.fixture
async def airflow() -> AsyncIterator[AsyncClient]:
    """Somebody in front of Airflow's server with what the plugin gives it to mount, and nothing else."""
    server = Starlette(routes=[Mount(given["url_prefix"], app=given["app"]) for given in HandoffPlugin.fastapi_apps])
    async with AsyncClient(transport=ASGITransport(server), base_url=AIRFLOW.removesuffix("/base")) as client:
        yield client
    await close_ledger()


async def test_the_address_that_is_shown_takes_a_push_where_airflow_mounts_it(
    ledger: AsyncEngine, ledger_url: str, airflow: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDOFF_PUBLIC_URL", AIRFLOW + "/")
    shown = await handoff(ledger_url, "webhooks", "--json")
    address = f"{AIRFLOW}/handoffs/webhooks/etermin_bern"
    assert (shown.status, shown.json["addresses"]) == (0, {"etermin_bern": address})
    path, sent = address.removeprefix(AIRFLOW), {"content": booked(1), "headers": {"content-type": "application/json"}}
    refused = await airflow.post(path, **sent)  # type: ignore[arg-type]
    assert (refused.status_code, refused.text) == (401, "not accepted")
    taken = await airflow.post(f"{path}/{SECRET}", **sent)  # type: ignore[arg-type]
    assert (taken.status_code, taken.text) == (200, "ok")
    plain = (await handoff(ledger_url, "webhooks")).out
    assert address in plain
    assert plain.index("header X-Webhook-Secret") < plain.index("/SECRET at its end"), "no log shows a header"
    waits = "SELECT account, count(processed_at) FROM handoff.deliveries GROUP BY account"
    await rows_become(ledger, waits, [("etermin_bern", 1)])


async def test_the_address_is_shown_before_anything_was_pushed_and_without_a_secret(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDOFF_PUBLIC_URL", AIRFLOW)
    shown = (await handoff(ledger_url, "webhooks")).out
    assert f"etermin_bern  {AIRFLOW}/handoffs/webhooks/etermin_bern\n" in shown
    assert shown.endswith("\n\nNothing was pushed here.\n")
    assert SECRET not in shown
    monkeypatch.delenv("HANDOFF_PUBLIC_URL")
    shown = (await handoff(ledger_url, "webhooks")).out
    assert "etermin_bern  /handoffs/webhooks/etermin_bern\n" in shown
    assert "HANDOFF_PUBLIC_URL is not set here" in shown


def test_sources_that_push_are_those_that_the_receiver_understands() -> None:
    assert {adapter.source for adapter in ADAPTERS.values()} == PUSHING
