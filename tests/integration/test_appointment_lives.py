"""Random long lives of appointments through the real planner and ledger; every order of few words is a unit test."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.appointment_rule import AppointmentRule
from handoff.appointments import Account
from handoff.planner import record
from hooks.etermin_source import known_of
from tests.support.appointment_life import KEY, WORDS, Life
from tests.support.etermin_world import rule
from tests.support.rows import rows

pytestmark = pytest.mark.integration
BATCHES = """
    SELECT batch.rule_id, batch.state, batch.due_at FROM handoff.batches AS batch
    JOIN handoff.occasions AS occasion ON occasion.id = batch.occasion_id
    WHERE occasion.account = '{account}' ORDER BY batch.id
"""


def rules_of(account: str) -> list[AppointmentRule]:
    whens: dict[str, dict[str, Any]] = {
        "reminder": {"hours": 1, "before": "start"}, "modified": {"minutes": 0, "after": "modified"},
        "deleted": {"minutes": 0, "after": "deleted"},
    }  # fmt: skip
    return [AppointmentRule.model_validate(rule(name, when, conn_id=account)) for name, when in whens.items()]


@pytest.mark.parametrize("seed", range(20))
async def test_what_waits_is_for_the_final_time_or_nothing_waits(ledger: AsyncEngine, seed: int) -> None:
    chance, account = random.Random(seed), f"account_{seed}"
    story = ["create", *chance.choices(WORDS, k=chance.randint(6, 12))]
    chance.shuffle(story)
    now = datetime.now(UTC).replace(microsecond=0)
    life = Life(
        chance.random() < 0.5, now, now + timedelta(days=5), Account("etermin", account, "Europe/Zurich"),
        reach=chance.randint(0, 1),
    )  # fmt: skip
    rules = rules_of(account)
    for word in [*story, "late", "late"]:
        await record(ledger, life.tell(word), rules)
        async with ledger.connect() as connection:
            known = (await known_of(connection, account, [KEY])).get(KEY)
        await record(ledger, life.polled(known), rules)
    found = await rows(ledger, BATCHES.format(account=account))
    waiting = [(name, due) for name, state, due in found if name == "reminder" and state == "waiting"]
    assert waiting == ([("reminder", life.start - timedelta(hours=1))] if life.truth else []), story
    assert [name for name, *_ in found].count("reminder") <= 1, story
    assert [name for name, *_ in found].count("deleted") <= (life.truth is None), story
    assert [name for name, *_ in found].count("modified") <= story.count("move"), story
