"""Sources that repeat what they know of a person: nothing of it is told, and once erased nothing is left."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import BaseAsyncOperator
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.occasion import Occasion
from handoff.rules.rule import Rule
from operators.callexa import RecordAnswersOperator
from operators.etermin import RecordAppointmentsOperator
from operators.insightly import RecordClosingsOperator
from sandbox import Sandbox, Scenario
from tests.support.discretion import KNOWN, LOGINS, READ, WORLD, Run, leaks, left_after_erasing
from tests.support.domain import a_rule
from tests.support.hostile import Answer, parrot

CLOSED = Occasion(
    "insightly", "insightly_default", "opportunity/31/1", "", {"closed": datetime.now(UTC) - timedelta(minutes=1)},
    series="opportunity/31", facts={"record": "opportunity/31", "state": "won", "tags": []},
)  # fmt: skip
BOOKED = Occasion(
    "etermin", "etermin_default", "uid-1", "Termin",
    {"start": datetime.now(UTC) + timedelta(days=1), "booked": datetime.now(UTC) - timedelta(minutes=1)},
    facts={"event": "created", "appointment": "uid-1"},
)  # fmt: skip
ASKING = a_rule(
    purpose="survey", legal_basis="consent", steps=[{"step": "callexa.recipient", "survey": "Zufriedenheit"}]
)
SOURCES: dict[str, tuple[dict[str, Any], Occasion, type[BaseAsyncOperator]]] = {
    "insightly": ({"after": "closed"}, CLOSED, RecordClosingsOperator),
    "etermin": ({"after": "booked"}, BOOKED, RecordAppointmentsOperator),
}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(Scenario.model_validate(WORLD)) as running:
        running.gate.limits.clear()
        yield running


@pytest.fixture
def run(ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(ledger, ledger_url, monkeypatch)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without rules; return their folder."""
    folder = tmp_path / "include" / "handoffs"
    folder.mkdir(parents=True)
    monkeypatch.setenv("HANDOFFS_HOME", str(tmp_path))
    return folder


@pytest.mark.parametrize("lets", [0, 1])
@pytest.mark.parametrize("answer", READ, ids=str)
@pytest.mark.parametrize("source", sorted(SOURCES))
async def test_sources_that_repeat_everything(
    run: Run, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, source: str, answer: Answer, lets: int, project: Path,
    ledger: AsyncEngine,
) -> None:  # fmt: skip
    """At the last look, in the sweep and in the poll."""
    caplog.set_level(logging.DEBUG)
    when, occasion, operator = SOURCES[source]
    spec = {"id": "r", "title": "R", "source": source, "conn_id": f"{source}_default", "when": {"minutes": 0} | when}
    rule = Rule.model_validate(spec | {"steps": [{"step": "klicktipp.tag", "tag": "x"}]})
    (project / "r.yaml").write_text(rule.model_dump_json(exclude_unset=True), encoding="utf-8")
    parts = (
        lambda: run.of(rule, occasion=occasion),
        lambda: run.sweep(rule),
        lambda: run.poll(operator(task_id="record")),
    )
    repeated = 0
    for part in parts:
        async with parrot(sandbox.http_url, answer, KNOWN, lets) as (bird, url):
            run.account(f"{source}_default", f"{url}/{source}", *LOGINS[source])
            await part()
        repeated += bird.repeated
    assert repeated
    assert leaks(run, caplog) == []
    assert await left_after_erasing(ledger) == []


@pytest.mark.parametrize("lets", [0, 1])
@pytest.mark.parametrize("answer", READ, ids=str)
async def test_answers_of_callexa_that_repeat_everything(
    run: Run, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, answer: Answer, lets: int, project: Path,
    ledger: AsyncEngine,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    (project / "test_rule.yaml").write_text(ASKING.model_dump_json(exclude_unset=True), encoding="utf-8")
    async with parrot(sandbox.http_url, answer, KNOWN, lets) as (bird, url):
        run.account("callexa_default", f"{url}/callexa", *LOGINS["callexa"])
        await run.poll(RecordAnswersOperator(task_id="record"))
    assert bird.repeated
    assert leaks(run, caplog) == []
    assert await left_after_erasing(ledger) == []
