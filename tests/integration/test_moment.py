"""The exact moment: the last look decides, and everybody listed gets one verdict for that moment."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery import moment
from handoff.delivery.moment import attend, first_look
from handoff.errors import Transient
from handoff.ledger import batches, certificates
from handoff.ledger.batches import WaitingBatch
from handoff.ledger.certificates import Count
from handoff.occasion import Occasion
from handoff.planner import record
from handoff.registration import Registration, Roster
from handoff.rule import Rule
from tests.support.chaos import expire_leases
from tests.support.delivery import desk_of, judge_due, states, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations, stay
from tests.support.rows import batches_now, change, rows
from tests.support.targets import MemoryTarget

RULE = a_rule()
VERDICTS = "SELECT ref, included, reason FROM handoff.verdicts ORDER BY ref"


def ended(minutes_ago: float = 1, **changes: Any) -> Occasion:
    return an_occasion(start=datetime.now(UTC) - timedelta(minutes=60 + minutes_ago), **changes)


def listed_for(occasion: Occasion, count: int) -> tuple[Registration, ...]:
    return some_registrations(count, before=occasion.anchors["start"])


def somebody(occasion: Occasion, ref: str, email: str, **more: Any) -> Registration:
    return Registration(ref, email, occasion.anchors["start"] - timedelta(hours=1), **more)


async def planned(ledger: AsyncEngine, occasion: Occasion, rule: Rule = RULE) -> None:
    assert (await record(ledger, [occasion], [rule])).new == 1


async def claim(ledger: AsyncEngine, rule: Rule = RULE, owner: str = "run", horizon: float = 0) -> list[WaitingBatch]:
    async with ledger.begin() as connection:
        return await batches.claim(connection, rule.id, owner, horizon=horizon)


async def certificate(ledger: AsyncEngine) -> Count:
    async with ledger.begin() as connection:
        [batch_id] = await certificates.to_certify(connection, RULE.id)
        return await certificates.count(connection, batch_id)


async def judged(ledger: AsyncEngine, occasion: Occasion, people: Sequence[Registration], rule: Rule = RULE) -> Count:
    source = FixedSource(occasion, people)
    await planned(ledger, occasion, rule)
    assert await judge_due(ledger, rule, source) == ["judged"]
    counted = await certificate(ledger)
    assert counted.even
    return counted


async def delivered(ledger: AsyncEngine, rule: Rule = RULE) -> list[str]:
    target = MemoryTarget()
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}))
    return [email for email, _ in target.effects]


async def test_the_last_look_finds_it_moved(ledger: AsyncEngine) -> None:
    known = ended()
    later = an_occasion(start=known.anchors["start"] + timedelta(days=1), changed=2)
    await planned(ledger, known)
    source = FixedSource(later, listed_for(known, 3))
    assert await judge_due(ledger, RULE, source) == ["moved"]
    assert await batches_now(ledger) == [("test_rule", "waiting", later.anchors["end"])]
    assert await delivered(ledger) == []
    assert await claim(ledger, owner="another") == []


@pytest.mark.parametrize("gone", [False, True])
async def test_the_last_look_finds_it_cancelled_or_gone(ledger: AsyncEngine, gone: bool) -> None:
    known = ended()
    await planned(ledger, known)
    source = FixedSource(None if gone else replace(known, cancelled=True, changed=2), listed_for(known, 3))
    assert await judge_due(ledger, RULE, source) == ["cancelled"]
    assert [state for _, state, _ in await batches_now(ledger)] == ["cancelled"]
    assert await delivered(ledger) == []


async def test_it_was_gone_came_back_and_is_gone_again(ledger: AsyncEngine) -> None:
    """The second disappearance says the same words as the first; it still is news."""
    known = ended()
    await planned(ledger, known)
    for number in range(1, 3):
        assert await judge_due(ledger, RULE, FixedSource(None)) == ["cancelled"]
        assert [state for _, state, _ in await batches_now(ledger)] == ["cancelled"]
        await record(ledger, [replace(known, changed=1 + number)], [RULE])
        assert [state for _, state, _ in await batches_now(ledger)] == ["waiting"]


async def test_it_was_moved_after_the_run_had_claimed_it(ledger: AsyncEngine) -> None:
    known = an_occasion(start=datetime.now(UTC) - timedelta(minutes=60) + timedelta(seconds=0.4))
    source = FixedSource(known, listed_for(known, 3))
    await planned(ledger, known)
    [batch] = await claim(ledger, horizon=5)
    await first_look(ledger, batch, source)
    attending = asyncio.create_task(attend(ledger, batch, source, lambda: None))
    moved = replace(known, anchors={**known.anchors, "end": known.anchors["end"] + timedelta(hours=1)}, changed=2)
    await record(ledger, [moved], [RULE])
    # The source's answer to the last look may be older than what the watcher has already recorded.
    assert await attending == "moved"
    assert await batches_now(ledger) == [("test_rule", "waiting", moved.anchors["end"])]
    assert await delivered(ledger) == []


async def test_it_waits_for_the_moment(ledger: AsyncEngine) -> None:
    soon = an_occasion(start=datetime.now(UTC) - timedelta(minutes=60) + timedelta(seconds=0.5))
    source = FixedSource(soon, listed_for(soon, 1))
    await planned(ledger, soon)
    assert await judge_due(ledger, RULE, source) == []
    assert await judge_due(ledger, RULE, source, horizon=5) == ["judged"]
    [(late,)] = await rows(ledger, "SELECT EXTRACT(EPOCH FROM judged_at - due_at) FROM handoff.batches")
    assert 0 <= late < 0.25


async def test_presence_that_is_late_is_waited_for_and_judged_for_the_original_moment(ledger: AsyncEngine) -> None:
    occasion, rule = ended(10), a_rule(who="attended")
    start, end = occasion.anchors["start"], occasion.anchors["end"]
    person = somebody(occasion, "p1", "eva@example.org")
    source = FixedSource(occasion, [person])
    source.presence_until = start
    await planned(ledger, occasion, rule)
    assert await judge_due(ledger, rule, source) == ["postponed"]
    assert await judge_due(ledger, rule, source) == []
    [(wakes_in, due, reason)] = await rows(
        ledger, "SELECT EXTRACT(EPOCH FROM wake_at - now()), due_at, reason FROM handoff.batches"
    )
    assert 10 < wakes_in < 600
    assert (due, reason) == (end, "presence_late")
    await change(ledger, "UPDATE handoff.batches SET wake_at = now()")
    source.registrations = (replace(person, presence=(stay(start, 0, 40),)),)
    source.presence_until = None
    assert await judge_due(ledger, rule, source) == ["judged"]
    assert await rows(ledger, "SELECT DISTINCT moment FROM handoff.verdicts") == [(end,)]
    assert await delivered(ledger, rule) == ["eva@example.org"]


async def test_who_waits_for_presence_looks_no_earlier_than_it_said(ledger: AsyncEngine) -> None:
    occasion, rule = ended(10), a_rule(who="attended")
    source = FixedSource(occasion)
    await planned(ledger, occasion, rule)
    await change(ledger, "UPDATE handoff.batches SET wake_at = now() + interval '0.4 seconds'")
    began = asyncio.get_running_loop().time()
    assert await judge_due(ledger, rule, source, horizon=12) == ["judged"]
    assert asyncio.get_running_loop().time() - began > 0.3


async def test_presence_that_is_late_is_asked_for_less_and_less(ledger: AsyncEngine) -> None:
    waits = []
    for number, minutes in enumerate((0.1, 10, 20 * 60)):
        occasion, rule = ended(minutes, key=f"d{number}"), a_rule(who="attended")
        source = FixedSource(occasion)
        source.presence_until = occasion.anchors["start"]
        await record(ledger, [occasion], [rule])
        await change(ledger, "UPDATE handoff.batches SET state = 'waiting', wake_at = due_at WHERE state = 'missed'")
        assert await judge_due(ledger, rule, source) == ["postponed"]
        [(wait,)] = await rows(ledger, "SELECT max(EXTRACT(EPOCH FROM wake_at - now())) FROM handoff.batches")
        waits.append(float(wait))
    assert waits[0] <= 15 < waits[1] < waits[2] <= 600


async def test_presence_that_never_arrives_is_held(ledger: AsyncEngine) -> None:
    occasion, rule = ended(30), a_rule(who="attended", late_after={"days": 3})
    source = FixedSource(occasion, listed_for(occasion, 2))
    await planned(ledger, occasion, rule)
    back = datetime.now(UTC) - moment.PRESENCE_PATIENCE - timedelta(minutes=1)
    source.presence_until = back - timedelta(minutes=1)
    await change(ledger, "UPDATE handoff.batches SET due_at = :back, wake_at = :back", back=back)
    assert await judge_due(ledger, rule, source) == ["held"]
    assert await rows(ledger, "SELECT state, reason FROM handoff.batches") == [("held", "presence_never_arrived")]
    assert await rows(ledger, VERDICTS) == []


async def test_who_was_registered_is_not_asked_for_presence(ledger: AsyncEngine) -> None:
    occasion = ended()
    source = FixedSource(occasion, listed_for(occasion, 2))
    source.presence_until = occasion.anchors["start"]
    await planned(ledger, occasion)
    assert await judge_due(ledger, RULE, source) == ["judged"]


async def test_what_could_not_be_judged_in_time_is_held(ledger: AsyncEngine) -> None:
    occasion, rule = ended(40), a_rule(late_after={"minutes": 30})
    source = FixedSource(occasion, listed_for(occasion, 2))
    await planned(ledger, occasion, rule)
    assert await judge_due(ledger, rule, source) == ["held"]
    assert await rows(ledger, "SELECT state, reason FROM handoff.batches") == [("held", moment.LATE)]
    assert await delivered(ledger) == []


async def test_nobody_in_the_webinar(ledger: AsyncEngine) -> None:
    counted = await judged(ledger, ended(), [])
    assert (counted.listed, counted.handled, counted.pending, counted.excluded) == (0, 0, 0, {})
    assert await delivered(ledger) == []


async def test_everybody_listed_gets_a_verdict(ledger: AsyncEngine) -> None:
    occasion = ended()
    later = occasion.anchors["end"] + timedelta(seconds=1)
    people = [
        somebody(occasion, "a", "eva@example.org"),
        somebody(occasion, "b", ""),
        somebody(occasion, "c", "   "),
        somebody(occasion, "d", "nicht@@example"),
        somebody(occasion, "e", " EVA@Example.ORG "),
        somebody(occasion, "f", "jörg@müller.example.org", first_name="Jörg 🎉", last_name="Größe"),
        Registration("g", "spaeter@example.org", later),
        Registration("h", "genau@example.org", occasion.anchors["end"]),
    ]

    class Unreadable(FixedSource):
        async def roster(self, known: Occasion, since: datetime | None) -> Roster:
            return replace(await super().roster(known, since), unreadable=("x1", "x2"))

    await planned(ledger, occasion)
    assert await judge_due(ledger, RULE, Unreadable(occasion, people)) == ["judged"]
    assert await rows(ledger, VERDICTS) == [
        ("a", True, "registered"),
        ("b", False, "no_email"),
        ("c", False, "no_email"),
        ("d", False, "invalid_email"),
        ("e", False, "duplicate"),
        ("f", True, "registered"),
        ("g", False, "registered_later"),
        ("h", True, "registered"),
        ("x1", False, "unreadable"),
        ("x2", False, "unreadable"),
    ]
    assert sorted(await delivered(ledger)) == ["eva@example.org", "genau@example.org", "jörg@müller.example.org"]
    counted = await certificate(ledger)
    assert counted.even
    assert (counted.listed, counted.handled) == (10, 3)
    assert counted.excluded == {
        "no_email": 2, "invalid_email": 1, "duplicate": 1, "registered_later": 1, "unreadable": 2
    }  # fmt: skip
    assert await rows(ledger, "SELECT first_name, last_name FROM handoff.contacts WHERE first_name <> ''") == [
        ("Jörg 🎉", "Größe")
    ]


async def test_an_entry_that_becomes_readable_is_still_one_entry(ledger: AsyncEngine) -> None:
    occasion = ended()

    class Mended(FixedSource):
        async def roster(self, known: Occasion, since: datetime | None) -> Roster:
            now = datetime.now(UTC)
            if since is None:
                return Roster(now, now, (), ("a",))
            return Roster(now, now, self.registrations)

    await planned(ledger, occasion)
    source = Mended(occasion, [somebody(occasion, "a", "eva@example.org")])
    assert await judge_due(ledger, RULE, source) == ["judged"]
    assert await rows(ledger, VERDICTS) == [("a", True, "registered")]
    assert (await certificate(ledger)).listed == 1


async def test_somebody_listed_twice_is_judged_by_all_their_stays(ledger: AsyncEngine) -> None:
    occasion, rule = ended(), a_rule(who="attended", attended_from_percent=50)
    start = occasion.anchors["start"]
    people = [
        somebody(occasion, "a", "eva@example.org", presence=(stay(start, 0, 20),)),
        somebody(occasion, "b", "Eva@example.org", presence=(stay(start, 15, 35),)),
        somebody(occasion, "c", "jan@example.org", presence=(stay(start, 0, 20),)),
        somebody(occasion, "d", "jan@example.org", presence=(stay(start, 0, 20),)),
    ]
    counted = await judged(ledger, occasion, people, rule)
    assert await delivered(ledger, rule) == ["eva@example.org"]
    assert counted.excluded == {"duplicate": 2, "not_attended": 1}


async def test_online_and_not_online_share_out_the_registered(ledger: AsyncEngine) -> None:
    occasion = ended()
    start = occasion.anchors["start"]
    people = [
        somebody(occasion, f"p{n:03}", f"person{n}@example.org", presence=(stay(start, n % 50, n % 61),))
        for n in range(120)
    ]
    emails = {}
    for who in ("online", "not_online"):
        rule = a_rule(id=who.replace("_", "-"), who=who, when={"minutes": 30, "after": "start"})
        await planned(ledger, replace(occasion, changed=2.0 + len(emails)), rule)
        assert await judge_due(ledger, rule, FixedSource(occasion, people)) == ["judged"]
        emails[who] = set(await delivered(ledger, rule))
    assert emails["online"].isdisjoint(emails["not_online"])
    assert len(emails["online"]) > 5
    assert len(emails["online"] | emails["not_online"]) == 120


@pytest.mark.parametrize("order", ["contact", "strict"])
async def test_a_crash_between_two_chunks_of_verdicts(
    ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    monkeypatch.setattr(moment, "FIRST_WRITTEN", 10)
    monkeypatch.setattr(moment, "WRITTEN_AT_ONCE", 25)
    occasion, rule = ended(), a_rule(order=order)
    source = FixedSource(occasion, listed_for(occasion, 100))
    await planned(ledger, occasion, rule)
    [batch] = await claim(ledger, rule)
    await first_look(ledger, batch, source)
    woken = 0

    def crash() -> None:
        nonlocal woken
        woken += 1
        if woken == 3:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        await attend(ledger, batch, source, crash)
    assert await rows(ledger, "SELECT count(*) FROM handoff.verdicts") == [(60,)]
    first = await delivered(ledger, rule)
    assert len(first) == 60
    assert await claim(ledger, rule, owner="other") == []
    await expire_leases(ledger)
    [again] = await claim(ledger, rule, owner="other")
    assert await attend(ledger, again, source, lambda: None) == "judged"
    everybody = first + await delivered(ledger, rule)
    in_order = [f"person{number}@example.org" for number in range(100)]
    assert (everybody if order == "strict" else sorted(everybody, key=in_order.index)) == in_order
    counted = await certificate(ledger)
    assert counted.even
    assert counted.handled == 100


async def test_a_thousand_are_written_in_the_order_of_registration(ledger: AsyncEngine) -> None:
    occasion = ended()
    people = listed_for(occasion, 1300)
    await judged(ledger, occasion, tuple(reversed(people)))
    found = await rows(
        ledger,
        "SELECT handoff.position, email FROM handoff.handoffs AS handoff"
        " JOIN handoff.contacts AS contact ON contact.id = contact_id ORDER BY handoff.id",
    )
    assert found == [(number, f"person{number}@example.org") for number in range(1300)]


async def test_what_changed_after_the_first_look_counts(ledger: AsyncEngine) -> None:
    occasion, rule = ended(), a_rule(who="attended")
    start = occasion.anchors["start"]
    person = somebody(occasion, "a", "eva@example.org")

    class Changing(FixedSource):
        asked: list[datetime | None] = []  # noqa: RUF012

        async def roster(self, known: Occasion, since: datetime | None) -> Roster:
            self.asked.append(since)
            now = datetime.now(UTC)
            new = somebody(occasion, "b", "neu@example.org", presence=(stay(start, 0, 60),))
            return Roster(now, now, (replace(person, presence=(stay(start, 0, 60),)), new) if since else (person,))

    source = Changing(occasion)
    await planned(ledger, occasion, rule)
    assert await judge_due(ledger, rule, source) == ["judged"]
    assert source.asked[0] is None
    assert source.asked[1] is not None
    assert sorted(await delivered(ledger, rule)) == ["eva@example.org", "neu@example.org"]


async def test_a_source_that_cannot_be_read_leaves_the_batch_waiting(ledger: AsyncEngine) -> None:
    occasion = ended()

    class Down(FixedSource):
        async def roster(self, known: Occasion, since: datetime | None) -> Roster:
            raise Transient("webinaris_default", "read the list")

    await planned(ledger, occasion)
    [batch] = await claim(ledger)
    with pytest.raises(Transient):
        await attend(ledger, batch, Down(occasion), lambda: None)
    assert [state for _, state, _ in await batches_now(ledger)] == ["waiting"]
    assert await attend(ledger, batch, FixedSource(occasion), lambda: None) == "judged"


async def test_a_date_that_is_gone_has_no_list_either(ledger: AsyncEngine) -> None:
    occasion = ended()

    class Gone(FixedSource):
        async def roster(self, known: Occasion, since: datetime | None) -> Roster:
            raise Transient("webinaris_default", "read the list", "no such date")

    await planned(ledger, occasion)
    [batch] = await claim(ledger)
    assert await attend(ledger, batch, Gone(None), lambda: None) == "cancelled"


async def test_two_runs_that_judge_the_same_batch_hand_over_once(ledger: AsyncEngine) -> None:
    occasion = ended()
    source = FixedSource(occasion, listed_for(occasion, 300))
    await planned(ledger, occasion)
    [batch] = await claim(ledger)
    await expire_leases(ledger)
    [same] = await claim(ledger, owner="other")
    await first_look(ledger, batch, source)
    became = await asyncio.gather(*(attend(ledger, one, source, lambda: None) for one in (batch, same)))
    assert "judged" in became
    assert len(await delivered(ledger)) == 300
    assert await states(ledger) == {"confirmed": 300}


async def test_two_webinars_with_the_same_people_end_at_once(ledger: AsyncEngine) -> None:
    """Both lists are stored and judged at the same time, in different orders, while lanes are worked in."""
    people = listed_for(ended(), 1200)
    sources = {}
    for number in range(3):
        occasion = ended(key=f"d{number}")
        shifted = [
            replace(person, registered_at=person.registered_at - timedelta(minutes=place * 7919 * (number + 1) % 1201))
            for place, person in enumerate(people)
        ]
        sources[occasion.key] = FixedSource(occasion, shifted)
        await record(ledger, [occasion], [RULE])
    claimed = await claim(ledger)
    look = [(batch, sources[batch.occasion.occasion.key]) for batch in claimed]
    await asyncio.gather(*(first_look(ledger, batch, source) for batch, source in look))
    working = asyncio.create_task(delivered(ledger))
    became = await asyncio.gather(*(attend(ledger, batch, source, lambda: None) for batch, source in look))
    assert became == ["judged"] * 3
    assert len(await working + await delivered(ledger)) == 3600


async def test_who_is_not_listed_any_more_at_the_first_look_is_not_handed_over(ledger: AsyncEngine) -> None:
    """Lists are read a day ahead to see how long they are; somebody may withdraw after that."""
    occasion = ended()
    stays, goes = somebody(occasion, "a", "bleibt@example.org"), somebody(occasion, "b", "geht@example.org")
    await planned(ledger, occasion)
    [batch] = await claim(ledger, horizon=5)
    await first_look(ledger, batch, FixedSource(occasion, (stays, goes)))
    await change(ledger, "UPDATE handoff.batches SET lease_owner = NULL, leased_until = NULL")
    assert await judge_due(ledger, RULE, FixedSource(occasion, (stays,))) == ["judged"]
    assert await delivered(ledger) == ["bleibt@example.org"]
    assert await rows(ledger, "SELECT reason FROM handoff.verdicts WHERE NOT included") == [("withdrawn",)]
    assert await rows(ledger, "SELECT contact_id, presence FROM handoff.registrations WHERE ref = 'b'") == [(None, [])]
