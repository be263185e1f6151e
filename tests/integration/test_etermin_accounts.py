"""Several eTermin accounts that push: each with its own secrets, its own zone and its own appointments."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from httpx import ASGITransport, AsyncClient, Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.etermin_world import rule
from tests.support.pushing import ledger_connection
from tests.support.rows import rows
from web.app import create_app
from web.ledger import close_ledger

pytestmark = pytest.mark.integration
SECRETS = {"etermin_bern": "secret-of-bern-01234", "etermin_york": "secret-of-york-01234"}
ZONES = {"etermin_bern": "W. Europe Standard Time", "etermin_york": "Eastern Standard Time"}
BERN, YORK = SECRETS
LOCAL = {"startDateTime": "2036-05-10T10:00:00", "endDateTime": "2036-05-10T10:30:00"}
STARTS = """
    SELECT account, CAST(CAST(anchors ->> 'start' AS timestamptz) AT TIME ZONE 'UTC' AS text) FROM handoff.occasions
    ORDER BY account, id
"""
OPEN = "SELECT count(*) FROM handoff.deliveries WHERE processed_at IS NULL"


@pytest.fixture
async def sender(ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncClient]:
    """Somebody who pushes to two accounts, for both of which a reminder waits."""
    monkeypatch.setenv("AIRFLOW_CONN_HANDOFF_LEDGER", ledger_connection(ledger_url))
    monkeypatch.setenv("HANDOFFS_HOME", str(tmp_path))
    folder = tmp_path / "include" / "handoffs"
    folder.mkdir(parents=True)
    for name, secret in SECRETS.items():
        extra = {"timezone": ZONES[name], "webhook_secrets": secret}
        described = {"conn_type": "etermin", "login": "public", "password": "private", "extra": extra}
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(described))
        (folder / f"{name}.yaml").write_text(json.dumps(rule(name, {"hours": 1, "before": "start"}, conn_id=name)))
    transport = ASGITransport(create_app(), raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://airflow") as client:
        yield client
    await close_ledger()


async def push(sender: AsyncClient, account: str, secret: str = "", uid: str = "a1", **fields: str) -> Response:
    body = json.dumps({"command": "CREATED", "appointmentUID": uid, **LOCAL, **fields})
    headers = {"content-type": "application/json", "x-webhook-secret": secret or SECRETS[account]}
    return await sender.post(f"/webhooks/{account}", content=body, headers=headers)


async def test_the_same_id_in_two_accounts_is_two_appointments_each_in_its_zone(
    ledger: AsyncEngine, sender: AsyncClient
) -> None:
    for account in SECRETS:
        assert (await push(sender, account)).text == "ok"
    await recorded(ledger, 2)
    assert await rows(ledger, STARTS) == [(BERN, "2036-05-10 08:00:00"), (YORK, "2036-05-10 14:00:00")]
    assert await rows(ledger, "SELECT rule_id FROM handoff.batches ORDER BY rule_id") == [(BERN,), (YORK,)]


@pytest.mark.parametrize(
    ("account", "local", "twin", "start"),
    [
        (BERN, "2036-10-26T02:30:00", "", "2036-10-26 00:30:00"),
        (BERN, "2036-10-26T02:30:00", "2036-10-26T01:30:00", "2036-10-26 01:30:00"),
        (YORK, "2036-11-02T01:30:00", "", "2036-11-02 05:30:00"),
        (YORK, "2036-11-02T01:30:00", "2036-11-02T06:30:00", "2036-11-02 06:30:00"),
        (BERN, "2036-03-30T02:30:00", "", "2036-03-30 01:30:00"),
    ],
)
async def test_when_the_clocks_change_the_twin_decides(
    ledger: AsyncEngine, sender: AsyncClient, account: str, local: str, twin: str, start: str
) -> None:
    told = {"startDateTime": local, "endDateTime": local, "startDateTimeUTC": twin, "endDateTimeUTC": twin}
    assert (await push(sender, account, **told)).text == "ok"
    await recorded(ledger, 1)
    assert await rows(ledger, STARTS) == [(account, start)]


async def test_what_proves_one_account_proves_no_other(ledger: AsyncEngine, sender: AsyncClient) -> None:
    assert (await push(sender, BERN, SECRETS[YORK])).status_code == 401
    assert (await push(sender, YORK, SECRETS[BERN])).status_code == 401
    assert await rows(ledger, "SELECT count(*) FROM handoff.deliveries") == [(0,)]
    assert (await push(sender, BERN)).status_code == 200
    await recorded(ledger, 1)
    assert {account for account, _ in await rows(ledger, STARTS)} == {BERN}


NAMES = st.sampled_from([
    "command", "appointmentUID", "startDateTime", "endDateTime", "startDateTimeUTC", "endDateTimeUTC", "email",
    "newsletter", "sequence", "calendarName", "notes",
])  # fmt: skip
VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=30) | st.lists(st.text(max_size=5), max_size=2)
COMMANDS = st.sampled_from(["CREATED", "MODIFIED", "DELETED", "created", "", "MOVED"])


async def test_whatever_is_pushed_is_stored_whole_or_not_at_all(ledger: AsyncEngine, sender: AsyncClient) -> None:
    pushes: list[tuple[bool, dict[str, object]]] = []

    @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.booleans(), COMMANDS, st.integers(1, 9), st.dictionaries(NAMES, VALUES, max_size=4))
    def gather(as_form: bool, command: str, uid: int, fields: dict[str, object]) -> None:
        pushes.append((as_form, {"command": command, "appointmentUID": f"a{uid}", **LOCAL, **fields}))

    gather()
    stored = set[int]()
    for as_form, fields in pushes:
        pairs = {name.upper(): str(value) for name, value in fields.items()}
        body = urlencode(pairs, errors="replace") if as_form else json.dumps(fields)
        kind = "application/x-www-form-urlencoded" if as_form else "application/json"
        headers = {"content-type": kind, "x-webhook-secret": SECRETS[BERN]}
        answer = await sender.post(f"/webhooks/{BERN}", content=body.encode("utf-8", "replace"), headers=headers)
        assert answer.status_code in {200, 400, 422}, (answer.status_code, answer.text)
        before, stored = stored, {row[0] for row in await rows(ledger, "SELECT id FROM handoff.deliveries")}
        assert len(stored - before) <= (answer.text == "ok"), fields
    assert stored
    await recorded(ledger, len(stored))
    assert await rows(ledger, "SELECT count(*) FROM handoff.deliveries WHERE problem IS NOT NULL") == [(0,)]


async def recorded(ledger: AsyncEngine, count: int) -> None:
    """Wait until what was pushed is recorded."""
    async with asyncio.timeout(60):
        while await rows(ledger, OPEN) != [(0,)]:
            await asyncio.sleep(0.02)
    assert await rows(ledger, "SELECT count(*) FROM handoff.deliveries") == [(count,)]
