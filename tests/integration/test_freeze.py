"""Freeze and thaw: it bites between two effects, costs the frozen nothing, and a thaw judges everything again."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.consent import Subject
from handoff.contact import Contact
from handoff.delivery import gate as gate_module
from handoff.delivery.gate import Gate
from handoff.delivery.moment import LATE, attend
from handoff.delivery.worker import Worker
from handoff.ledger import batches, bells, consents, freezes
from handoff.ledger.consents import Entry
from handoff.occasion import Occasion
from handoff.planning.planner import record
from handoff.rules.rule import Rule
from handoff.times.late import HELD
from tests.support.chaos import tags
from tests.support.commands import handoff
from tests.support.delivery import desk_of, judge_due, plan, states, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.rows import batches_now, change, rows
from tests.support.targets import MemoryTarget

ACCOUNT = "klicktipp_default"
MAIL = {"step": "email", "template": "webinar_attended"}
RESTING = "SELECT rests, count(*) FROM handoff.lanes WHERE rests IS NOT NULL GROUP BY 1"
ENDS = "SELECT step, state, reason, count(*) FROM handoff.effects GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
PASSED = (
    "UPDATE handoff.batches SET due_at = due_at - interval '2 hours', wake_at = wake_at - interval '2 hours'",
    "UPDATE handoff.occasions SET anchors = (SELECT jsonb_object_agg(name, CAST(at AS timestamptz)"
    " - interval '2 hours') FROM jsonb_each_text(anchors) AS anchor (name, at))",
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the ledger every tenth of a second."""
    monkeypatch.setattr(gate_module, "REFRESH_SECONDS", 0.1)
    monkeypatch.setattr(gate_module, "PAUSES_SECONDS", 0.1)


def planned_occasion(**changes: object) -> Occasion:
    return an_occasion(**{"start": datetime.now(UTC) - timedelta(minutes=61)} | changes)  # type: ignore[arg-type]


async def judged(ledger: AsyncEngine, rule: Rule, count: int, **changes: object) -> Occasion:
    occasion = planned_occasion(**changes)
    source = FixedSource(occasion, some_registrations(count, before=occasion.anchors["start"]))
    await plan(ledger, source, [rule], occasion)
    assert await judge_due(ledger, rule, source) == ["judged"]
    return occasion


async def freeze(ledger: AsyncEngine, scope: str) -> None:
    async with ledger.begin() as connection:
        await freezes.freeze(connection, scope, "test")


async def thaw(ledger: AsyncEngine, scope: str) -> None:
    async with ledger.begin() as connection:
        assert await freezes.thaw(connection, scope)


async def two_hours_pass(ledger: AsyncEngine) -> None:
    for statement in PASSED:
        await change(ledger, statement)


async def says(ledger: AsyncEngine, email: str, what: str) -> None:
    entry = Entry(Subject(Contact(email).key, "email", "marketing"), what, datetime.now(UTC), "Ja, gern.", "test")
    async with ledger.begin() as connection:
        assert await consents.add(connection, [entry]) == 1


async def ringing(ledger: AsyncEngine) -> list[tuple[str, str]]:
    await change(ledger, "UPDATE handoff.lanes SET ready_at = ready_at - interval '10 minutes'")
    async with ledger.connect() as connection:
        return [(bell.kind, bell.name) for bell in await bells.due(connection, 12.0)]


