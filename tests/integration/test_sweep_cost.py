"""What the sweep asks of a source for one occasion in its whole life, counted at the stand-ins."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery import sweep as sweeping
from handoff.delivery.looking_ahead import look_ahead
from handoff.delivery.sweep import STEPS, Sweep
from handoff.planning.planner import record
from handoff.rules.rule import Rule
from handoff.source import Source
from tests.support.commands import handoff
from tests.support.delivery import judge_due
from tests.support.domain import a_rule, an_occasion
from tests.support.etermin_world import ETermin, rule
from tests.support.insightly_world import RULE, Insightly, insightly_world
from tests.support.rows import change, rows
from tests.support.world import TrueSource, people

pytestmark = pytest.mark.integration
LISTING = {"/Opportunities/Search", "/Projects/Search"}
HOURLY, DAILY = [timedelta(hours=1)] * 26, [timedelta(days=1)] * 28


@pytest.fixture
async def crm(ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Insightly]:
    async with insightly_world(ledger_url, monkeypatch) as running:
        yield running


@pytest.fixture
async def source(crm: Insightly, ledger: AsyncEngine) -> AsyncIterator[Source]:
    opened = crm.source(ledger)
    yield opened
    await opened.close()


@pytest.fixture
async def appointments(etermin: ETermin) -> AsyncIterator[Source]:
    opened = await etermin.source()
    yield opened
    await opened.close()


async def later(ledger: AsyncEngine, by: timedelta) -> None:
    """Let time pass: everything in the ledger that is compared with the clock moves back."""
    for table, columns in {
        "batches": ("due_at", "wake_at", "judged_at"),
        "certificates": ("compared_at", "written_at", "published_at"),
        "occasions": ("updated_at",),
        "registrations": ("read_at", "registered_at"),
    }.items():
        moved = ", ".join(f"{column} = {column} - :by" for column in columns)
        await change(ledger, f"UPDATE handoff.{table} SET {moved}", by=by)
    moment = "CAST(CAST(value AS timestamptz) - :by AS text)"
    await change(
        ledger, f"UPDATE handoff.cursors SET value = {moment} WHERE source LIKE 'sweep%' AND value <> ''", by=by
    )


async def swept(ledger: AsyncEngine, source: Source, rules: list[Rule], **settings: Any) -> Sweep:
    async def opened(name: str, account: str) -> Source:
        return source

    return await sweeping.run(Sweep(ledger, rules, opened, **settings), (*STEPS, look_ahead, sweeping.publish))


async def asked_in(crm: Insightly, ledger: AsyncEngine, source: Source, pauses: list[timedelta]) -> Counter[str]:
    """Sweep again and again; return what was asked beside the listings."""
    await crm.asked()
    for pause in pauses:
        await later(ledger, pause)
        found = await swept(ledger, source, crm.rules)
        [compared] = found.compared.values()
        assert (found.failed, compared.troubles) == ({}, [])
    return Counter({path: count for path, count in (await crm.asked()).items() if path not in LISTING})


async def won(crm: Insightly, ledger: AsyncEngine, source: Source, *numbers: int) -> None:
    """Let opportunities be won, heard of and judged."""
    await crm.poll()
    for number in numbers:
        await crm.state(number, "WON")
    await crm.poll()
    assert await judge_due(ledger, crm.rules[0], source) == ["judged"] * len(numbers)


async def compared_within_an_hour(ledger: AsyncEngine) -> bool:
    certificates = "SELECT even AND compared_at > now() - interval '1 hour' FROM handoff.certificates"
    return set(await rows(ledger, certificates)) == {(True,)}


async def test_the_list_of_a_win_is_read_once_whatever_is_edited(
    crm: Insightly, ledger: AsyncEngine, source: Source
) -> None:
    await won(crm, ledger, source, 32)
    assert await asked_in(crm, ledger, source, HOURLY) == {"/Opportunities/{id}": 1, "/Contacts/{id}": 2}
    assert await compared_within_an_hour(ledger)
    await crm.order("edit", id=32, fields={"OPPORTUNITY_DETAILS": "später"})
    assert await asked_in(crm, ledger, source, DAILY[:15]) == {}
    # Two days after its last change the listing does not name it any more.
    await crm.order("stamp", ids=[32], at=int((datetime.now(UTC) - timedelta(days=3)).timestamp()))
    assert await asked_in(crm, ledger, source, DAILY[15:]) == {}
    assert await compared_within_an_hour(ledger)


async def test_before_its_moment_a_list_is_read_twice(crm: Insightly, ledger: AsyncEngine, source: Source) -> None:
    crm.rules = [Rule.model_validate(RULE | {"when": {"days": 2, "after": "closed"}})]
    await crm.poll()
    # It has two contacts; the other one has none, of which nothing is kept.
    for number in (32, 33):
        await crm.state(number, "WON")
    await crm.poll()
    pauses = [timedelta(minutes=5)] * 2 + [timedelta(hours=1)] * 47
    assert await asked_in(crm, ledger, source, pauses) == {"/Opportunities/{id}": 4, "/Contacts/{id}": 4}


async def test_who_is_attached_later_is_read_once(crm: Insightly, ledger: AsyncEngine, source: Source) -> None:
    await won(crm, ledger, source, 31)
    await asked_in(crm, ledger, source, HOURLY[:2] + DAILY[:5])
    await crm.order("link", object="Opportunities", id=31, contact=102)
    assert await asked_in(crm, ledger, source, HOURLY[:4]) == {"/Opportunities/{id}": 1, "/Contacts/{id}": 2}
    assert await rows(ledger, "SELECT excluded FROM handoff.certificates") == [({"registered_later": 1},)]


async def test_a_contact_that_cannot_be_read_is_tried_ever_more_rarely(
    crm: Insightly, ledger: AsyncEngine, source: Source
) -> None:
    await crm.fault("/Contacts/101", count=1000)
    await won(crm, ledger, source, 31)
    asked = await asked_in(crm, ledger, source, HOURLY + DAILY[:28])
    assert asked == {"/Opportunities/{id}": 8, "/Contacts/{id}": 8}


async def test_after_an_outage_of_the_sweep_the_listing_vouches_for_nothing(
    crm: Insightly, ledger: AsyncEngine, source: Source
) -> None:
    await won(crm, ledger, source, 31)
    await asked_in(crm, ledger, source, HOURLY[:2])
    assert await asked_in(crm, ledger, source, [timedelta(days=3)]) == {"/Opportunities/{id}": 1, "/Contacts/{id}": 1}


async def used(ledger: AsyncEngine) -> dict[str, int]:
    """Return how many requests of the day were used, by purpose."""
    return dict(await rows(ledger, "SELECT purpose, sum(used)::int FROM handoff.day_uses GROUP BY purpose"))  # type: ignore[arg-type]


async def test_a_day_of_a_thousand_is_enough_for_ten_wins(crm: Insightly, ledger: AsyncEngine) -> None:
    crm.extra["requests_per_day"] = 1000
    source = crm.source(ledger)
    await crm.order("generate", count=12)
    await crm.poll()
    await won(crm, ledger, source, *await crm.open_ids(10))
    for _ in range(24):
        await later(ledger, timedelta(hours=1))
        found = await swept(ledger, source, crm.rules)
        assert (found.failed, "resumes_at" in await crm.poll()) == ({}, False)
    await source.close()
    spent = await used(ledger)
    assert spent.keys() == {"polling"}
    assert spent["polling"] < 250


async def test_when_polling_is_used_up_comparing_is_put_off_and_certificates_say_so(
    crm: Insightly, ledger: AsyncEngine, ledger_url: str
) -> None:
    crm.extra["requests_per_day"] = 1000
    source = crm.source(ledger)
    await won(crm, ledger, source, 31)
    await change(ledger, "UPDATE handoff.day_uses SET used = 500 WHERE purpose = 'polling'")
    await source.close()
    source = crm.source(ledger)
    assert (await swept(ledger, source, crm.rules)).failed == {}
    await later(ledger, timedelta(hours=3))
    await crm.asked()
    found = await swept(ledger, source, crm.rules)
    assert (await crm.asked(), await used(ledger)) == ({}, {"polling": 500})
    [compared] = found.compared.values()
    assert compared.troubles == []
    assert await rows(ledger, "SELECT cause FROM handoff.notices WHERE closed_at IS NULL") == [
        ("quota/insightly_default/polling",)
    ]
    said = await handoff(ledger_url, "certificate", "opportunity/31/1", "--json")
    [certificate] = said.json["occasions"][0]["certificates"]
    assert (said.status, certificate["even"], certificate["compared_at"]) == (0, True, None)
    assert datetime.fromisoformat(certificate["put_off_until"]) > datetime.now(UTC)
    assert "(put off until " in (await handoff(ledger_url, "certificate", "opportunity/31/1")).out
    await source.close()

    await change(ledger, "DELETE FROM handoff.day_uses")
    source = crm.source(ledger)
    await swept(ledger, source, crm.rules)
    await source.close()
    said = await handoff(ledger_url, "certificate", "opportunity/31/1", "--json")
    [certificate] = said.json["occasions"][0]["certificates"]
    assert certificate["compared_at"] is not None
    assert certificate["put_off_until"] is None


async def test_a_list_that_no_listing_tells_of_is_read_hourly_and_then_ever_more_rarely(ledger: AsyncEngine) -> None:
    rule, source = a_rule(), TrueSource()
    ended = datetime.now(UTC) - timedelta(minutes=5)
    source.put(an_occasion(start=ended - timedelta(minutes=60)), people("p", 2, before=ended - timedelta(hours=2)))
    await record(ledger, source.now.values(), [rule])
    assert await judge_due(ledger, rule, source) == ["judged"]
    source.asked.clear()
    for pause in [timedelta(0), *HOURLY, *DAILY]:
        await later(ledger, pause)
        await swept(ledger, source, [rule])
    assert len(source.asked) == 24 + 4


async def test_a_certificate_that_stays_red_is_compared_hourly_in_the_end(ledger: AsyncEngine) -> None:
    rule, source = a_rule(who="attended"), TrueSource()
    ended = datetime.now(UTC) - timedelta(minutes=5)
    source.put(an_occasion(start=ended - timedelta(minutes=60)))
    await record(ledger, source.now.values(), [rule])
    assert await judge_due(ledger, rule, source) == ["judged"]
    source.lists["d1"] = people("p", 1, before=ended - timedelta(days=9))
    source.presence_until = ended - timedelta(days=5)
    await swept(ledger, source, [rule])
    read = []
    for pause in (timedelta(minutes=5), timedelta(days=2), *[timedelta(minutes=5)] * 24):
        await later(ledger, pause)
        source.asked.clear()
        await swept(ledger, source, [rule])
        read.append(len(source.asked))
    assert (read[:2], sum(read[2:])) == ([1, 1], 2)
    assert await rows(ledger, "SELECT even FROM handoff.certificates") == [(False,)]


def of_etermin(etermin: ETermin) -> Counter[str]:
    """Return how often each path was asked."""
    paths = etermin.sandbox.calls.as_json()["etermin"]["paths"]
    return Counter({path: sum(outcomes.values()) for path, outcomes in paths.items()})


async def swept_at_etermin(
    etermin: ETermin, ledger: AsyncEngine, source: Source, rules: list[Rule], pauses: list[timedelta]
) -> int:
    """Sweep again and again; return how often appointments were asked for beside the listings, one for each sweep."""
    before = of_etermin(etermin)
    for pause in pauses:
        await later(ledger, pause)
        found = await swept(ledger, source, rules)
        assert [one.troubles for one in found.compared.values()] == [[]]
    asked = of_etermin(etermin) - before
    assert asked["GET /appointmentdeleted"] == len(pauses)
    return asked["GET /appointment"] - len(pauses)


async def test_of_an_appointment_nothing_is_asked_beside_the_listing_but_once(
    etermin: ETermin, ledger: AsyncEngine, appointments: Source
) -> None:
    rules = etermin.rules(rule("booked", {"minutes": 0, "after": "booked"}))
    await etermin.book()
    await etermin.poll()
    assert await judge_due(ledger, rules[0], appointments) == ["judged"]
    assert await swept_at_etermin(etermin, ledger, appointments, rules, HOURLY + DAILY) == 1
    assert await compared_within_an_hour(ledger)


async def test_what_a_follow_up_counts_from_is_listed_however_long_ago_it_was(
    etermin: ETermin, ledger: AsyncEngine, appointments: Source
) -> None:
    rules = etermin.rules(rule("recall", {"days": 90, "after": "end"}))
    await etermin.book(start="-40d")
    listing = await appointments.occasions(datetime.now(UTC) - timedelta(days=60))
    await record(ledger, listing.occasions, rules)
    assert await swept_at_etermin(etermin, ledger, appointments, rules, HOURLY[:5]) == 0
    assert await rows(ledger, "SELECT state FROM handoff.batches") == [("waiting",)]
    await etermin.order("cancel", uid="a1")
    assert await swept_at_etermin(etermin, ledger, appointments, rules, HOURLY[:1]) == 0
    assert await rows(ledger, "SELECT state FROM handoff.batches") == [("cancelled",)]


async def test_of_what_is_long_past_only_what_is_waited_for_is_heard(ledger: AsyncEngine) -> None:
    follow_up, source, now = a_rule(when={"days": 90, "after": "end"}), TrueSource(), datetime.now(UTC)
    await record(ledger, [source.put(an_occasion(start=now - timedelta(days=40)))], [follow_up])
    source.put(an_occasion(key="d2", start=now - timedelta(days=40)))
    source.put(an_occasion(start=now - timedelta(days=40), cancelled=True, changed=2.0))
    await swept(ledger, source, [follow_up])
    assert await rows(ledger, "SELECT key, cancelled FROM handoff.occasions") == [("d1", True)]
