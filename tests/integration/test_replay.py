"""Refused effects go back to their places in their lanes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.errors import Refused
from handoff.planning.planner import record
from handoff.rules.rule import Rule
from tests.support.chaos import tags
from tests.support.commands import handoff
from tests.support.delivery import desk_of, judge_due, states, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.rows import change, rows
from tests.support.targets import MemoryTarget

THREE = tags("eins", "zwei", "drei")


class Refusing(MemoryTarget):
    """A target that refuses one tag until it is repaired, and remembers the tags it set."""

    def __init__(self, tag: str) -> None:
        super().__init__(before=self._refuse)
        self.unknown: str | None = tag
        self.tags: list[tuple[str, str, str]] = []

    def _refuse(self, call: Any) -> Refused | None:
        if call.step.tag == self.unknown:
            return Refused(call.step.conn_id, "tag", "there is no such tag")
        self.tags.append((call.occasion.key, call.contact.email.split("@")[0], call.step.tag))
        return None


async def judged(ledger: AsyncEngine, rule: Rule, count: int, key: str = "d1") -> None:
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61), key=key)
    await record(ledger, [occasion], [rule])
    await judge_due(ledger, rule, FixedSource(occasion, some_registrations(count)))


async def refused(ledger: AsyncEngine, rule: Rule, count: int = 1) -> Refusing:
    await judged(ledger, rule, count)
    target = Refusing("zwei")
    await goes_on(ledger, rule, target)
    assert await states(ledger) == {"confirmed": count, "refused": count, "skipped": count}
    target.unknown = None
    target.tags.clear()
    return target


async def goes_on(ledger: AsyncEngine, rule: Rule, target: MemoryTarget) -> None:
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}), horizon=0.0)


@pytest.mark.parametrize("order", ["contact", "strict"])
async def test_the_refused_step_and_those_after_it_go_out(ledger: AsyncEngine, ledger_url: str, order: str) -> None:
    rule = a_rule(steps=THREE, order=order)
    target = await refused(ledger, rule, count=3)
    said = await handoff(ledger_url, "replay", "--rule", "test_rule", "--json")
    assert (said.status, len(said.json["dead"]), len(said.json["replayed"])) == (0, 3, 3)
    assert await states(ledger) == {"confirmed": 3, "planned": 6}
    query = "SELECT DISTINCT attempts, late_allowed FROM handoff.effects WHERE state = 'planned'"
    assert await rows(ledger, query) == [(0, False)]
    await goes_on(ledger, rule, target)
    for person in ("person0", "person1", "person2"):
        assert [tag for _, who, tag in target.tags if who == person] == ["zwei", "drei"]
    assert await states(ledger) == {"confirmed": 9}


async def test_back_in_its_place_before_what_came_later(ledger: AsyncEngine, ledger_url: str) -> None:
    rule = a_rule(steps=THREE)
    target = await refused(ledger, rule)
    await judged(ledger, rule, 1, key="d2")
    [(first,)] = await rows(ledger, "SELECT id FROM handoff.effects WHERE state = 'refused'")
    assert (await handoff(ledger_url, "replay", first)).status == 0
    await goes_on(ledger, rule, target)
    assert [(key, tag) for key, _, tag in target.tags] == [
        ("d1", "zwei"), ("d1", "drei"), ("d2", "eins"), ("d2", "zwei"), ("d2", "drei")
    ]  # fmt: skip


async def test_while_a_worker_has_the_lane(ledger: AsyncEngine, ledger_url: str) -> None:
    """The worker has read what is open; what comes back meanwhile is not put to sleep by its release."""
    rule = a_rule(steps=THREE)
    target = await refused(ledger, rule)
    await change(ledger, "UPDATE handoff.lanes SET lease_owner = 'w', leased_until = now() + interval '9 s'")
    [(before,)] = await rows(ledger, "SELECT revision FROM handoff.lanes")
    await handoff(ledger_url, "replay", "--rule", "test_rule")
    assert await rows(ledger, "SELECT revision, lease_owner FROM handoff.lanes") == [(before + 1, "w")]
    await change(ledger, "UPDATE handoff.lanes SET lease_owner = NULL, leased_until = NULL")
    await goes_on(ledger, rule, target)
    assert await states(ledger) == {"confirmed": 3}


async def test_without_a_selection_it_only_shows_them(ledger: AsyncEngine, ledger_url: str) -> None:
    await refused(ledger, a_rule(steps=THREE), count=2)
    before = await rows(ledger, "SELECT * FROM handoff.effects ORDER BY id")
    said = await handoff(ledger_url, "replay", "--json")
    assert (said.status, said.json["replayed"], len(said.json["dead"])) == (1, [], 2)
    one = said.json["dead"][0]
    assert (one["step_no"], one["skipped"], one["barred"]) == (2, 1, "")
    assert "there is no such tag" in one["reason"]
    assert "there is no such tag" in (await handoff(ledger_url, "replay")).out
    assert "person" not in said.out
    assert await rows(ledger, "SELECT * FROM handoff.effects ORDER BY id") == before


async def test_the_list_is_an_alarm_only_while_something_can_be_done(ledger: AsyncEngine, ledger_url: str) -> None:
    assert (await handoff(ledger_url, "replay")).status == 0
    await refused(ledger, a_rule(steps=THREE), count=2)
    first, other = (await handoff(ledger_url, "replay", "--json")).json["dead"]
    said = await handoff(ledger_url, "resolve", first["effect_id"], "--drop")
    assert (said.status, said.out) == (0, f"effect {first['effect_id']}: skipped now\n")
    assert [one["effect_id"] for one in (await handoff(ledger_url, "replay", "--json")).json["dead"]] == [
        other["effect_id"]
    ]
    await change(ledger, "UPDATE handoff.occasions SET cancelled = true")
    said = await handoff(ledger_url, "replay", "--json")
    assert (said.status, [one["barred"] for one in said.json["dead"]]) == (0, ["occasion_cancelled"])


async def test_what_was_refused_can_only_be_replayed_or_dropped(ledger: AsyncEngine, ledger_url: str) -> None:
    rule = a_rule(steps=THREE)
    target = await refused(ledger, rule)
    [one] = (await handoff(ledger_url, "replay", "--json")).json["dead"]
    for decision in ("--sent", "--send-again"):
        said = await handoff(ledger_url, "resolve", one["effect_id"], decision)
        assert (said.status, "is refused, not held; handoff replay puts it back" in said.err) == (2, True)
    for words in ("skipped now", "decided before"):
        assert words in (await handoff(ledger_url, "resolve", one["effect_id"], "--drop")).out
    await goes_on(ledger, rule, target)
    assert (target.tags, await states(ledger)) == ([], {"confirmed": 1, "skipped": 2})


async def test_only_what_is_meant(ledger: AsyncEngine, ledger_url: str) -> None:
    await refused(ledger, a_rule(steps=THREE), count=2)
    assert (await handoff(ledger_url, "replay", "--rule", "another")).out.startswith("0 refused effects")
    assert (await handoff(ledger_url, "replay", "--rule", "test_rule", "--occasion", "d7")).status == 0
    assert (await states(ledger))["refused"] == 2
    said = await handoff(ledger_url, "replay", "--occasion", "d1", "--allow-late")
    assert said.out == "2 refused effects are back in their places, and 2 steps that were skipped with them.\n"
    query = "SELECT count(*) FROM handoff.effects WHERE late_allowed AND state = 'planned'"
    assert await rows(ledger, query) == [(4,)]


async def test_what_is_not_refused_cannot_be_replayed(ledger: AsyncEngine, ledger_url: str) -> None:
    await refused(ledger, a_rule(steps=THREE))
    said = await handoff(ledger_url, "replay", 1, 2, 99)
    assert (said.status, said.out) == (2, "")
    assert "1 (confirmed), 99 (not known); nothing was changed" in said.err
    assert (await states(ledger))["refused"] == 1


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE handoff.occasions SET cancelled = true", "stays as it is: the occasion was cancelled"),
        ("INSERT INTO handoff.erased (key) SELECT key FROM handoff.contacts", "the person's data was erased"),
        ("UPDATE handoff.contacts SET erased = true", "the person's data was erased"),
        ("UPDATE handoff.contacts SET email = ''", "the address was removed when its retention period ended"),
    ],
)
async def test_what_must_not_go_out_any_more(ledger: AsyncEngine, ledger_url: str, statement: str, words: str) -> None:
    rule = a_rule(steps=THREE)
    target = await refused(ledger, rule)
    await change(ledger, statement)
    said = await handoff(ledger_url, "replay", "--rule", "test_rule", "--allow-late")
    assert (said.status, words in said.out) == (1, True)
    await goes_on(ledger, rule, target)
    assert target.tags == []
    assert (await states(ledger))["refused"] == 1


async def test_whose_address_is_being_removed_at_this_moment(ledger: AsyncEngine, ledger_url: str) -> None:
    await refused(ledger, a_rule(steps=THREE))
    async with ledger.begin() as removing:
        await removing.execute(text("UPDATE handoff.contacts SET email = '' WHERE id IN (SELECT id FROM"
                                    " handoff.contacts FOR UPDATE)"))  # fmt: skip
        replaying = asyncio.create_task(handoff(ledger_url, "replay", "--rule", "test_rule"))
        await asyncio.wait({replaying}, timeout=0.5)
    assert (await replaying).out.startswith("0 refused effects are back")
    assert await states(ledger) == {"confirmed": 1, "refused": 1, "skipped": 1}


async def test_what_a_person_dropped_stays_dropped(ledger: AsyncEngine, ledger_url: str) -> None:
    await refused(ledger, a_rule(steps=THREE))
    await change(ledger, "UPDATE handoff.effects SET reason = 'dropped_by_person' WHERE state = 'skipped'")
    await handoff(ledger_url, "replay", "--rule", "test_rule")
    assert await states(ledger) == {"confirmed": 1, "planned": 1, "skipped": 1}
