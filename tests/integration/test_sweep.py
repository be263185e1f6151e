"""The sweep: whatever was lost on the way, afterwards nobody is unaccounted for, and nobody has it twice."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery import sweep as sweeping
from handoff.delivery.healing import heal
from handoff.delivery.sweep import Sweep
from handoff.ledger import bells, registrations
from handoff.planning.planner import record
from handoff.registration import Presence, Registration
from handoff.rules.rule import Rule
from tests.support.chaos import tags
from tests.support.commands import handoff
from tests.support.delivery import desk_of, judge_due, work
from tests.support.domain import a_rule, an_occasion
from tests.support.rows import change, rows
from tests.support.targets import MemoryTarget
from tests.support.world import TrueSource, history, over_a_bad_wire, people

RULE = a_rule(steps=tags("eins", "zwei"))
ENDED = datetime.now(UTC) - timedelta(minutes=5)


async def swept(ledger: AsyncEngine, source: TrueSource, *rules: Rule, **settings: Any) -> Sweep:
    return await sweeping.run(Sweep(ledger, rules or (RULE,), source.open, **settings))


async def delivered(ledger: AsyncEngine, target: MemoryTarget, rule: Rule = RULE) -> None:
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}))


def contacts(target: MemoryTarget) -> Counter[str]:
    return Counter(contact for contact, _ in target.effects)


async def certificate(ledger: AsyncEngine) -> tuple[Any, ...]:
    query = "SELECT listed, handled, excluded, pending, even, missing FROM handoff.certificates"
    [found] = await rows(ledger, query)
    return found


async def causes(ledger: AsyncEngine, *, still_open: bool = True) -> list[str]:
    query = "SELECT cause FROM handoff.notices WHERE (closed_at IS NULL) = :still_open ORDER BY id"
    return [cause for (cause,) in await rows(ledger, query, still_open=still_open)]


async def handed_over(
    ledger: AsyncEngine, count: int, target: MemoryTarget, rule: Rule = RULE, ended: datetime = ENDED
) -> TrueSource:
    """A webinar that ended, judged and delivered; ``hidden`` entries were not shown then."""
    source = TrueSource()
    occasion = an_occasion(start=ended - timedelta(minutes=60))
    source.put(occasion, people("p", count, before=ended - timedelta(hours=2)))
    await record(ledger, [occasion], [rule])
    assert await judge_due(ledger, rule, source) == ["judged"]
    await delivered(ledger, target, rule)
    return source


@pytest.mark.parametrize("seed", range(16))
async def test_events_dropped_doubled_and_reordered_come_out_even(ledger: AsyncEngine, seed: int) -> None:
    dice, now = random.Random(seed), datetime.now(UTC)
    source, target, reports = TrueSource(), MemoryTarget(), []
    for number in range(4):
        versions = history(dice, f"d{number}", now)
        reports += versions
        source.put(versions[-1], people(f"d{number}", 5, before=now - timedelta(hours=1)))
    source.hidden = {entry.ref for listed in source.lists.values() for entry in listed if dice.random() < 0.3}
    arrived = over_a_bad_wire(dice, reports)
    half = len(arrived) // 2
    await record(ledger, arrived[:half], [RULE])
    await judge_due(ledger, RULE, source)
    await delivered(ledger, target)
    await record(ledger, arrived[half:], [RULE])
    source.hidden.clear()

    first = await swept(ledger, source)
    assert await rows(ledger, "SELECT * FROM handoff.certificates WHERE NOT even") == []
    assert await rows(ledger, "SELECT key FROM handoff.occasions ORDER BY key") == [
        (key,) for key in sorted(source.now)
    ]
    assert first.compared["webinaris", "webinaris_default"].troubles == []
    await judge_due(ledger, RULE, source)
    await delivered(ledger, target)
    await swept(ledger, source)
    due = [key for key, one in source.now.items() if not one.cancelled and one.anchors["end"] < now]
    meant = {entry.email for key in due for entry in source.lists[key]}
    assert contacts(target) == dict.fromkeys(meant, 2)
    assert await causes(ledger) == []
    even = await rows(ledger, "SELECT listed, handled FROM handoff.certificates JOIN handoff.batches ON id = batch_id"
                              " WHERE state = 'judged'")  # fmt: skip
    assert even == [(5, 5)] * len(due)


async def test_a_date_that_was_never_heard_of_is_recorded_and_handed_over(ledger: AsyncEngine) -> None:
    source, target = TrueSource(), MemoryTarget()
    source.put(an_occasion(start=ENDED - timedelta(minutes=60)), people("p", 3, before=ENDED))
    found = await swept(ledger, source)
    assert found.compared["webinaris", "webinaris_default"].recorded == 1
    assert await judge_due(ledger, RULE, source) == ["judged"]
    await delivered(ledger, target)
    assert contacts(target) == {f"p-{number}@example.org": 2 for number in range(3)}


@pytest.mark.parametrize("truth", ["cancelled", "deleted", "moved"])
async def test_a_waiting_batch_follows_what_was_not_heard(ledger: AsyncEngine, truth: str) -> None:
    source, later = TrueSource(), datetime.now(UTC) + timedelta(hours=3)
    known = an_occasion(start=later)
    await record(ledger, [known], [RULE])
    if truth == "cancelled":
        source.put(an_occasion(start=later, cancelled=True, changed=2.0))
    if truth == "moved":
        source.put(an_occasion(start=later + timedelta(hours=1), changed=2.0))
    await swept(ledger, source)
    [(state, due_at)] = await rows(ledger, "SELECT state, due_at FROM handoff.batches")
    moved = truth == "moved"
    assert state == ("waiting" if moved else "cancelled")
    assert due_at == later + timedelta(hours=2 if moved else 1)


async def test_whoever_was_missing_is_red_then_healed(ledger: AsyncEngine) -> None:
    target = MemoryTarget()
    source = await handed_over(ledger, 3, target)
    source.lists["d1"] += (Registration("new", "new@example.org", ENDED - timedelta(hours=3)),)
    found = await swept(ledger, source)
    [red, even] = found.published
    assert (red.even, red.listed, red.handled, red.missing, red.unaccounted) == (False, 4, 3, 1, 1)
    assert (even.even, even.listed, even.handled, even.pending, even.missing) == (True, 4, 3, 1, 0)
    assert await causes(ledger) == []
    assert await causes(ledger, still_open=False) == ["certificate/test_rule/d1"]
    assert (await swept(ledger, source)).published == []
    await delivered(ledger, target)
    assert contacts(target) == dict.fromkeys(
        ["p-0@example.org", "p-1@example.org", "p-2@example.org", "new@example.org"], 2
    )
    [done] = (await swept(ledger, source)).published
    assert (done.handled, done.pending, done.even) == (4, 0, True)
    assert await certificate(ledger) == (4, 4, {}, 0, True, 0)


async def test_somebody_listed_again_is_not_handed_over_again(ledger: AsyncEngine) -> None:
    target = MemoryTarget()
    source = await handed_over(ledger, 2, target)
    # Earlier than the entry that was judged: judged afresh, this one would be the one that counts.
    source.lists["d1"] += (Registration("again", " P-1@Example.org", ENDED - timedelta(days=1)),)
    await swept(ledger, source)
    await delivered(ledger, target)
    assert contacts(target) == {"p-0@example.org": 2, "p-1@example.org": 2}
    await swept(ledger, source)
    assert await certificate(ledger) == (3, 2, {"duplicate": 1}, 0, True, 0)


async def test_who_registers_after_the_moment_is_not_missing(ledger: AsyncEngine) -> None:
    source = await handed_over(ledger, 2, MemoryTarget())
    source.lists["d1"] += (Registration("late", "late@example.org", ENDED + timedelta(minutes=1)),)
    found = await swept(ledger, source)
    assert found.compared["webinaris", "webinaris_default"].missing == 0
    assert [one.even for one in found.published] == [True]
    assert await certificate(ledger) == (3, 2, {"registered_later": 1}, 0, True, 0)
    assert await causes(ledger, still_open=False) == []


async def test_the_missing_are_judged_for_the_moment_once_presence_reaches_it(ledger: AsyncEngine) -> None:
    rule, target = a_rule(who="attended", steps=tags("da")), MemoryTarget()
    source = await handed_over(ledger, 0, target, rule)
    start = ENDED - timedelta(minutes=60)
    stays = (Presence(start, ENDED),)
    source.lists["d1"] += (
        Registration("there", "there@example.org", start, presence=stays),
        Registration("away", "away@example.org", start),
    )
    source.presence_until = ENDED - timedelta(minutes=30)
    await swept(ledger, source, rule)
    assert await certificate(ledger) == (2, 0, {}, 0, False, 2)
    assert await causes(ledger) == ["certificate/test_rule/d1"]
    source.presence_until = None
    # Not yet time to compare again, but a red certificate does not wait longer than for the next sweep.
    await change(ledger, "UPDATE handoff.certificates SET compared_at = compared_at - interval '5 minutes'")
    await swept(ledger, source, rule)
    assert await causes(ledger) == []
    await delivered(ledger, target, rule)
    await swept(ledger, source, rule)
    assert contacts(target) == {"there@example.org": 1}
    listed, handled, excluded, pending, even, missing = await certificate(ledger)
    assert (listed, handled, sum(excluded.values()), pending, even, missing) == (2, 1, 1, 0, True, 0)


async def test_who_is_found_too_late_is_left_to_the_rule_s_late_policy(ledger: AsyncEngine) -> None:
    target = MemoryTarget()
    source = await handed_over(ledger, 2, target)
    await change(ledger, "UPDATE handoff.batches SET due_at = due_at - interval '2 days'")
    source.lists["d1"] += (Registration("new", "new@example.org", ENDED - timedelta(days=9)),)
    await swept(ledger, source)
    await delivered(ledger, target)
    assert "new@example.org" not in contacts(target)
    await swept(ledger, source)
    assert (await certificate(ledger))[:5] == (3, 2, {}, 1, True)


@pytest.mark.parametrize("late", [False, True])
async def test_an_entry_that_becomes_readable_is_judged_then(ledger: AsyncEngine, late: bool) -> None:
    target, source = MemoryTarget(), TrueSource()
    occasion = an_occasion(start=ENDED - timedelta(minutes=60))
    again = Registration("again", "p-0@example.org", ENDED - timedelta(days=10))
    source.put(occasion, (*people("p", 3, before=ENDED - timedelta(days=9)), again))
    source.garbled = {"p-1", "p-2", "again"}
    await record(ledger, [occasion], [RULE])
    assert await judge_due(ledger, RULE, source) == ["judged"]
    await delivered(ledger, target)
    await swept(ledger, source)
    assert await certificate(ledger) == (4, 1, {"unreadable": 3}, 0, True, 0)
    source.garbled = {"p-2"}
    if late:
        await change(ledger, "UPDATE handoff.batches SET due_at = due_at - interval '2 days'")
    found = await swept(ledger, source, everything=True)
    assert found.compared["webinaris", "webinaris_default"].healed == 2
    assert [one.even for one in found.published] == [True], "nobody was unaccounted for"
    await delivered(ledger, target)
    assert contacts(target) == {"p-0@example.org": 2} | ({} if late else {"p-1@example.org": 2})
    found = await swept(ledger, source, everything=True)
    assert found.compared["webinaris", "webinaris_default"].healed == 0
    handled, pending = (1, 1) if late else (2, 0)
    assert await certificate(ledger) == (4, handled, {"duplicate": 1, "unreadable": 1}, pending, True, 0)


async def test_lists_are_compared_hourly_and_old_ones_rarely(ledger: AsyncEngine) -> None:
    source = await handed_over(ledger, 1, MemoryTarget())
    source.asked.clear()

    async def sweeps_after(hours: int, days_since: int = 0) -> int:
        await change(ledger, "UPDATE handoff.cursors SET value = (now() - make_interval(hours => :h))::text", h=hours)
        await change(
            ledger, "UPDATE handoff.certificates SET compared_at = now() - make_interval(hours => :h)", h=hours
        )
        await change(
            ledger, "UPDATE handoff.batches SET due_at = now() - make_interval(days => :d, mins => 5)", d=days_since
        )
        source.asked.clear()
        before = source.listings
        await swept(ledger, source)
        assert source.listings - before == (hours > 0)
        return len(source.asked)

    await swept(ledger, source)
    assert source.asked == ["d1"]
    assert [await sweeps_after(0), await sweeps_after(1), await sweeps_after(2)] == [0, 1, 1]
    assert [await sweeps_after(119, 10), await sweeps_after(121, 10), await sweeps_after(399, 31)] == [0, 1, 0]
    await sweeps_after(0)
    await swept(ledger, source, everything=True)
    assert source.asked == ["d1"]


async def test_a_list_that_was_deleted_after_its_handover_is_no_trouble(ledger: AsyncEngine) -> None:
    source = await handed_over(ledger, 2, MemoryTarget())
    source.now.clear()
    found = await swept(ledger, source)
    assert found.compared["webinaris", "webinaris_default"].troubles == []
    assert await certificate(ledger) == (2, 2, {}, 0, True, 0)


async def test_a_source_that_cannot_be_read_stops_nothing_else_and_is_told_after_a_while(ledger: AsyncEngine) -> None:
    source = await handed_over(ledger, 2, MemoryTarget())
    await swept(ledger, source)
    await change(ledger, "UPDATE handoff.cursors SET value = (now() - interval '1 hour')::text")
    source.down = True
    await change(ledger, "DELETE FROM handoff.certificates")
    found = await swept(ledger, source)
    assert len(found.compared["webinaris", "webinaris_default"].troubles) == 2
    assert [one.handled for one in found.published] == [2]
    assert await causes(ledger) == []
    await change(ledger, "UPDATE handoff.cursors SET value = (now() - interval '2 hours')::text")
    await swept(ledger, source)
    notice = ("comparison/webinaris/webinaris_default", "comparison")
    assert await rows(ledger, "SELECT cause, kind FROM handoff.notices") == [notice]
    source.down = False
    await swept(ledger, source)
    assert await causes(ledger) == []


async def waiting_since(ledger: AsyncEngine, seconds: int, rule: Rule = RULE) -> TrueSource:
    source = TrueSource()
    ended = datetime.now(UTC) - timedelta(seconds=seconds)
    await record(ledger, [source.put(an_occasion(start=ended - timedelta(minutes=60)))], [rule])
    return source


async def test_what_is_due_and_nobody_came_for_is_rung_for(ledger: AsyncEngine) -> None:
    source = await waiting_since(ledger, 60)
    assert (await swept(ledger, source)).unheard == ["test_rule"]
    lease = "UPDATE handoff.batches SET lease_owner = 'run', leased_until = now() + make_interval(secs => :seconds)"
    for seconds, unheard in ((10, []), (-5, []), (-30, ["test_rule"])):
        await change(ledger, lease, seconds=seconds)
        assert (await swept(ledger, source)).unheard == unheard


async def test_what_is_just_due_is_left_to_the_bell(ledger: AsyncEngine) -> None:
    assert (await swept(ledger, await waiting_since(ledger, 5))).unheard == []


async def test_lanes_that_nobody_works_in_are_rung_for(ledger: AsyncEngine) -> None:
    rule = a_rule(order_group="shared")
    source = await waiting_since(ledger, 60, rule)
    source.lists["d1"] = people("d1", 2, before=ENDED - timedelta(hours=1))
    await judge_due(ledger, rule, source)
    await change(ledger, "UPDATE handoff.lanes SET ready_at = now() - interval '1 minute'")
    assert (await swept(ledger, source, rule)).unheard == ["test_rule"]
    # The rule has moved to another group since; its runs still settle in the former one.
    assert (await swept(ledger, source, a_rule())).unheard == ["test_rule"]
    await change(ledger, "UPDATE handoff.lanes SET leased_until = now() + interval '9 seconds'")
    assert (await swept(ledger, source, rule)).unheard == []


async def test_what_waits_for_a_rule_that_is_gone_is_told(ledger: AsyncEngine) -> None:
    source, other = await waiting_since(ledger, 60), a_rule(id="other", webinars=["none"])
    assert (await swept(ledger, source, other)).unheard == []
    assert await causes(ledger) == ["unserved/test_rule"]
    await change(ledger, "UPDATE handoff.batches SET wake_at = now()")
    await swept(ledger, source, other, RULE)
    assert await causes(ledger) == []


async def test_what_waits_for_a_rule_that_is_gone_can_be_dropped(ledger: AsyncEngine, ledger_url: str) -> None:
    source, other = await waiting_since(ledger, 60), a_rule(id="other", webinars=["none"])
    await swept(ledger, source, other)
    [(words,)] = await rows(ledger, "SELECT words FROM handoff.notices")
    pending, resolve = re.findall(r"handoff (pending \S+) .* handoff (resolve batch:NUMBER --drop)", words)[0]
    [batch] = (await handoff(ledger_url, *pending.split(), "--json")).json["batches"]
    done = await handoff(ledger_url, *resolve.replace("NUMBER", str(batch["batch_id"])).split())
    assert done.status == 0
    await swept(ledger, source, other)
    assert await causes(ledger) == []


@asynccontextmanager
async def hearing_the_bell(ledger: AsyncEngine) -> AsyncIterator[None]:
    async with ledger.connect() as opened:
        listener = await opened.execution_options(isolation_level="AUTOCOMMIT")
        await listener.exec_driver_sql(f"LISTEN {bells.CHANNEL}")
        yield
        driver: Any = (await listener.get_raw_connection()).driver_connection
        assert [note.channel async for note in driver.notifies(timeout=5, stop_after=1)] == [bells.CHANNEL]


async def test_the_doorbell_is_told_of_what_is_overdue(ledger: AsyncEngine) -> None:
    source = await waiting_since(ledger, 60)
    async with hearing_the_bell(ledger):
        await sweeping.take_up(Sweep(ledger, [RULE], source.open))


async def test_the_doorbell_is_told_of_who_was_healed(ledger: AsyncEngine) -> None:
    source = await handed_over(ledger, 1, MemoryTarget())
    source.lists["d1"] += (Registration("new", "new@example.org", ENDED - timedelta(hours=3)),)
    roster = await source.roster(source.now["d1"], None)
    [(batch_id, occasion_id)] = await rows(ledger, "SELECT id, occasion_id FROM handoff.batches")
    async with ledger.begin() as connection:
        await registrations.store(connection, occasion_id, roster)
    async with hearing_the_bell(ledger):
        assert await heal(ledger, batch_id, roster) == 1
    assert await heal(ledger, batch_id, roster) == 0


@pytest.mark.parametrize("table", ["batches", "lanes"])
async def test_the_doorbell_looks_again_when_the_lease_of_a_dead_worker_ends(ledger: AsyncEngine, table: str) -> None:
    source = await waiting_since(ledger, 60)
    if table == "lanes":
        source.lists["d1"] = people("d1", 2, before=ENDED - timedelta(hours=1))
        await judge_due(ledger, RULE, source)
        await change(ledger, "UPDATE handoff.lanes SET ready_at = now() - interval '1 minute'")
    lease = f"UPDATE handoff.{table} SET lease_owner = 'dead', leased_until = clock_timestamp() + interval '3 seconds'"
    await change(ledger, lease)
    async with ledger.connect() as connection:
        assert await bells.seconds_to_next(connection, 12.0) == pytest.approx(3, abs=0.5)


OUTAGE = timedelta(hours=4)


@pytest.mark.parametrize(
    ("at_work", "changed", "state"),
    [
        (True, OUTAGE * 2, "waiting"),
        (False, OUTAGE * 2, "missed"),
        (True, OUTAGE / 2, "missed"),
        (True, None, "missed"),
    ],
    ids=["nobody listened", "rule switched on since", "date made up since", "source does not say"],
)
async def test_a_moment_that_passed_while_nobody_listened_is_not_lost(
    ledger: AsyncEngine, at_work: bool, changed: timedelta | None, state: str
) -> None:
    now, source = datetime.now(UTC), TrueSource()
    if at_work:
        await record(ledger, [source.put(an_occasion(key="older", start=now - timedelta(days=40)))], [RULE])
        await change(ledger, "UPDATE handoff.rule_versions SET created_at = now() - interval '40 days'")
    stamp = (now - changed).timestamp() if changed else 0.0
    source.put(
        an_occasion(start=now - OUTAGE - timedelta(minutes=60), changed=stamp), people("p", 2, before=now - OUTAGE)
    )
    await swept(ledger, source)
    query = "SELECT state FROM handoff.batches JOIN handoff.occasions AS o ON o.id = occasion_id WHERE key = 'd1'"
    assert await rows(ledger, query) == [(state,)]
    assert await judge_due(ledger, RULE, source) == (["judged"] if state == "waiting" else [])
