"""Who is attached to a record is who counts at the moment: not who is attached afterwards, nor who was before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery import sweep as sweeping
from handoff.delivery.moment import attend
from handoff.delivery.sweep import Sweep
from handoff.ledger import batches, registrations
from handoff.ledger.batches import WaitingBatch
from handoff.occasion import Occasion
from handoff.registration import Roster
from handoff.rules.rule import Rule
from handoff.source import Source
from hooks.accounts import open_source
from operators.insightly import RecordClosingsOperator
from tests.support.crm import Crm, a_crm
from tests.support.delivery import desk_of, judge_due, work
from tests.support.rows import change, rows
from tests.support.targets import MemoryTarget

pytestmark = pytest.mark.integration
CONN = "insightly_default"
INSIGHTLY: dict[str, Any] = {
    "per_second": None,
    "contacts": [
        {"id": 101, "firstname": "Anna", "email": "anna@example.org"},
        {"id": 102, "firstname": "Bert", "email": "bert@example.org"},
    ],
    "opportunities": [{"id": 31, "name": "Eins", "contacts": [101]}],
}
AT_ONCE = {"minutes": 0, "after": "closed"}
CERTIFICATES = "SELECT listed, handled, excluded, even, missing FROM handoff.certificates ORDER BY batch_id"
VERDICTS = """
    SELECT batch.rule_id, verdict.ref, verdict.included, verdict.reason FROM handoff.verdicts AS verdict
    JOIN handoff.batches AS batch ON batch.id = verdict.batch_id ORDER BY 1, 2
"""


@pytest.fixture
async def crm(ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Crm]:
    async with a_crm({"insightly": INSIGHTLY}, tmp_path, ledger_url, monkeypatch) as stand_ins:
        yield stand_ins


@pytest.fixture
async def source(crm: Crm, ledger: AsyncEngine) -> AsyncIterator[Source]:
    opened = await open_source("insightly", CONN, ledger)
    yield opened
    await opened.close()


def the_rule(crm: Crm, rule_id: str = "won", **more: Any) -> Rule:
    steps = [{"step": "klicktipp.tag", "tag": "Kunde"}]
    return crm.rule(id=rule_id, source="insightly", when=AT_ONCE, steps=steps, **more)


async def won(crm: Crm) -> None:
    """Let the opportunity be won, and hear of it."""
    await crm.order("insightly/state", object="Opportunities", id=31, state="WON")
    await RecordClosingsOperator(task_id="record").aexecute({})


async def link(crm: Crm, contact: int, *, remove: bool = False) -> None:
    """Attach a contact, or detach it."""
    await crm.order("insightly/link", object="Opportunities", id=31, contact=contact, remove=remove)


async def swept(ledger: AsyncEngine, source: Source, *rules: Rule) -> Sweep:
    async def opened(name: str, account: str) -> Source:
        return source

    return await sweeping.run(Sweep(ledger, rules, opened, everything=True))


async def claimed(ledger: AsyncEngine, rule: Rule) -> WaitingBatch:
    """Claim the rule's only batch, which is due."""
    async with ledger.begin() as connection:
        [batch] = await batches.claim(connection, rule.id, "test-run", horizon=0.0)
    return batch


async def known(ledger: AsyncEngine, source: Source, occasion_id: int, occasion: Occasion) -> None:
    """Store the list ahead of the moment, as looking ahead does."""
    roster = await source.roster(occasion, None)
    async with ledger.begin() as connection:
        await registrations.store(connection, occasion_id, roster)


async def test_who_is_attached_after_the_judgement_registered_later(
    crm: Crm, ledger: AsyncEngine, source: Source
) -> None:
    rule, target = the_rule(crm), MemoryTarget()
    await won(crm)
    assert await judge_due(ledger, rule, source) == ["judged"]
    await link(crm, 102)
    for _ in range(2):
        found = await swept(ledger, source, rule)
        assert found.compared["insightly", CONN].missing == 0
        await work(ledger, rule, desk_of(ledger, {"klicktipp_default": target}))
    await swept(ledger, source, rule)
    assert await rows(ledger, CERTIFICATES) == [(2, 1, {"registered_later": 1}, True, 0)]
    assert await rows(ledger, "SELECT cause FROM handoff.notices") == []
    assert [contact for contact, _ in target.effects] == ["anna@example.org"]