@pytest.mark.parametrize("scope", ["all", "rule:test_rule", f"account:{ACCOUNT}"])
@pytest.mark.parametrize("order", ["contact", "strict"])
async def test_a_freeze_bites_a_batch_in_flight_and_the_thaw_lets_it_go_on(
    ledger: AsyncEngine, scope: str, order: str
) -> None:
    rule, target = a_rule(steps=tags("eins", "zwei", "drei"), order=order), MemoryTarget(latency=0.005)
    people = 300 if order == "contact" else 40
    await judged(ledger, rule, people)
    working = asyncio.create_task(work(ledger, rule, desk_of(ledger, {ACCOUNT: target}), in_flight=16))
    while len(target.effects) < 30 and not working.done():
        await asyncio.sleep(0.01)
    await freeze(ledger, scope)
    await asyncio.wait_for(working, 5)
    sent = len(target.effects)
    assert 30 <= sent < 3 * people
    assert await states(ledger) == {"confirmed": sent, "planned": 3 * people - sent}
    assert [row[0] for row in await rows(ledger, RESTING)] == [scope]
    [(attempts,)] = await rows(ledger, "SELECT sum(attempts) FROM handoff.effects")
    assert attempts == sent == target.calls, "being frozen is no attempt"
    assert await ringing(ledger) == []
    await work(ledger, rule, desk_of(ledger, {ACCOUNT: target}))
    assert len(target.effects) == sent
    await thaw(ledger, scope)
    assert await rows(ledger, "SELECT count(*) FROM handoff.lanes WHERE ready_at > clock_timestamp()") == [(0,)]
    assert await ringing(ledger) == [("lane", "test_rule")]
    await work(ledger, rule, desk_of(ledger, {ACCOUNT: target}))
    assert await states(ledger) == {"confirmed": 3 * people}
    assert len(set(target.effects)) == len(target.effects) == 3 * people


async def test_lanes_that_wait_for_the_rate_limit_do_not_send_after_a_freeze(ledger: AsyncEngine) -> None:
    rule, target = a_rule(), MemoryTarget()
    await judged(ledger, rule, 50)
    desk = desk_of(ledger, {ACCOUNT: target}, rate=20.0)
    working = asyncio.create_task(work(ledger, rule, desk, in_flight=50))
    while len(target.effects) < 5 and not working.done():
        await asyncio.sleep(0.01)
    await freeze(ledger, "all")
    await asyncio.sleep(0.4)
    sent = len(target.effects)
    await asyncio.wait_for(working, 10)
    assert len(target.effects) == sent < 25


async def test_what_is_not_frozen_goes_on(ledger: AsyncEngine) -> None:
    cold, warm, target = a_rule(id="cold"), a_rule(id="warm"), MemoryTarget()
    await judged(ledger, cold, 10, key="a")
    await judged(ledger, warm, 10, key="b")
    await freeze(ledger, "rule:cold")
    for rule in (cold, warm):
        await work(ledger, rule, desk_of(ledger, {ACCOUNT: target}))
    assert await rows(ledger, "SELECT rule_id, effect.state, count(*) FROM handoff.effects AS effect"
                              " JOIN handoff.handoffs AS handoff ON handoff.id = handoff_id"
                              " JOIN handoff.batches AS batch ON batch.id = batch_id"
                              " GROUP BY 1, 2 ORDER BY 1") == [
        ("cold", "planned", 10), ("warm", "confirmed", 10)]  # fmt: skip


async def test_a_batch_is_not_judged_while_frozen_and_followed_by_its_occasion_meanwhile(ledger: AsyncEngine) -> None:
    rule, occasion = a_rule(), planned_occasion()
    source = FixedSource(occasion, some_registrations(5, before=occasion.anchors["start"]))
    await plan(ledger, source, [rule], occasion)
    async with ledger.begin() as connection:
        [batch] = await batches.claim(connection, rule.id, "run", horizon=0.0)
    assert await attend(ledger, batch, source, lambda: None, frozen=lambda: True) == "frozen"
    assert source.looks == 0
    assert [(name, state) for name, state, _ in await batches_now(ledger)] == [("test_rule", "waiting")]
    await freeze(ledger, "rule:test_rule")
    assert await ringing(ledger) == []
    later = planned_occasion(start=datetime.now(UTC) + timedelta(hours=1), changed=2.0)
    source.now = later
    await record(ledger, [later], [rule])
    await thaw(ledger, "rule:test_rule")
    assert await ringing(ledger) == []
    assert await judge_due(ledger, rule, source) == []
    [(_, state, due_at)] = await batches_now(ledger)
    assert (state, due_at) == ("waiting", later.anchors["end"])


