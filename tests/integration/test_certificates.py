"""Certificates: listed = handled + excluded + pending, and whoever is missing shows."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.errors import Refused, UnknownOutcome
from handoff.ledger import certificates, registrations
from handoff.ledger.certificates import Count
from handoff.planning.planner import record
from handoff.registration import Registration, Roster
from handoff.rules.rule import Rule
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


async def test_who_registers_after_an_early_start_is_excluded_too(ledger: AsyncEngine) -> None:
    await judged(ledger, 3)
    await change(ledger, "UPDATE handoff.batches SET starts_at = due_at - interval '2 minutes'")
    await listed_late(ledger, ENDED - timedelta(minutes=1))
    found = await counted(ledger)
    assert (found.listed, found.excluded, found.even) == (4, {"registered_later": 1}, True)
    assert found.due_at - found.moment == timedelta(minutes=2)


async def notices(ledger: AsyncEngine) -> list[tuple[object, ...]]:
    return await rows(ledger, "SELECT cause, kind, count, closed_at IS NULL FROM handoff.notices ORDER BY id")


def events(context: Any) -> list[Any]:
    return [event for name in context["outlet_events"] for event in context["outlet_events"][name].asset_alias_events]


async def test_whoever_the_source_lists_late_turns_the_certificate_red_for_all_to_see(
    ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await judged(ledger, 3)
    await delivered(ledger, lambda call: None)
    await listed_late(ledger, ENDED - timedelta(hours=1))
    found = await counted(ledger)
    assert (found.listed, found.handled, found.unaccounted, found.even) == (4, 3, 1, False)
    Vendors(monkeypatch, ledger_url, MemoryTarget(), None)
    operator, context = CertifyOperator(task_id="certify", rule=RULE.model_dump(mode="json")), context_of(RULE)
    await operator.aexecute(context)
    assert await rows(ledger, "SELECT listed, handled, even FROM handoff.certificates") == [(4, 3, False)]
    assert await notices(ledger) == [("certificate/test_rule/d1", "certificate", 1, True)]
    [event] = events(context)
    assert (event.dest_asset_key.name, event.extra["rule"], event.extra["occasion"]) == (
        "handoff_certificates", "test_rule", "d1"
    )  # fmt: skip
    assert (event.extra["even"], event.extra["unaccounted"], event.extra["listed"]) == (False, 1, 4)
    again = context_of(RULE)
    await operator.aexecute(again)
    assert events(again) == []
    assert await notices(ledger) == [("certificate/test_rule/d1", "certificate", 1, True)]
    await change(ledger, "DELETE FROM handoff.registrations WHERE ref = 'late'")
    await operator.aexecute(again)
    assert [event.extra["even"] for event in events(again)] == [True]
    assert await notices(ledger) == [("certificate/test_rule/d1", "certificate", 1, False)]


async def test_a_failed_run_leaves_its_certificates_to_be_published(
    ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Vendors(monkeypatch, ledger_url, MemoryTarget(), None)
    await judged(ledger, 2)
    states = {"run-1": {"deliver": "failed", "certify": "running"}}
    task_instance = SimpleNamespace(get_task_states=lambda **_: states)
    context = context_of(RULE) | {"ti": task_instance}
    dag = DAG("handoff_r", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC))
    operator = CertifyOperator(task_id="certify", rule=RULE.model_dump(mode="json"), dag=dag)
    with pytest.raises(AirflowFailException, match="deliver failed"):
        await asyncio.to_thread(operator.execute, context)
    assert events(context) == []
    assert await rows(ledger, "SELECT pending, published_at FROM handoff.certificates") == [(2, None)]
    async with ledger.begin() as connection:
        assert [one.pending for one in await certificates.publish(connection)] == [2]
        assert await certificates.publish(connection) == []


async def test_a_batch_that_came_back_is_certified_again(ledger: AsyncEngine) -> None:
    await planned(ledger, 3)
    await change(ledger, "UPDATE handoff.batches SET state = 'cancelled', reason = 'x', judged_at = now()")
    async with ledger.begin() as connection:
        [batch_id] = await certificates.to_certify(connection)
        await certificates.write(connection, await certificates.count(connection, batch_id))
        assert await certificates.to_certify(connection) == []
    await change(ledger, "UPDATE handoff.batches SET state = 'judged', judged_at = clock_timestamp()")
    async with ledger.connect() as connection:
        assert await certificates.to_certify(connection) == [batch_id]
        assert await certificates.to_certify(connection, "another_rule") == []


@pytest.mark.parametrize(
    ("state", "reason"), [("cancelled", "occasion_cancelled"), ("missed", "past_when_first_seen"), ("skipped", "late")]
)
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
