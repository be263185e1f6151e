"""The minimum distance between two surveys to one person, whoever asks."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.errors import QuotaUsedUp, Refused, UnknownOutcome, WrongCredentials
from handoff.ledger.decisions import Decision, Subject, decide
from handoff.rules.rule import Rule
from handoff.target import Call
from tests.support.delivery import desk_of, judge_due, plan, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.rows import change, rows
from tests.support.surveys import agree, ask, survey_rule
from tests.support.targets import MemoryTarget

ENDS = "SELECT state, reason FROM handoff.effects ORDER BY id"
SENT, LEFT_OUT = ("confirmed", ""), ("skipped", "asked_recently")


async def ends(ledger: AsyncEngine) -> list[tuple[Any, ...]]:
    return await rows(ledger, ENDS)


def callexa_rule(rule_id: str, **step: Any) -> Rule:
    spec = {"step": "callexa.recipient", "survey": "zufriedenheit"} | step
    return a_rule(id=rule_id, purpose="survey", legal_basis="consent", steps=[spec])


@pytest.mark.parametrize(
    ("second", "weeks_ago", "end"),
    [
        (survey_rule("second"), 0, LEFT_OUT),
        (survey_rule("second"), 25, LEFT_OUT),
        (survey_rule("second"), 27, SENT),
        (survey_rule("second", at_least_weeks_apart=4), 5, SENT),
        (survey_rule("second", at_least_weeks_apart=0), 0, SENT),
        (survey_rule("second", survey="anders"), 0, SENT),
        (callexa_rule("second"), 25, LEFT_OUT),
        (callexa_rule("second"), 27, SENT),
    ],
)
@pytest.mark.parametrize("first", [survey_rule("first"), callexa_rule("first")], ids=["mail", "callexa"])
async def test_who_was_asked_within_the_distance_is_left_out(
    ledger: AsyncEngine, first: Rule, second: Rule, weeks_ago: int, end: tuple[str, str]
) -> None:
    await ask(ledger, first, key="d1")
    await change(
        ledger, "UPDATE handoff.askings SET asked_at = now() - make_interval(weeks => :weeks)", weeks=weeks_ago
    )
    target = await ask(ledger, second, key="d2")
    assert await ends(ledger) == [SENT, end]
    assert len(target.effects) == (end == SENT)


async def test_another_person_is_asked(ledger: AsyncEngine) -> None:
    await ask(ledger, survey_rule(), key="d1")
    await ask(ledger, survey_rule(), key="d2", count=2)
    assert sorted(await ends(ledger)) == sorted([SENT, LEFT_OUT, SENT])


async def test_what_was_refused_did_not_ask(ledger: AsyncEngine) -> None:
    refusing = MemoryTarget(readable=False, before=lambda call: Refused("smtp_default", "send", "no such mailbox"))
    await ask(ledger, survey_rule(), key="d1", target=refusing)
    await ask(ledger, survey_rule("second"), key="d2")
    assert [state for state, _ in await ends(ledger)] == ["refused", "confirmed"]


async def test_what_may_have_arrived_did(ledger: AsyncEngine) -> None:
    doubtful = MemoryTarget(readable=False, after=lambda call: UnknownOutcome("smtp_default", "send", "no answer"))
    await ask(ledger, survey_rule(), key="d1", target=doubtful)
    await ask(ledger, survey_rule("second"), key="d2")
    assert [state for state, _ in await ends(ledger)] == ["held", "skipped"]


async def test_an_attempt_that_is_repeated_is_not_left_out_because_of_itself(ledger: AsyncEngine) -> None:
    rule = survey_rule()
    doubtful = MemoryTarget(readable=False, after=lambda call: UnknownOutcome("smtp_default", "send", "no answer"))
    await ask(ledger, rule, target=doubtful)
    await change(ledger, "UPDATE handoff.effects SET state = 'planned', intent_at = NULL")
    await change(ledger, "UPDATE handoff.lanes SET held = NULL, ready_at = now()")
    target = MemoryTarget(readable=False)
    await work(ledger, rule, desk_of(ledger, {"smtp_default": target}))
    assert await ends(ledger) == [SENT]


async def test_of_two_rules_that_ask_in_the_same_second_one_does(ledger: AsyncEngine) -> None:
    rules = [survey_rule(f"ask{number}") for number in range(4)]
    await agree(ledger, 10)
    occasion = an_occasion(datetime.now(UTC) - timedelta(minutes=61))
    source = FixedSource(occasion, some_registrations(10, before=occasion.anchors["start"]))
    await plan(ledger, source, rules, occasion)
    for rule in rules:
        await judge_due(ledger, rule, source)
    target = MemoryTarget(readable=False, latency=0.01)
    await asyncio.gather(*(work(ledger, rule, desk_of(ledger, {"smtp_default": target})) for rule in rules))
    assert sorted(email for email, _ in target.effects) == [f"person{number}@example.org" for number in range(10)]
    assert sorted(await ends(ledger)) == sorted([SENT] * 10 + [LEFT_OUT] * 30)


async def test_two_that_look_at_the_same_time_do_not_both_see_nobody(ledger: AsyncEngine) -> None:
    rules = [survey_rule(f"ask{number}") for number in range(2)]
    await agree(ledger, 1)
    occasion = an_occasion(datetime.now(UTC) - timedelta(minutes=61))
    source = FixedSource(occasion, some_registrations(1, before=occasion.anchors["start"]))
    await plan(ledger, source, rules, occasion)
    for rule in rules:
        await judge_due(ledger, rule, source)
    target = MemoryTarget(readable=False)
    async with ledger.begin() as writer:
        # Whoever has looked cannot write it down yet.
        await writer.execute(text("LOCK TABLE handoff.askings IN SHARE ROW EXCLUSIVE MODE"))
        both = [asyncio.ensure_future(work(ledger, rule, desk_of(ledger, {"smtp_default": target}))) for rule in rules]
        async with asyncio.timeout(60):
            while await rows(ledger, "SELECT count(*) FROM pg_locks WHERE NOT granted") != [(2,)]:
                await asyncio.sleep(0.01)
    await asyncio.gather(*both)
    assert len(target.effects) == 1
    assert sorted(await ends(ledger)) == sorted([SENT, LEFT_OUT])


async def test_a_survey_that_has_no_turn_yet_keeps_no_other_from_being_sent(ledger: AsyncEngine) -> None:
    """Its account is frozen, or has no request left today, when it has been judged; perhaps it never goes out."""
    waiting = MemoryTarget(readable=False)
    waiting.coalesces = used_up  # type: ignore[method-assign]
    await ask(ledger, survey_rule("first"), key="d1", target=waiting)
    assert [state for state, _ in await ends(ledger)] == ["planned"]
    await ask(ledger, callexa_rule("second"), key="d2")
    assert [state for state, _ in await ends(ledger)] == ["planned", "confirmed"]
    await change(ledger, "UPDATE handoff.lanes SET rests = NULL, ready_at = now() WHERE ready_at IS NOT NULL")
    await work(ledger, survey_rule("first"), desk_of(ledger, {"smtp_default": MemoryTarget(readable=False)}))
    assert await ends(ledger) == [LEFT_OUT, SENT]


def used_up(call: Call) -> bool:
    raise QuotaUsedUp(call.step.conn_id, "count a request", "5 a day", retry_after=3600.0)


async def test_an_attempt_that_certainly_had_no_effect_did_not_ask(ledger: AsyncEngine) -> None:
    closed = MemoryTarget(readable=False, before=lambda call: WrongCredentials("smtp_default", "log in"))
    await ask(ledger, survey_rule("first"), key="d1", target=closed)
    assert await rows(ledger, "SELECT state, attempts FROM handoff.effects") == [("planned", 1)]
    await ask(ledger, callexa_rule("second"), key="d2")
    assert [state for state, _ in await ends(ledger)] == ["planned", "confirmed"]


async def test_what_a_person_sends_again_may_have_asked_already(ledger: AsyncEngine) -> None:
    doubtful = MemoryTarget(readable=False, after=lambda call: UnknownOutcome("smtp_default", "send", "no answer"))
    await ask(ledger, survey_rule("first"), key="d1", target=doubtful)
    [(held,)] = await rows(ledger, "SELECT id FROM handoff.effects WHERE state = 'held'")
    async with ledger.begin() as connection:
        await decide(connection, [Subject("effect", held)], Decision.SEND_AGAIN)
    await ask(ledger, callexa_rule("second"), key="d2")
    assert [state for state, _ in await ends(ledger)] == ["planned", "skipped"]


async def test_a_step_that_is_no_survey_is_not_noted(ledger: AsyncEngine) -> None:
    await ask(ledger, a_rule())
    assert await rows(ledger, "SELECT count(*) FROM handoff.askings") == [(0,)]