async def test_what_was_cancelled_meanwhile_is_not_sent_at_the_thaw(ledger: AsyncEngine) -> None:
    rule, target = a_rule(steps=tags("eins", "zwei")), MemoryTarget()
    gone = await judged(ledger, rule, 5, key="gone")
    await judged(ledger, rule, 3, key="stays")
    await freeze(ledger, "all")
    await work(ledger, rule, desk_of(ledger, {ACCOUNT: target}))
    gone = planned_occasion(start=gone.anchors["start"], key="gone", cancelled=True, changed=2.0)
    await record(ledger, [gone], [rule])
    await thaw(ledger, "all")
    await work(ledger, rule, desk_of(ledger, {ACCOUNT: target}))
    assert await rows(ledger, "SELECT state, reason, count(*) FROM handoff.effects GROUP BY 1, 2 ORDER BY 1, 2") == [
        ("confirmed", "", 6), ("skipped", "occasion_cancelled", 5), ("skipped", "step 1 was skipped", 5)]  # fmt: skip
    assert len(target.effects) == 6


@pytest.mark.parametrize(("then", "expected"), [("hold", ("held", HELD)), ("skip", ("skipped", "late"))])
@pytest.mark.parametrize("scope", ["all", "rule:test_rule", f"account:{ACCOUNT}"])
async def test_what_became_too_late_meanwhile_is_not_sent_at_the_thaw(
    ledger: AsyncEngine, scope: str, then: str, expected: tuple[str, str]
) -> None:
    rule, target = a_rule(late_after={"minutes": 90, "then": then}), MemoryTarget()
    await judged(ledger, rule, 5)
    await freeze(ledger, scope)
    await work(ledger, rule, desk_of(ledger, {ACCOUNT: target}))
    await two_hours_pass(ledger)
    await thaw(ledger, scope)
    await work(ledger, rule, desk_of(ledger, {ACCOUNT: target}))
    assert await rows(ledger, ENDS) == [("klicktipp.tag", *expected, 5)]
    assert target.calls == 0


async def test_who_took_the_consent_back_meanwhile_is_not_written_to_at_the_thaw(ledger: AsyncEngine) -> None:
    """Frozen between two effects of the same people: the step before the mail is done."""
    rule = a_rule(steps=[*tags("eins"), MAIL], purpose="marketing", legal_basis="consent")
    targets = {ACCOUNT: MemoryTarget(), "smtp_default": MemoryTarget(readable=False)}
    stays, goes = "person0@example.org", "person1@example.org"
    await judged(ledger, rule, 2)
    for email in (stays, goes):
        await says(ledger, email, "granted")
    await freeze(ledger, "account:smtp_default")
    await work(ledger, rule, desk_of(ledger, dict(targets)))
    assert await rows(ledger, ENDS) == [("email", "planned", "", 2), ("klicktipp.tag", "confirmed", "", 2)]
    await says(ledger, goes, "withdrawn")
    await thaw(ledger, "account:smtp_default")
    await work(ledger, rule, desk_of(ledger, dict(targets)))
    assert await rows(ledger, ENDS) == [
        ("email", "confirmed", "", 1), ("email", "skipped", "consent_withdrawn", 1),
        ("klicktipp.tag", "confirmed", "", 2),
    ]  # fmt: skip
    assert [email for email, _ in targets["smtp_default"].effects] == [stays]


@pytest.mark.parametrize(("then", "state", "reason"), [("hold", "held", LATE), ("skip", "skipped", "late")])
async def test_a_batch_that_became_too_late_meanwhile_is_not_judged_at_the_thaw(
    ledger: AsyncEngine, then: str, state: str, reason: str
) -> None:
    rule, occasion = a_rule(late_after={"minutes": 90, "then": then}), planned_occasion()
    source = FixedSource(occasion, some_registrations(5, before=occasion.anchors["start"]))
    await plan(ledger, source, [rule], occasion)
    await freeze(ledger, "rule:test_rule")
    gate = Gate(ledger)
    await gate.refresh()
    async with ledger.begin() as connection:
        [batch] = await batches.claim(connection, rule.id, "run", horizon=0.0)
    assert (
        await attend(ledger, batch, source, lambda: None, frozen=lambda: gate.frozen(rule.id) is not None) == "frozen"
    )
    await two_hours_pass(ledger)
    source.now = planned_occasion(start=occasion.anchors["start"] - timedelta(hours=2))
    await thaw(ledger, "rule:test_rule")
    assert await judge_due(ledger, rule, source) == [state]
    assert await rows(ledger, "SELECT state, reason FROM handoff.batches") == [(state, reason)]
    assert await states(ledger) == {}


