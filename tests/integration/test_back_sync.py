"""From a won opportunity to a survey of Callexa's, and from its answer to one note in the CRM, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.answer import ACCOUNT
from handoff.answer import SOURCE as ANSWERS
from handoff.consent import Subject
from handoff.contact import Contact
from handoff.ledger import consents
from handoff.ledger.consents import Entry
from handoff.rule import Rule
from hooks.accounts import open_source
from operators.callexa import RecordAnswersOperator
from operators.insightly import RecordClosingsOperator
from operators.work import open_desk
from tests.support.crm import SURVEY, Crm, a_crm
from tests.support.delivery import judge_due, work
from tests.support.rows import rows

WORLD: dict[str, Any] = {
    "insightly": {
        "per_second": None,
        "contacts": [{"id": 101, "firstname": "Anna", "lastname": "Öz", "email": "Anna@Example.org"}],
        "opportunities": [{"id": 31, "name": "Dach", "contacts": [101]}],
    },
    "callexa": {"surveys": [{"id": "s1", "name": SURVEY}]},
}
ANNA = "anna@example.org"


@pytest.fixture
async def crm(tmp_path: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Crm]:
    async with a_crm(WORLD, tmp_path, ledger_url, monkeypatch) as running:
        running.rule(
            id="won", source="insightly", when={"minutes": 0, "after": "closed"}, purpose="survey",
            legal_basis="consent", steps=[{"step": "callexa.recipient", "survey": SURVEY}],
        )  # fmt: skip
        yield running


@pytest.fixture
def note(crm: Crm) -> Rule:
    return crm.rule(id="note", source="survey", steps=[{"step": "insightly.note"}])


async def hand_over(ledger: AsyncEngine, rule: Rule) -> list[str]:
    """Judge what is due, and let a worker do it."""
    source = await open_source(rule.source, rule.conn_id, ledger)
    became = await judge_due(ledger, rule, source)
    await source.close()
    async with open_desk(ledger) as desk:
        await work(ledger, rule, desk)
    return became


async def ask_anna(crm: Crm, ledger: AsyncEngine) -> None:
    """Let the opportunity be won, and hand its contact over to Callexa."""
    won = Rule.model_validate(
        {
            "id": "won", "title": "won", "source": "insightly", "when": {"minutes": 0, "after": "closed"},
            "purpose": "survey", "legal_basis": "consent",
            "steps": [{"step": "callexa.recipient", "survey": SURVEY}],
        }
    )  # fmt: skip
    async with ledger.begin() as connection:
        told = Entry(Subject(Contact(ANNA).key, "email", "survey"), "granted", datetime.now(UTC))
        await consents.add(connection, [told])
    await RecordClosingsOperator(task_id="record").aexecute({})
    await crm.order("insightly/state", id=31, state="Won")
    await RecordClosingsOperator(task_id="record").aexecute({})
    assert await hand_over(ledger, won) == ["judged"]
    assert crm.did("callexa") == ["recipient"]


async def poll() -> dict[str, int]:
    return await RecordAnswersOperator(task_id="record").aexecute({})


def notes(crm: Crm) -> list[tuple[str, str]]:
    """Return what was done to notes: the action and the text."""
    done = [one for one in crm.sandbox.effects if one.system == "insightly" and one.action in {"note", "update_note"}]
    return [(one.action, one.detail["body"]) for one in done]