async def test_who_is_attached_between_two_moments_counts_for_the_later_one(
    crm: Crm, ledger: AsyncEngine, source: Source
) -> None:
    first, later = the_rule(crm), the_rule(crm, "later")
    await won(crm)
    assert await judge_due(ledger, first, source) == ["judged"]
    await link(crm, 102)
    # Its moment is when this runs: after the contact was attached, and before its list is read.
    await change(ledger, "UPDATE handoff.batches SET due_at = :now WHERE rule_id = 'later'", now=datetime.now(UTC))
    assert await judge_due(ledger, later, source) == ["judged"]
    await swept(ledger, source, first, later)
    assert await rows(ledger, VERDICTS) == [
        ("later", "101", True, "attached"), ("later", "102", True, "attached"), ("won", "101", True, "attached"),
    ]  # fmt: skip
    assert [(excluded, even) for _, _, excluded, even, _ in await rows(ledger, CERTIFICATES)] == [
        ({}, True), ({"registered_later": 1}, True),
    ]  # fmt: skip


@pytest.mark.parametrize("first_look", [True, False], ids=["before the first look", "before the last look"])
async def test_the_only_contact_is_detached_after_its_list_was_stored(
    crm: Crm, ledger: AsyncEngine, source: Source, first_look: bool
) -> None:
    rule = the_rule(crm)
    await won(crm)
    batch = await claimed(ledger, rule)
    await known(ledger, source, batch.occasion.id, batch.occasion.occasion)
    await link(crm, 101, remove=True)
    if first_look:
        assert await judge_due(ledger, rule, source) == ["judged"]
    else:
        assert await attend(ledger, batch, source, lambda: None) == "judged"
    assert await rows(ledger, VERDICTS) == [("won", "101", False, "withdrawn")]
    await swept(ledger, source, rule)
    assert await rows(ledger, CERTIFICATES) == [(1, 0, {"withdrawn": 1}, True, 0)]
    assert await rows(ledger, "SELECT count(*) FROM handoff.effects") == [(0,)]


class Garbled:
    """A source in front of another one, some of whose contacts cannot be read for a while."""

    def __init__(self, source: Source) -> None:
        self._source, self.refs = source, set[str]()

    async def roster(self, known: Occasion, since: datetime | None) -> Roster:
        """Return the list, as far as it can be read."""
        found = await self._source.roster(known, since)
        readable = tuple(one for one in found.registrations if one.ref not in self.refs)
        hidden = tuple(one.ref for one in found.registrations if one.ref in self.refs)
        return replace(found, registrations=readable, unreadable=hidden)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


async def test_who_becomes_readable_is_judged_and_who_was_attached_meanwhile_is_not(
    crm: Crm, ledger: AsyncEngine, source: Source
) -> None:
    rule, garbled = the_rule(crm), Garbled(source)
    garbled.refs = {"101"}
    await won(crm)
    assert await judge_due(ledger, rule, garbled) == ["judged"]
    await link(crm, 102)
    garbled.refs.clear()
    await swept(ledger, garbled, rule)
    assert await rows(ledger, VERDICTS) == [("won", "101", True, "attached")]
    assert await rows(ledger, CERTIFICATES) == [(2, 0, {"registered_later": 1}, True, 0)]


async def test_a_source_that_keeps_no_list_any_more_withdraws_nobody(
    crm: Crm, ledger: AsyncEngine, source: Source
) -> None:
    rule = the_rule(crm)
    await won(crm)
    batch = await claimed(ledger, rule)
    await known(ledger, source, batch.occasion.id, batch.occasion.occasion)
    await crm.order("insightly/delete", object="Opportunities", id=31)
    roster = await source.roster(batch.occasion.occasion, None)
    assert (roster.registrations, roster.entire) == ((), False)
    async with ledger.begin() as connection:
        await registrations.store_whole(connection, batch.occasion.id, roster)
    assert await rows(ledger, "SELECT unusable FROM handoff.registrations") == [("",)]


async def test_who_detached_just_before_the_moment_is_news(crm: Crm, ledger: AsyncEngine, source: Source) -> None:
    rule = the_rule(crm)
    await crm.order("insightly/link", object="Opportunities", id=31, contact=102)
    await won(crm)
    batch = await claimed(ledger, rule)
    await known(ledger, source, batch.occasion.id, batch.occasion.occasion)
    await link(crm, 101, remove=True)
    assert await attend(ledger, batch, source, lambda: None) == "judged"
    assert await rows(ledger, VERDICTS) == [("won", "101", False, "withdrawn"), ("won", "102", True, "attached")]
    assert batch.due_at > datetime.now(UTC) - timedelta(hours=1)
