"""A receiver on the real ledger, the accounts that it knows, and somebody who sends."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from httpx import ASGITransport, AsyncClient

from tests.support.pushing import account_connection, ledger_connection
from tests.support.receiving import NEW, OLD, SIGNING, AppointmentAdapter
from web.adapters import ADAPTERS
from web.app import create_app
from web.ledger import close_ledger
from web.receiver.accounts import Accounts
from web.receiver.receiver import Receiver


@pytest.fixture
def receiver() -> Receiver:
    """A receiver that knows one more kind of account."""
    return Receiver(accounts=Accounts(ADAPTERS | {"calendar": AppointmentAdapter()}))


@pytest.fixture
def connections(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's connections."""
    monkeypatch.setenv("AIRFLOW_CONN_HANDOFF_LEDGER", ledger_connection(ledger_url))
    monkeypatch.setenv("AIRFLOW_CONN_CRM", account_connection(f"{OLD}, {NEW} {SIGNING}"))
    monkeypatch.setenv("AIRFLOW_CONN_BARE", account_connection(""))
    monkeypatch.setenv("AIRFLOW_CONN_WEAK", account_connection("short"))
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", account_connection(OLD, "klicktipp"))
    monkeypatch.setenv("AIRFLOW_CONN_CALENDAR", account_connection(OLD, "calendar"))


@pytest.fixture
async def sender(receiver: Receiver) -> AsyncIterator[AsyncClient]:
    """Somebody without a login; server errors are answers."""
    transport = ASGITransport(create_app(receiver), raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://airflow") as client:
        yield client
    await close_ledger()