async def test_what_was_moved_into_the_future_meanwhile_waits_for_its_new_time(ledger: AsyncEngine) -> None:
    rule, target = a_rule(), MemoryTarget()
    await judged(ledger, rule, 2)
    await record(ledger, [planned_occasion(start=datetime.now(UTC) + timedelta(days=1), changed=2.0)], [rule])
    await work(ledger, rule, desk_of(ledger, {ACCOUNT: target}))
    assert target.calls == 0
    assert await rows(ledger, "SELECT DISTINCT state, reason FROM handoff.effects") == [("skipped", "occasion_moved")]
    assert [state for _, state, _ in await batches_now(ledger)] == ["judged", "waiting"]


async def test_a_rule_paused_where_it_is_scheduled_is_frozen_too_also_for_another_rule_s_worker(
    ledger: AsyncEngine,
) -> None:
    mine, other = a_rule(id="mine", order_group="both"), a_rule(id="other", order_group="both")
    asked: list[str] = []
    paused = {"mine": False, "other": True}

    async def ask(rule_id: str) -> bool:
        asked.append(rule_id)
        return paused[rule_id]

    target = MemoryTarget(latency=0.02)
    await judged(ledger, mine, 100, key="a")
    people = some_registrations(110, before=datetime.now(UTC) - timedelta(hours=2))[100:]
    occasion = planned_occasion(key="b")
    source = FixedSource(occasion, people)
    await plan(ledger, source, [other], occasion)
    assert await judge_due(ledger, other, source) == ["judged"]
    worker = Worker(ledger, "both", "w", desk_of(ledger, {ACCOUNT: target}), gate=Gate(ledger, ask), in_flight=4)
    working = asyncio.create_task(worker.run())
    while len(target.effects) < 12 and not working.done():
        await asyncio.sleep(0.01)
    paused["mine"], began = True, time.monotonic()
    await asyncio.wait_for(working, 5)
    assert time.monotonic() - began < 2
    assert 12 <= len(target.effects) < 100
    assert not {contact for contact, _ in target.effects} & {person.email for person in people}
    assert set(asked) == {"mine", "other"}
    resting = "SELECT rests, ready_at > now() + interval '50 seconds', count(*) FROM handoff.lanes"
    [mine_rest, other_rest] = await rows(ledger, f"{resting} WHERE ready_at IS NOT NULL GROUP BY 1, 2 ORDER BY 1")
    assert mine_rest == ("paused:mine", True, 100 - len(target.effects))
    assert other_rest == ("paused:other", True, 10)


async def test_lanes_of_a_paused_rule_ring_for_it_alone(ledger: AsyncEngine) -> None:
    """A rule that shares the order group could only put them back to rest, minute by minute."""
    rule = a_rule(id="mine", order_group="both")

    async def ask(rule_id: str) -> bool:
        return True

    await judged(ledger, rule, 3)
    await Worker(ledger, "both", "w", desk_of(ledger, {ACCOUNT: MemoryTarget()}), gate=Gate(ledger, ask)).run()
    assert await ringing(ledger) == [("batch", "mine")]
    occasion = planned_occasion(key="b")
    await plan(ledger, FixedSource(occasion), [rule], occasion)
    assert await ringing(ledger) == [("batch", "mine")], "one bell, whatever else the rule has to do"


