"""Looking accounts up in Airflow's connections: under a flood of guessed names, and while they cannot be read."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import pytest
from airflow.sdk.exceptions import AirflowSecretsBackendAccessDenied
from airflow.sdk.execution_time import supervisor
from airflow.secrets.environment_variables import EnvironmentVariablesBackend
from httpx import AsyncClient
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.pushing import account_connection, won
from tests.support.receiving import COUNTS, GOOD, JSON, NEW, OLD, said
from tests.support.rows import rows_become
from web.receiver import accounts as accounts_module
from web.receiver.accounts import MOST_GUESSES
from web.receiver.refusal import ANSWERS

pytestmark = pytest.mark.usefixtures("connections", "ledger")
GUESSES = 2000
AGAIN = ANSWERS["unavailable"]
NOT_ACCEPTED = (401, "not accepted")


@dataclass
class Backend(EnvironmentVariablesBackend):
    """Where Airflow reads connections.

    :ivar seconds: a look-up takes. :ivar trouble: raised instead of an answer. :ivar asked: for these names.
    """

    seconds: float = 0.0
    trouble: Exception | None = None
    asked: list[str] = field(default_factory=list)

    def get_conn_value(self, conn_id: str, team_name: str | None = None) -> str | None:
        self.asked.append(conn_id)
        time.sleep(self.seconds)
        if self.trouble is not None:
            raise self.trouble
        return super().get_conn_value(conn_id, team_name)


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Backend:
    found = Backend()
    monkeypatch.setattr(supervisor, "ensure_secrets_backend_loaded", lambda: [found])
    return found


async def push(sender: AsyncClient, account: str = "crm", secret: str = OLD) -> tuple[int, str]:
    return said(await sender.post(f"/webhooks/{account}", content=won(1), headers=JSON | {"x-webhook-secret": secret}))


async def test_guessed_names_keep_no_known_sender_waiting(
    sender: AsyncClient, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await push(sender) == (200, "ok")
    backend.seconds = 0.05
    monkeypatch.setattr(accounts_module, "KNOWN_SECONDS", 0.0)
    guesses = [asyncio.create_task(push(sender, f"guess{number}")) for number in range(GUESSES)]
    while len(backend.asked) < 2:
        await asyncio.sleep(0.001)
    began, looked = time.monotonic(), len(backend.asked)
    # One after the other, the look-ups of all guesses take 100 s.
    assert await asyncio.wait_for(push(sender), 20) == (200, "ok")
    assert len(backend.asked) - looked < GUESSES / 10, f"after {time.monotonic() - began:.1f} s"
    assert set(await asyncio.wait_for(asyncio.gather(*guesses), 60)) <= {NOT_ACCEPTED, AGAIN}
    assert len({name for name in backend.asked if name.startswith("guess")}) <= 2 * MOST_GUESSES


async def test_while_names_are_guessed_nobody_is_told_that_an_account_is_not_there(
    sender: AsyncClient, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ANOTHER", account_connection(OLD))
    assert await push(sender) == (200, "ok")
    backend.seconds = 0.1
    guesses = [asyncio.create_task(push(sender, f"guess{number}")) for number in range(MOST_GUESSES)]
    while len(backend.asked) < 2:
        await asyncio.sleep(0.001)
    # One that is there and was not looked up yet, one that is not there, and a wrong secret: they look alike.
    answers = await asyncio.gather(
        push(sender, "another"), push(sender, "nowhere"), push(sender, secret="a-guess-0123456789"), push(sender)
    )
    assert answers == [AGAIN, AGAIN, AGAIN, (200, "ok")]
    await asyncio.gather(*guesses)
    assert await push(sender, "another") == (200, "ok")
    assert await push(sender, "nowhere") == NOT_ACCEPTED


async def test_a_known_account_is_read_again_while_it_serves(
    sender: AsyncClient, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts_module, "REFRESH_SECONDS", 0.0)
    assert await push(sender) == (200, "ok")
    backend.seconds = 0.2
    for _ in range(5):
        assert await push(sender) == (200, "ok")
    assert backend.asked.count("crm") <= 3, "one look-up at a time"
    monkeypatch.setenv("AIRFLOW_CONN_CRM", account_connection(NEW))
    deadline = time.monotonic() + 60
    while await push(sender) == (200, "ok"):
        assert time.monotonic() < deadline
    assert await push(sender, secret=NEW) == (200, "ok")


async def test_many_pushes_to_one_account_share_a_look_up(sender: AsyncClient, backend: Backend) -> None:
    backend.seconds = 0.05
    assert set(await asyncio.gather(*(push(sender) for _ in range(50)))) == {(200, "ok")}
    assert backend.asked.count("crm") == 1
    assert set(await asyncio.gather(*(push(sender, "nowhere") for _ in range(50)))) == {NOT_ACCEPTED}
    assert backend.asked.count("nowhere") == 1


async def test_a_sender_that_was_known_is_told_to_come_again_while_connections_are_away(
    ledger: AsyncEngine, sender: AsyncClient, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts_module, "KNOWN_SECONDS", 0.0)
    assert await push(sender) == (200, "ok")
    backend.trouble = OSError("the database is away")
    for _ in range(3):
        answer = await sender.post("/webhooks/crm", content=won(2), headers=GOOD)
        assert said(answer) == AGAIN
        assert int(answer.headers["retry-after"]) >= 1
    assert await push(sender, secret="a-guess-0123456789") == await push(sender, "nowhere") == NOT_ACCEPTED
    backend.trouble = None
    assert await push(sender) == (200, "ok")
    monkeypatch.delenv("AIRFLOW_CONN_CRM")
    assert await push(sender) == AGAIN, "nobody can tell yet"
    monkeypatch.setattr(accounts_module, "GONE_SECONDS", 0.0)
    assert await push(sender) == NOT_ACCEPTED
    counted = [("crm", "accepted", 1), ("crm", "repeated", 1), ("crm", "unauthenticated", 1), ("crm", "unavailable", 4)]
    await rows_become(ledger, COUNTS, counted)


async def test_an_account_that_was_made_another_one_is_not_known_at_once(
    sender: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts_module, "KNOWN_SECONDS", 0.0)
    assert await push(sender) == (200, "ok")
    monkeypatch.setenv("AIRFLOW_CONN_CRM", account_connection(OLD, "klicktipp"))
    assert await push(sender) == NOT_ACCEPTED


async def test_when_nothing_can_be_asked_everybody_is_told_to_come_again(
    sender: AsyncClient, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    backend.trouble = AirflowSecretsBackendAccessDenied(f"denied to {OLD}")
    answers = [await sender.post(f"/webhooks/{name}", content=won(1), headers=GOOD) for name in ("crm", "nowhere")]
    assert {said(answer) for answer in answers} == {AGAIN}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
    assert "the connections cannot be read: AirflowSecretsBackendAccessDenied" in caplog.text
    assert OLD not in "\n".join(one.getMessage() for one in caplog.records if one.name.startswith("web."))
    backend.trouble = None
    assert await push(sender) == (200, "ok")
