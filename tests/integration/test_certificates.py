"""Certificates: listed = handled + excluded + pending, and whoever is missing shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.errors import Refused, UnknownOutcome
from handoff.ledger import certificates, registrations
from handoff.ledger.certificates import Count
from handoff.planner import record
from handoff.registration import Registration, Roster
from handoff.rule import Rule
from operators.certify import CertifyOperator
from tests.support.chaos import tags
from tests.support.delivery import desk_of, judge_due, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.rows import change, rows
from tests.support.targets import Fault, MemoryTarget
from tests.support.tasks import Vendors, context_of

RULE = a_rule(steps=tags("eins", "zwei"))
ENDED = datetime.now(UTC) - timedelta(minutes=1)


async def planned(ledger: AsyncEngine, count: int, rule: Rule = RULE) -> FixedSource:
    occasion = an_occasion(start=ENDED - timedelta(minutes=60))
    await record(ledger, [occasion], [rule])
    return FixedSource(occasion, some_registrations(count, before=occasion.anchors["start"]))


async def judged(ledger: AsyncEngine, count: int) -> None:
    assert await judge_due(ledger, RULE, await planned(ledger, count)) == ["judged"]


async def counted(ledger: AsyncEngine) -> Count:
    [(batch_id,)] = await rows(ledger, "SELECT id FROM handoff.batches")
    async with ledger.connect() as connection:
        return await certificates.count(connection, batch_id)


async def delivered(ledger: AsyncEngine, fault: Fault) -> None:
    target = MemoryTarget(before=fault, readable=False)
    await work(ledger, RULE, desk_of(ledger, {"klicktipp_default": target}))


def fate_of(call: object) -> Refused | UnknownOutcome | None:
    number = int(call.contact.email.split("@")[0].removeprefix("person"))  # type: ignore[attr-defined]
    if number < 2:
        return Refused("klicktipp_default", "tag", "blocked")
    return UnknownOutcome("klicktipp_default", "tag") if number < 5 else None


async def test_every_fate_has_its_place(ledger: AsyncEngine) -> None:
    await judged(ledger, 10)
    before = await counted(ledger)
    assert (before.listed, before.handled, before.pending, before.even) == (10, 0, 10, True)
    await delivered(ledger, fate_of)  # type: ignore[arg-type]
    after = await counted(ledger)
    assert (after.listed, after.handled, after.pending, after.even) == (10, 7, 3, True)
    assert after.effects == {"confirmed": 10, "refused": 2, "skipped": 2, "held": 3, "planned": 3}


async def listed_late(ledger: AsyncEngine, registered_at: datetime) -> None:
    [(occasion_id,)] = await rows(ledger, "SELECT id FROM handoff.occasions")
    late = Registration("late", "late@example.org", registered_at)
    now = datetime.now(UTC)
    async with ledger.begin() as connection:
        await registrations.store(connection, occasion_id, Roster(now, now, (late,)))


async def test_who_registers_after_the_moment_is_excluded(ledger: AsyncEngine) -> None:
    await judged(ledger, 3)
    await listed_late(ledger, ENDED + timedelta(seconds=1))
    found = await counted(ledger)
    assert (found.listed, found.excluded, found.even) == (4, {"registered_later": 1}, True)


async def test_whoever_the_source_lists_late_is_unaccounted_for_and_the_task_fails(
    ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await judged(ledger, 3)
    await delivered(ledger, lambda call: None)
    await listed_late(ledger, ENDED - timedelta(hours=1))
    found = await counted(ledger)
    assert (found.listed, found.handled, found.even) == (4, 3, False)
    Vendors(monkeypatch, ledger_url, MemoryTarget(), None)
    operator = CertifyOperator(task_id="certify", rule=RULE.model_dump(mode="json"))
    with pytest.raises(AirflowFailException, match="somebody is unaccounted for in batches"):
        await operator.aexecute(context_of(RULE))
    assert await rows(ledger, "SELECT listed, handled, even FROM handoff.certificates") == [(4, 3, False)]


@pytest.mark.parametrize(("state", "reason"), [("cancelled", "occasion_cancelled"), ("missed", "past_when_first_seen")])
async def test_nobody_is_pending_in_what_does_not_take_place(ledger: AsyncEngine, state: str, reason: str) -> None:
    await planned(ledger, 0)
    await listed_late(ledger, ENDED - timedelta(hours=1))
    await change(ledger, "UPDATE handoff.batches SET state = :state, reason = :reason", state=state, reason=reason)
    found = await counted(ledger)
    assert (found.listed, found.excluded, found.pending, found.even) == (1, {reason: 1}, 0, True)


@pytest.mark.parametrize("state", ["waiting", "held"])
async def test_what_is_not_judged_is_pending(ledger: AsyncEngine, state: str) -> None:
    await planned(ledger, 0)
    await listed_late(ledger, ENDED - timedelta(hours=1))
    await change(ledger, "UPDATE handoff.batches SET state = :state", state=state)
    found = await counted(ledger)
    assert (found.listed, found.pending, found.even) == (1, 1, True)


async def test_a_certificate_is_renewed_until_nobody_is_pending(
    ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Vendors(monkeypatch, ledger_url, MemoryTarget(), None)
    operator = CertifyOperator(task_id="certify", rule=RULE.model_dump(mode="json"))
    assert await operator.aexecute(context_of(RULE)) == []
    await judged(ledger, 4)
    [first] = await operator.aexecute(context_of(RULE))
    assert (first["pending"], first["handled"]) == (4, 0)
    await delivered(ledger, lambda call: None)
    [second] = await operator.aexecute(context_of(RULE))
    assert (second["pending"], second["handled"], second["effects"]) == (0, 4, {"confirmed": 8})
    assert await operator.aexecute(context_of(RULE)) == []
    assert await rows(ledger, "SELECT listed, handled, pending, even FROM handoff.certificates") == [(4, 4, 0, True)]
    assert "example.org" not in str((first, second))
