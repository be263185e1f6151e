"""Random long lives of appointments through the real planner and ledger; every order of few words is a unit test."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.occasion import Occasion
from handoff.planning.appointments import Account
from handoff.planning.planner import record
from handoff.rules.appointment import AppointmentRule
from hooks.etermin_source import known_of
from tests.support.appointment_due import moments_come
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


async def known_now(ledger: AsyncEngine, account: str) -> Occasion | None:
    async with ledger.connect() as connection:
        return (await known_of(connection, account, [KEY])).get(KEY)


@pytest.mark.parametrize("seed", range(20))
async def test_what_waits_is_for_the_final_time_or_nothing_waits(ledger: AsyncEngine, seed: int) -> None:
    chance, account = random.Random(seed), f"account_{seed}"
    story = ["create", "due", *chance.choices(WORDS, k=chance.randint(6, 12))]
    chance.shuffle(story)
    now = datetime.now(UTC).replace(microsecond=0)
    life = Life(
        chance.random() < 0.5, now, now + timedelta(days=5), Account("etermin", account, "Europe/Zurich"),
        reach=chance.randint(0, 1),
    )  # fmt: skip
    rules = rules_of(account)
    for word in [*story, "late", "late"]:
        await record(ledger, life.tell(word), rules)
        if word == "due":
            sent = await moments_come(ledger, rules[0], life, life.shown())
            life.done += tuple(sent)
            assert not (life.over and sent), f"{story}: its cancellation was known"
        await record(ledger, life.polled(await known_now(ledger, account)), rules)
        life.learn(await known_now(ledger, account))
    found = await rows(ledger, BATCHES.format(account=account))
    waiting = [(name, due) for name, state, due in found if name == "reminder" and state == "waiting"]
    ahead = life.truth and life.start not in life.done
    assert waiting == ([("reminder", life.start - timedelta(hours=1))] if ahead else []), story
    life.done += tuple(await moments_come(ledger, rules[0], life, life.shown()))
    assert len(set(life.done)) == len(life.done), f"{story}: twice for one start"
    assert life.truth is None or life.done[-1] == life.start, f"{story}: the moment of its final start has come"
    assert [name for name, *_ in found].count("reminder") <= 1 + min(story.count("due"), story.count("move")), story
    assert [name for name, *_ in found].count("deleted") <= (life.truth is None), story
    assert [name for name, *_ in found].count("modified") <= story.count("move"), story