async def test_a_gate_that_sees_the_end_of_a_pause_wakes_the_lanes(
    ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handoff.delivery.gate.PAUSES_SECONDS", 0.1)
    rule, target, paused = a_rule(), MemoryTarget(), True

    async def ask(rule_id: str) -> bool:
        return paused

    await judged(ledger, rule, 5)
    desk = desk_of(ledger, {ACCOUNT: target})
    gate = Gate(ledger, ask)

    async def until_sent() -> bool:
        return len(target.effects) < 5

    worker = Worker(ledger, rule.order_group, "w", desk, gate=gate)
    working = asyncio.create_task(worker.run(more_to_come=until_sent))
    while not await rows(ledger, "SELECT FROM handoff.lanes WHERE rests = 'paused:test_rule'"):
        await asyncio.sleep(0.01)
    paused = False
    await asyncio.wait_for(working, 15)
    assert await states(ledger) == {"confirmed": 5}


async def test_a_run_that_begins_after_a_pause_wakes_the_lanes(ledger: AsyncEngine) -> None:
    rule, target, answers = a_rule(), MemoryTarget(), [False, True]

    async def ask(rule_id: str) -> bool:
        return answers[-1]

    await judged(ledger, rule, 5)
    while answers:
        gate = Gate(ledger, ask)
        await gate.meet({rule.id})
        await Worker(ledger, rule.order_group, "w", desk_of(ledger, {ACCOUNT: target}), gate=gate).run()
        answers.pop()
    assert await states(ledger) == {"confirmed": 5}


async def test_frozen_lanes_cost_hardly_a_statement(ledger: AsyncEngine) -> None:
    rule, target = a_rule(), MemoryTarget()
    await judged(ledger, rule, 40)
    await freeze(ledger, "all")
    began = time.monotonic()
    await work(ledger, rule, desk_of(ledger, {ACCOUNT: target}), horizon=30.0)
    assert time.monotonic() - began < 5, "a worker does not stay for frozen lanes"
    resting = "SELECT count(*) FROM handoff.lanes WHERE ready_at > now() + interval '4 minutes'"
    assert await rows(ledger, resting) == [(40,)]


async def test_the_commands(ledger: AsyncEngine, ledger_url: str) -> None:
    await judged(ledger, a_rule(id="first"), 3, key="a")
    occasion = planned_occasion(key="b", start=datetime.now(UTC) + timedelta(hours=3))
    await plan(ledger, FixedSource(occasion), [a_rule(id="second")], occasion)
    assert (await handoff(ledger_url, "frozen")).out == "Nothing is frozen.\n"
    said = await handoff(ledger_url, "freeze", "all", "--reason", "wrong template", "--json")
    [frozen] = said.json
    assert (said.status, frozen["scope"], frozen["reason"]) == (0, "all", "wrong template")
    assert [(row["rule_id"], row["batches"]) for row in frozen["batches"]] == [("second", 1)]
    assert frozen["effects"] == [{"rule_id": "first", "account": ACCOUNT, "effects": 3}]
    await handoff(ledger_url, "freeze", f"account:{ACCOUNT}", "--reason", "moving house")
    await handoff(ledger_url, "freeze", "rule:second", "--reason", "not yet")
    shown = await handoff(ledger_url, "frozen")
    assert shown.status == 1
    for words in ("Frozen: all,", "moving house", "1 waiting batches", "3 effects", "Frozen: rule:second"):
        assert words in shown.out
    assert (
        await handoff(ledger_url, "thaw", "all")
    ).out == f"Thawed: all. Still frozen: account:{ACCOUNT}, rule:second.\n"
    assert (await handoff(ledger_url, "thaw", "rule:second", "--json")).json["still_frozen"] == [f"account:{ACCOUNT}"]
    again = await handoff(ledger_url, "thaw", "all")
    assert (again.status, again.err) == (2, "handoff thaw: all is not frozen; see: handoff frozen\n")
    wrong = await handoff(ledger_url, "freeze", "first", "--reason", "x")
    assert wrong.status == 2
    assert "write all, rule:<rule id> or account:<connection id>" in wrong.err
