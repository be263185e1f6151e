"""The sweep's DAG as a whole: what is held is found by its first task and told by its second, once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from sqlalchemy.ext.asyncio import AsyncEngine

from operators.sweep import SweepOperator
from operators.tell import TellOperator
from sandbox import Sandbox
from tests.integration.test_notifications import held, sandbox  # noqa: F401 - a fixture
from tests.support.domain import an_occasion
from tests.support.rows import change, rows
from tests.support.targets import MemoryTarget
from tests.support.tasks import Vendors, context_of
from tests.support.world import TrueSource

pytestmark = pytest.mark.integration


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ledger_url: str) -> None:
    (tmp_path / "include" / "handoffs").mkdir(parents=True)
    monkeypatch.setenv("HANDOFFS_HOME", str(tmp_path))
    source = TrueSource()
    source.put(an_occasion(start=datetime.now(UTC) - timedelta(minutes=61)), ())
    Vendors(monkeypatch, ledger_url, MemoryTarget(), source)


@pytest.mark.usefixtures("home")
async def test_what_is_held_is_told_once(
    ledger: AsyncEngine,
    sandbox: Sandbox,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rule = await held(ledger, 5)
    monkeypatch.setenv("HANDOFF_NOTIFY_TO", "team@example.org")
    monkeypatch.setenv("HANDOFF_NOTIFY_CONN_ID", "smtp_team")
    context, told = context_of(rule), []
    for _ in range(2):
        await SweepOperator(task_id="sweep").aexecute(context)
        told.append(await TellOperator(task_id="tell").aexecute(context))
    assert told == [1, 0]
    assert [effect.detail["subject"] for effect in sandbox.effects] == ["[Übergaben] zurückgehalten: rule:test_rule"]


@pytest.mark.usefixtures("home")
async def test_nobody_to_be_told_skips_the_task_and_loses_no_notice(
    ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = await held(ledger, 1)
    monkeypatch.delenv("HANDOFF_NOTIFY_TO", raising=False)
    await SweepOperator(task_id="sweep").aexecute(context_of(rule))
    with pytest.raises(AirflowSkipException, match="HANDOFF_NOTIFY_TO"):
        await TellOperator(task_id="tell").aexecute(context_of(rule))
    assert await rows(ledger, "SELECT kind FROM handoff.notices WHERE told_at IS NULL") == [("held",)]


@pytest.mark.usefixtures("home")
async def test_old_data_is_removed_by_the_sweep(ledger: AsyncEngine) -> None:
    rule = await held(ledger, 1)
    await change(ledger, "UPDATE handoff.inbox SET received_at = now() - interval '91 days'")
    returned = await SweepOperator(task_id="sweep").aexecute(context_of(rule))
    assert returned["removed"]["events"] == 1
    assert await rows(ledger, "SELECT payload FROM handoff.inbox") == [({},)]
