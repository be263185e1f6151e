"""Erasing a person: the data is gone, the counts stay true, and nothing late brings it back."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, quote_plus

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.contact import Contact
from handoff.delivery.by_hand import hand_over
from handoff.errors import Refused, UnknownOutcome
from handoff.ledger import batches, certificates, registrations, verdicts
from handoff.ledger.erasure import Erasure, erase
from handoff.occasion import Occasion
from handoff.planning.judging import judge_list
from handoff.planning.planner import record
from handoff.registration import Registration, Roster
from handoff.rules.rule import Rule
from handoff.target import Call
from tests.support.commands import handoff
from tests.support.delivery import desk_of, judge_due, plan, states, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations, stay
from tests.support.rows import change, everything, rows
from tests.support.targets import MemoryTarget

EMAIL, FIRST, LAST, PHONE = "xenia.q7@example.org", "Xenia-q7", "Zwickelhuber", "+49 151 70074711"
KEY = Contact(email=EMAIL).key
TWO = [{"step": "klicktipp.tag", "tag": tag} for tag in ("eins", "zwei")]


def just_ended(**changes: object) -> Occasion:
    return an_occasion(start=datetime.now(UTC) - timedelta(minutes=61), minutes=60, **changes)


def xenia(occasion: Occasion, ref: str = "p000002x") -> Registration:
    start = occasion.anchors["start"]
    return Registration(
        ref, EMAIL, start - timedelta(minutes=2), FIRST, LAST, PHONE, "de", "Europe/Vienna", (stay(start, 0, 59),)
    )


def everybody(occasion: Occasion, count: int = 4) -> tuple[Registration, ...]:
    return (*some_registrations(count, before=occasion.anchors["start"]), xenia(occasion))


async def erased(ledger: AsyncEngine, key: str = KEY) -> Erasure:
    async with ledger.begin() as connection:
        return await erase(connection, key)


def named_in(dump: str) -> list[str]:
    return [word for word in (EMAIL, quote(EMAIL), FIRST, LAST, PHONE, "Vienna") if word.lower() in dump.lower()]


async def judged(ledger: AsyncEngine, rule: Rule, occasion: Occasion | None = None) -> FixedSource:
    occasion = occasion or just_ended()
    source = FixedSource(occasion, everybody(occasion))
    await plan(ledger, source, [rule], occasion)
    assert await judge_due(ledger, rule, source) == ["judged"]
    return source


async def counted(ledger: AsyncEngine) -> certificates.Count:
    async with ledger.begin() as connection:
        [batch_id] = (await connection.execute(text("SELECT id FROM handoff.batches"))).scalars()
        return await certificates.count(connection, batch_id)


async def test_nothing_that_names_the_person_is_left(ledger: AsyncEngine) -> None:
    facts = {"booked_by": EMAIL.upper(), "call": PHONE}
    await judged(ledger, a_rule(steps=TWO), just_ended(title=f"Termin mit {EMAIL}", facts=facts))
    await work(ledger, a_rule(steps=TWO), desk_of(ledger, {"klicktipp_default": MemoryTarget()}))
    before = await counted(ledger)
    assert len(named_in(await everything(ledger))) == 5
    gone = await erased(ledger)
    assert named_in(await everything(ledger)) == []
    assert (gone.known, gone.entries, gone.verdicts, gone.texts, gone.skipped) == (True, 1, 1, 2, 0)
    assert gone.accounts == {"klicktipp_default": 2}
    query = """SELECT verdict.included, verdict.facts, effect.state, effect.proof FROM handoff.verdicts AS verdict
        JOIN handoff.contacts AS contact ON contact.id = verdict.contact_id
        JOIN handoff.handoffs AS handoff USING (contact_id)
        JOIN handoff.effects AS effect ON effect.handoff_id = handoff.id WHERE contact.key = :key"""
    assert await rows(ledger, query, key=KEY) == [(True, {}, "confirmed", None)] * 2
    after = await counted(ledger)
    assert (after.listed, after.handled, after.pending, after.even) == (5, 5, 0, True)
    assert replace(after, title="") == replace(before, title="")
    assert await rows(ledger, "SELECT count(*) FROM handoff.effects WHERE proof IS NOT NULL") == [(8,)]


NAMING = [
    "mit {}", "{}", "<{}>", "mailto:{}", "Zeile\n{}\nZeile", "\t{}", "-{}", "_{}_", "({}).", "{}.", "Grüße\\{}", "Ä{}",
]  # fmt: skip
SPELLED = [
    "xenia.q7@example.org", "XENIA.Q7@Example.org", "xenia.q7%40example.org", "xenia%2Eq7%40example%2eorg",
    "XENIA.Q7%2540EXAMPLE.ORG",
]  # fmt: skip
OTHERS = [
    "axenia.q7@example.org", "a.xenia.q7@example.org", "a+xenia.q7@example.org", "a_xenia.q7%40example.org",
    "0xenia.q7@example.org", "xenia.q7@example.organic", "xenia_q7@example.org",
    "+49 151 700747110", "1+49 151 70074711",
]  # fmt: skip


async def test_an_address_is_found_however_it_is_spelled(ledger: AsyncEngine) -> None:
    texts = [place.format(spelled) for place in NAMING for spelled in SPELLED]
    texts += [f"?email={quote(EMAIL)}&tel={quote_plus(PHONE)}", f"tel:{quote(PHONE)}", f"%3C{quote(EMAIL)}%3E", PHONE]
    await record(ledger, [just_ended(key=f"{n}", facts={"said": words}) for n, words in enumerate(texts)], [])
    await record(ledger, [just_ended(key=f"t{n}", title=words) for n, words in enumerate(texts)], [])
    await judged(ledger, a_rule())
    assert (await erased(ledger)).texts == 4 * len(texts)
    assert await rows(ledger, "SELECT DISTINCT title FROM handoff.occasions ORDER BY 1") == [("",), ("Webinar",)]
    assert await rows(ledger, "SELECT key FROM handoff.occasions WHERE facts <> '{}'") == []


async def test_who_is_spelled_alike_keeps_everything(ledger: AsyncEngine) -> None:
    """Erasing anna@ leaves johanna@ alone."""
    texts = [place.format(other) for place in ("mit {}", "{}", "<{}>", "Zeile\n{}\nZeile") for other in OTHERS]
    others = [just_ended(key=f"{n}", title=words, facts={"said": words}) for n, words in enumerate(texts)]
    await record(ledger, others, [])
    await judged(ledger, a_rule())
    before = await everything(ledger)
    assert (await erased(ledger)).texts == 0
    kept = await rows(ledger, "SELECT title, facts ->> 'said' FROM handoff.occasions WHERE key <> 'd1' ORDER BY id")
    assert kept == [(words, words) for words in texts]
    assert 'payload":{}' not in before + await everything(ledger)


@pytest.mark.parametrize("known", ["never", "not any more"])
async def test_an_address_that_only_an_event_still_has(ledger: AsyncEngine, ledger_url: str, known: str) -> None:
    await record(
        ledger, [just_ended(title=f"Termin mit {EMAIL}"), just_ended(key="d2", facts={"by": quote(EMAIL)})], []
    )
    if known == "not any more":
        await judged(ledger, a_rule(), just_ended(key="d3"))
        await change(ledger, "UPDATE handoff.contacts SET email = '', first_name = '', last_name = '', phone = ''")
        await change(ledger, "UPDATE handoff.registrations SET presence = '[]', details = '{}'")
    said = await handoff(ledger_url, "erase", EMAIL.upper(), "--json")
    assert (said.json["texts"], said.json["known"]) == (4, known == "not any more")
    found = await everything(ledger)
    assert [word for word in (EMAIL, quote(EMAIL), LAST) if word.lower() in found.lower()] == []


async def test_what_a_target_said_goes_and_why_it_ended_stays(ledger: AsyncEngine) -> None:
    """The words of a vendor may be about the person in any spelling, or in none that anybody knows."""

    def refuse(call: Call) -> Refused | None:
        words = f"HTTP 404: GET /contact/{quote(EMAIL)}: {FIRST[::-1]} (not (found))"
        return Refused("klicktipp_default", "find contact", words) if call.contact.email == EMAIL else None

    rule = a_rule(steps=TWO)
    await judged(ledger, rule)
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": MemoryTarget(before=refuse)}))
    await change(ledger, "UPDATE handoff.effects SET reason = 'x (y)' WHERE state = 'confirmed'")
    await erased(ledger)
    query = """SELECT effect.state, effect.reason FROM handoff.effects AS effect
        JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
        JOIN handoff.contacts AS contact ON contact.id = handoff.contact_id
        WHERE (contact.key = :key) = :own ORDER BY step_no"""
    assert await rows(ledger, query, key=KEY, own=True) == [
        ("refused", "klicktipp_default: find contact: the target refused"),
        ("skipped", "step 1 was refused"),
    ]
    assert await rows(ledger, query, key=KEY, own=False) == [("confirmed", "x (y)")] * 8
    await change(ledger, "UPDATE handoff.effects SET reason = 'template: ' || :words WHERE state = 'refused'",
                 words=f"no\n{FIRST[::-1]}")  # fmt: skip
    await erased(ledger)
    assert (await rows(ledger, query, key=KEY, own=True))[0] == ("refused", "template")
    assert FIRST[::-1] not in await everything(ledger)


async def test_who_is_not_erased_keeps_everything(ledger: AsyncEngine) -> None:
    await judged(ledger, a_rule())
    others = """SELECT contact.email, contact.first_name, entry.unusable, verdict.facts FROM handoff.contacts AS contact
        JOIN handoff.registrations AS entry ON entry.contact_id = contact.id
        JOIN handoff.verdicts AS verdict ON verdict.ref = entry.ref WHERE contact.key <> :key ORDER BY contact.id"""
    before = await rows(ledger, others, key=KEY)
    title = await rows(ledger, "SELECT title FROM handoff.occasions")
    await erased(ledger)
    assert await rows(ledger, others, key=KEY) == before
    assert len(before) == 4
    assert title == await rows(ledger, "SELECT title FROM handoff.occasions") == [("Webinar",)]


@pytest.mark.parametrize("order", ["contact", "strict"])
async def test_open_effects_are_skipped_and_the_others_go_on(ledger: AsyncEngine, order: str) -> None:
    rule, target = a_rule(order=order, steps=TWO), MemoryTarget()
    await judged(ledger, rule)
    assert (await erased(ledger)).skipped == 2
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}))
    assert await states(ledger) == {"confirmed": 8, "skipped": 2}
    assert {email for email, _ in target.effects} == {f"person{number}@example.org" for number in range(4)}
    assert await rows(ledger, "SELECT DISTINCT reason FROM handoff.effects WHERE state = 'skipped'") == [("erased",)]
    after = await counted(ledger)
    assert (after.listed, after.handled, after.pending, after.even) == (5, 5, 0, True)


async def test_a_doubtful_effect_that_parked_a_strict_lane_lets_it_go_on(ledger: AsyncEngine) -> None:
    def lose(call: Call) -> UnknownOutcome | None:
        return UnknownOutcome("klicktipp_default", "tag") if call.contact.email == EMAIL else None

    rule, target = a_rule(order="strict"), MemoryTarget(after=lose, settling=120)
    occasion = just_ended()
    late = replace(some_registrations(1)[0], ref="z", email="last@example.org", registered_at=occasion.anchors["start"])
    source = FixedSource(occasion, (*everybody(occasion), late))
    await plan(ledger, source, [rule], occasion)
    await judge_due(ledger, rule, source)
    desk = desk_of(ledger, {"klicktipp_default": target})
    await work(ledger, rule, desk, horizon=0)
    assert (await states(ledger))["unknown"] == 1
    gone = await erased(ledger)
    assert (gone.doubtful, gone.accounts) == (1, {"klicktipp_default": 1})
    await work(ledger, rule, desk, horizon=0)
    assert await states(ledger) == {"confirmed": 5, "skipped": 1}


async def test_a_held_lane_of_the_person_waits_for_nobody_any_more(ledger: AsyncEngine) -> None:
    rule = a_rule(steps=TWO)
    target = MemoryTarget(after=lambda call: UnknownOutcome("klicktipp_default", "tag"), readable=False)
    await judged(ledger, rule)
    await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}))
    assert await rows(ledger, "SELECT count(*) FROM handoff.lanes WHERE held IS NOT NULL") == [(5,)]
    assert (await erased(ledger)).doubtful == 1
    found = "SELECT held, ready_at, lease_owner FROM handoff.lanes WHERE name = :key"
    assert await rows(ledger, found, key=KEY) == [(None, None, None)]
    assert await rows(ledger, "SELECT count(*) FROM handoff.lanes WHERE held IS NOT NULL") == [(4,)]


async def test_a_call_on_its_way_brings_nothing_back(ledger: AsyncEngine) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    class Slow(MemoryTarget):
        async def send(self, call: Call) -> dict[str, object]:
            reached.set()
            await go_on.wait()
            return {"subscriber": "identifies-xenia"}

    for order in ("contact", "strict"):
        rule = a_rule(id=f"rule_{order}", order=order, steps=TWO)
        occasion = just_ended(key=order)
        source = FixedSource(occasion, (xenia(occasion),))
        await plan(ledger, source, [rule], occasion)
        await change(ledger, "UPDATE handoff.contacts SET erased = false, email = :email", email=EMAIL)
        await judge_due(ledger, rule, source)
        reached.clear()
        go_on.clear()
        working = asyncio.create_task(work(ledger, rule, desk_of(ledger, {"klicktipp_default": Slow()}), horizon=0))
        await asyncio.wait_for(reached.wait(), 10)
        assert (await erased(ledger)).doubtful == 1
        go_on.set()
        await asyncio.wait_for(working, 10)
        assert set(await states(ledger)) == {"skipped"}
        assert "identifies-xenia" not in await everything(ledger)


async def test_a_list_that_names_the_person_again(ledger: AsyncEngine) -> None:
    rule = a_rule()
    first = await judged(ledger, rule)
    await erased(ledger)
    other = just_ended(key="d2")
    source = FixedSource(other, (xenia(other, "new-entry"), xenia(other, "twice")))
    await plan(ledger, source, [rule], other)
    assert await judge_due(ledger, rule, source) == ["judged"]
    assert first.now
    async with ledger.begin() as connection:
        [known] = (await connection.execute(text("SELECT id FROM handoff.occasions WHERE key = 'd1'"))).scalars()
        now = datetime.now(UTC)
        await registrations.store(connection, known, Roster(now, now, everybody(first.now)))
    assert named_in(await everything(ledger)) == []
    found = "SELECT ref, included, reason, facts FROM handoff.verdicts WHERE ref IN ('new-entry', 'twice') ORDER BY ref"
    assert await rows(ledger, found) == [("new-entry", False, "erased", {}), ("twice", False, "erased", {})]
    [(batch_id,)] = await rows(ledger, "SELECT max(id) FROM handoff.batches")
    async with ledger.begin() as connection:
        after = await certificates.count(connection, batch_id)
    assert (after.listed, after.excluded, after.even) == (2, {"erased": 2}, True)


async def test_the_same_report_again_is_no_news(ledger: AsyncEngine) -> None:
    occasion = just_ended(title=f"Termin mit {EMAIL}")
    await judged(ledger, a_rule(), occasion)
    await erased(ledger)
    again = await record(ledger, [occasion], [a_rule()])
    assert (again.events, again.repeated) == (0, 1)
    assert named_in(await everything(ledger)) == []


async def test_somebody_unknown_is_erased_for_the_future(ledger: AsyncEngine) -> None:
    assert not (await erased(ledger)).known
    await judged(ledger, a_rule())
    assert named_in(await everything(ledger)) == []
    assert await states(ledger) == {"planned": 4}


async def test_a_list_being_stored_at_the_same_time(ledger: AsyncEngine) -> None:
    """Whichever of the two comes first, waiting for the other or not, the person is gone afterwards."""
    occasion = just_ended()
    await record(ledger, [occasion], [])
    now = datetime.now(UTC)
    for known_before in (False, True):
        for erasing_first in (False, True):
            key = Contact(email=f"{known_before}-{erasing_first}@example.org".lower()).key
            someone = replace(xenia(occasion), email=f"{known_before}-{erasing_first}@example.org", ref=key)
            if known_before:
                async with ledger.begin() as connection:
                    await registrations.store(connection, 1, Roster(now, now, (someone,)))
            async with ledger.connect() as one, ledger.connect() as other:
                storing = registrations.store(other if erasing_first else one, 1, Roster(now, now, (someone,)))
                erasing = erase(one if erasing_first else other, key)
                await (erasing if erasing_first else storing)
                second = asyncio.ensure_future(storing if erasing_first else erasing)
                await asyncio.sleep(0.1)
                assert not second.done()
                await one.commit()
                await asyncio.wait_for(second, 10)
                await other.commit()
            query = "SELECT contact_id, unusable, presence FROM handoff.registrations WHERE ref = :ref"
            assert await rows(ledger, query, ref=key) == [(None, "erased", [])]
            assert await rows(ledger, "SELECT email FROM handoff.contacts WHERE key = :key", key=key) == [("",)]


async def test_a_batch_being_judged_at_the_same_time(ledger: AsyncEngine) -> None:
    rule, occasion = a_rule(), just_ended()
    await record(ledger, [occasion], [rule])
    now = datetime.now(UTC)
    async with ledger.begin() as connection:
        await registrations.store(connection, 1, Roster(now, now, everybody(occasion)))
        found = await registrations.listed(connection, 1)
    entries = list(judge_list(rule, occasion, 1, now, found))
    assert len(entries) == 5
    async with ledger.connect() as judging, ledger.connect() as erasing:
        await verdicts.write(judging, 1, rule, entries, moment=now, read_at=now)
        waiting = asyncio.create_task(erase(erasing, KEY))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await batches.close(judging, 1, "judged")
        await judging.commit()
        assert (await asyncio.wait_for(waiting, 10)).skipped == 1
        await erasing.commit()
    assert await states(ledger) == {"planned": 4, "skipped": 1}
    assert (await counted(ledger)).even


async def test_a_batch_judged_from_a_list_read_before(ledger: AsyncEngine) -> None:
    rule, occasion = a_rule(), just_ended()
    await record(ledger, [occasion], [rule])
    now = datetime.now(UTC)
    async with ledger.begin() as connection:
        await registrations.store(connection, 1, Roster(now, now, everybody(occasion)))
        found = await registrations.listed(connection, 1)
    entries = list(judge_list(rule, occasion, 1, now, found))
    async with ledger.connect() as judging, ledger.connect() as erasing:
        await erase(erasing, KEY)
        writing = asyncio.create_task(verdicts.write(judging, 1, rule, entries, moment=now, read_at=now))
        await asyncio.sleep(0.1)
        assert not writing.done()
        await erasing.commit()
        await asyncio.wait_for(writing, 10)
        await batches.close(judging, 1, "judged")
        await judging.commit()
    assert await states(ledger) == {"planned": 4}
    assert await rows(ledger, "SELECT included, facts FROM handoff.verdicts WHERE reason = 'erased'") == [(False, {})]
    assert (await counted(ledger)).excluded == {"erased": 1}


async def test_an_occasion_given_by_hand(ledger: AsyncEngine) -> None:
    given = {
        "key": "r/run-1", "people": [Contact(EMAIL, FIRST, LAST)], "title": f"Probe {LAST}",
    }  # fmt: skip
    await hand_over(ledger, a_rule(), **given)  # type: ignore[arg-type]
    assert (await erased(ledger)).texts == 2
    assert named_in(await everything(ledger)) == []


async def test_the_command(ledger: AsyncEngine, ledger_url: str) -> None:
    await judged(ledger, a_rule())
    said = await handoff(ledger_url, "erase", f" {EMAIL.title()} ", "--json")
    assert (said.status, said.err) == (0, "")
    assert said.json == {
        "key": KEY, "known": True, "entries": 1, "verdicts": 1, "texts": 0, "skipped": 1, "doubtful": 0, "accounts": {},
        "answers": 0, "consents": 0,
    }  # fmt: skip
    assert named_in(await everything(ledger)) == []
    again = await handoff(ledger_url, "erase", KEY)
    assert (again.status, named_in(again.out)) == (0, [])
    for wrong in (KEY[:12], "nobody", "a@b@c.org"):
        refused = await handoff(ledger_url, "erase", wrong)
        assert refused.status == 2
        assert "give" in refused.err.lower()
    assert json.loads((await handoff(ledger_url, "erase", "unknown@example.org", "--json")).out)["known"] is False
