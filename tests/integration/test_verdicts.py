"""Everybody listed gets one verdict for the moment."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery import judging_run
from handoff.delivery.moment import attend, first_look
from handoff.occasion import Occasion
from handoff.planning.planner import record
from handoff.registration import Registration, Roster
from tests.support.chaos import expire_leases
from tests.support.delivery import judge_due, states
from tests.support.domain import FixedSource, a_rule, stay
from tests.support.moments import (
    RULE,
    VERDICTS,
    certificate,
    claim,
    delivered,
    ended,
    judged,
    listed_for,
    planned,
    somebody,
)
from tests.support.rows import change, rows


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
    emails: dict[str, set[str]] = {}
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
    monkeypatch.setattr(judging_run, "FIRST_WRITTEN", 10)
    monkeypatch.setattr(judging_run, "WRITTEN_AT_ONCE", 25)
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


async def test_an_earlier_entry_of_the_same_person_that_is_read_after_a_crash(
    ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person was handed over with the first part; the entry that would have been the first is one too many."""
    monkeypatch.setattr(judging_run, "FIRST_WRITTEN", 2)
    occasion = ended()
    source = FixedSource(occasion, listed_for(occasion, 4))
    await planned(ledger, occasion)
    [batch] = await claim(ledger)
    await first_look(ledger, batch, source)

    def crash() -> None:
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        await attend(ledger, batch, source, crash)
    await expire_leases(ledger)
    earlier = Registration("earlier", "person1@example.org", occasion.anchors["start"] - timedelta(days=2))
    source.registrations += (earlier,)
    [again] = await claim(ledger, owner="other")
    await first_look(ledger, again, source)
    assert await attend(ledger, again, source, lambda: None) == "judged"
    assert await rows(ledger, "SELECT ref, reason FROM handoff.verdicts WHERE NOT included") == [
        ("earlier", "duplicate")
    ]
    counted = await certificate(ledger)
    assert (counted.listed, counted.pending, counted.excluded, counted.even) == (5, 4, {"duplicate": 1}, True)
    assert sorted(await delivered(ledger)) == [f"person{number}@example.org" for number in range(4)]


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
