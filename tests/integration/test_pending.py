"""``handoff pending``: what waits, for its moment or for its turn, and how late it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.planning.planner import record
from handoff.rules.rule import Rule
from tests.support.chaos import tags
from tests.support.commands import handoff
from tests.support.delivery import judge_due
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.rows import change

SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)


async def judged(ledger: AsyncEngine, rule: Rule, count: int) -> None:
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=65))
    await record(ledger, [occasion], [rule])
    await judge_due(ledger, rule, FixedSource(occasion, some_registrations(count)))


async def test_batches_and_their_moments(ledger: AsyncEngine, ledger_url: str) -> None:
    await record(ledger, [an_occasion(start=SOON, key=f"d{n}", title=f"W{n}") for n in range(3)], [a_rule(id="one")])
    await record(ledger, [an_occasion(start=SOON, key="x")], [a_rule(id="two")])
    await change(ledger, "UPDATE handoff.batches SET due_at = now() - interval '90 minutes', reason = 'presence_late'"
                         " WHERE id = 2")  # fmt: skip
    said = await handoff(ledger_url, "pending", "one", "--json")
    assert (said.status, said.json["batch_count"]) == (0, 3)
    late, *others = said.json["batches"]
    assert (late["title"], late["reason"], 5400 <= late["late_seconds"] < 5410) == ("W1", "presence_late", True)
    assert {(one["late_seconds"], one["worked_on"]) for one in others} == {(0, False)}
    assert {datetime.fromisoformat(one["due_at"]) for one in others} == {SOON + timedelta(hours=1)}
    assert (await handoff(ledger_url, "pending", "--json")).json["batch_count"] == 4
    plain = (await handoff(ledger_url, "pending", "--most", "2")).out
    assert "1 h 30 min" in plain
    assert "and 2 more" in plain


async def test_open_effects_by_lane_and_state(ledger: AsyncEngine, ledger_url: str) -> None:
    await judged(ledger, a_rule(steps=tags("eins", "zwei")), 3)
    await change(ledger, "UPDATE handoff.effects SET state = 'confirmed' WHERE id = 1")
    await change(ledger, "UPDATE handoff.effects SET state = 'unknown' WHERE id = 3")
    found = (await handoff(ledger_url, "pending", "test_rule", "--json")).json
    assert {(one["state"], one["effects"], one["lanes"]) for one in found["effects"]} == {
        ("planned", 4, 3), ("unknown", 1, 1)
    }  # fmt: skip
    assert all(290 < one["late_seconds"] < 330 for one in found["effects"])
    assert [(one["planned"], one["unknown"], one["held"]) for one in found["lanes"]] == [
        (1, 0, None), (1, 1, None), (2, 0, None)
    ]  # fmt: skip
    assert (await handoff(ledger_url, "pending")).out.count("klicktipp.tag") == 2


async def test_what_stands_still_and_the_lanes_that_rest_for_it(ledger: AsyncEngine, ledger_url: str) -> None:
    await judged(ledger, a_rule(), 1)
    await change(ledger, "INSERT INTO handoff.freezes (scope, reason) VALUES ('rule:test_rule', 'wrong template')")
    await change(ledger, "INSERT INTO handoff.circuits (account, cause, opened_at) VALUES ('a', 'HTTP 503', now()),"
                         " ('b', 'was open once', NULL)")  # fmt: skip
    await change(ledger, "INSERT INTO handoff.circuits (account, rests_until) VALUES"
                         " ('c', now() + interval '10 minutes'), ('d', now() - interval '1 second')")  # fmt: skip
    await change(ledger, "UPDATE handoff.lanes SET rests = 'rule:test_rule'")
    said = (await handoff(ledger_url, "pending", "--json")).json
    assert {(one["scope"], one["kind"], one["reason"]) for one in said["standstill"]} == {
        ("rule:test_rule", "frozen", "wrong template"), ("account:a", "circuit open", "HTTP 503"),
        ("account:c", "rests", "the target asked to wait (rate limit)"),
    }  # fmt: skip
    [until] = [one["until"] for one in said["standstill"] if one["until"]]
    assert timedelta(minutes=9) < datetime.fromisoformat(until) - datetime.now(UTC) < timedelta(minutes=10)
    plain = (await handoff(ledger_url, "pending")).out
    assert "wrong template" in plain
    assert "the target asked to wait" in plain
    assert "when rule:test_rule goes on" in plain


async def test_nothing_waits(ledger: AsyncEngine, ledger_url: str) -> None:
    said = await handoff(ledger_url, "pending")
    assert (said.status, said.out) == (0, "Nothing waits.\n")


async def test_a_rule_that_nobody_knows(ledger: AsyncEngine, ledger_url: str) -> None:
    said = await handoff(ledger_url, "pending", "no_such_rule")
    assert said.status == 1
    assert "no_such_rule" in said.out
    assert (await handoff(ledger_url, "pending", "no_such_rule", "--json")).json["known"] is False


async def test_a_ledger_that_is_not_migrated_is_said(postgres: str) -> None:
    for command in (["pending"], ["held"], ["replay"], ["explain", "a@example.org"]):
        said = await handoff(postgres, *command)
        assert (said.status, "handoff migrate" in said.err) == (2, True)
