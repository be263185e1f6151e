"""A run's shift: what one account or batch does wrong is no other one's matter."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery import lease
from handoff.delivery.gate import Gate
from handoff.delivery.shift import Shift
from handoff.delivery.sources import Sources
from handoff.delivery.worker import Worker
from handoff.errors import Transient
from handoff.ledger import batches
from handoff.occasion import Occasion
from handoff.planning.planner import record
from handoff.rules.rule import Rule
from handoff.rules.steps import Step
from handoff.target import Call, Proof, Target
from tests.support.delivery import desk_of
from tests.support.domain import FixedSource, a_rule, an_occasion
from tests.support.moments import RULE, claim, ended, listed_for, planned
from tests.support.rows import rows, rows_become
from tests.support.targets import MemoryTarget

WAITING = "SELECT state, reason, lease_owner FROM handoff.batches"


def coming(seconds: float, **changes: object) -> Occasion:
    """Return a webinar date that ends in so many seconds."""
    return an_occasion(start=datetime.now(UTC) - timedelta(minutes=60) + timedelta(seconds=seconds), **changes)


def shift_of(
    ledger: AsyncEngine, rule: Rule, source: FixedSource, targets: dict[str, Target], owner: str = "run"
) -> Shift:
    async def opener(name: str, account: str) -> FixedSource:
        return source

    desk, gate = desk_of(ledger, targets), Gate(ledger)
    worker = Worker(ledger, rule.order_group, f"worker of {owner}", desk, gate=gate, in_flight=8)
    return Shift(ledger, owner, desk, gate, Sources(opener), worker)


class Hanging(MemoryTarget):
    """Cannot be prepared: it does not answer until another account has had its effect."""

    def __init__(self, effect: asyncio.Event) -> None:
        super().__init__()
        self._effect, self.asked, self.broken_off = effect, 0, 0

    async def prepare(self, step: Step) -> None:
        self.asked += 1
        try:
            await self._effect.wait()
        except asyncio.CancelledError:
            self.broken_off += 1
            raise


class Telling(MemoryTarget):
    """Says when its first effect takes place."""

    def __init__(self) -> None:
        super().__init__()
        self.effect, self.prepared = asyncio.Event(), 0

    async def prepare(self, step: Step) -> None:
        self.prepared += 1

    async def send(self, call: Call) -> Proof:
        self.effect.set()
        return await super().send(call)


async def test_a_target_that_hangs_ahead_of_the_moment_delays_no_other_account(ledger: AsyncEngine) -> None:
    steps = [{"step": "klicktipp.tag", "tag": "besucht", "conn_id": name} for name in ("hanging", "quick")]
    occasion, rule, quick = coming(5), a_rule(steps=steps), Telling()
    hanging, source = Hanging(quick.effect), FixedSource(occasion, listed_for(occasion, 3))
    await planned(ledger, occasion, rule)
    shift = shift_of(ledger, rule, source, {"quick": quick, "hanging": hanging})
    async with asyncio.timeout(60):
        await shift.run(await claim(ledger, rule, horizon=10))
    assert len(quick.effects) == len(hanging.effects) == 3
    assert (quick.prepared, hanging.asked, hanging.broken_off) == (1, 1, 1)


async def test_a_source_that_hangs_ahead_of_the_moment_is_asked_again_at_it(ledger: AsyncEngine) -> None:
    class Slow(FixedSource):
        broken_off = 0

        async def occasion(self, known: Occasion) -> Occasion | None:
            if datetime.now(UTC) < known.anchors["end"]:
                try:
                    await asyncio.Event().wait()
                finally:
                    self.broken_off += 1
            return await super().occasion(known)

    occasion, target = coming(5), MemoryTarget()
    source = Slow(occasion, listed_for(occasion, 3))
    await planned(ledger, occasion)
    async with asyncio.timeout(60):
        await shift_of(ledger, RULE, source, {"klicktipp_default": target}).run(await claim(ledger, horizon=10))
    assert (source.broken_off, len(target.effects)) == (1, 3)


async def test_a_batch_that_cannot_be_read_is_put_off_and_the_other_goes_on(
    ledger: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    class Half(FixedSource):
        async def occasion(self, known: Occasion) -> Occasion | None:
            if known.key == "down":
                raise Transient("webinaris_default", "read the date")
            return replace(known)

    up, down, target = ended(key="up"), ended(key="down"), MemoryTarget()
    await planned(ledger, up)
    await planned(ledger, down)
    shift = shift_of(ledger, RULE, Half(None, listed_for(up, 2)), {"klicktipp_default": target})
    with caplog.at_level(logging.INFO, logger="handoff"):
        await shift.run(await claim(ledger))
    assert len(target.effects) == 2
    [(state, reason, owner)] = await rows(ledger, WAITING + " WHERE state = 'waiting'")
    assert (state, owner) == ("waiting", None)
    assert "webinaris_default: read the date" in reason
    assert "judged" in caplog.text
    assert "webinaris_default: read the date" in caplog.text


@pytest.mark.parametrize("became", ["cancelled", "moved"])
async def test_what_is_planned_anew_during_a_look_that_fails_stays_as_planned(ledger: AsyncEngine, became: str) -> None:
    known = ended()
    later = {name: moment + timedelta(days=2) for name, moment in known.anchors.items()}
    change = {"cancelled": True} if became == "cancelled" else {"anchors": later}
    now = replace(known, changed=2, **change)

    class Changing(FixedSource):
        async def occasion(self, known: Occasion) -> Occasion | None:
            await record(ledger, [now], [RULE])
            raise Transient("webinaris_default", "read the date")

    await planned(ledger, known)
    await shift_of(ledger, RULE, Changing(known), {}).run(await claim(ledger))
    expected = ("cancelled", "occasion_cancelled", known.anchors["end"], known.anchors["end"])
    if became == "moved":
        expected = "waiting", "", later["end"], later["end"]
    assert await rows(ledger, "SELECT state, reason, due_at, wake_at FROM handoff.batches") == [expected]
    # Put on the calendar again, a cancelled one is handed over after all.
    await record(ledger, [replace(known, changed=3)], [RULE])
    assert await rows(ledger, "SELECT state, due_at FROM handoff.batches") == [("waiting", known.anchors["end"])]


async def test_the_lease_is_kept_before_the_moment_and_free_soon_after_the_run_died(
    ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "LEASE_SECONDS", 4.0)
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.1)
    occasion = coming(60)
    source, target = FixedSource(occasion, listed_for(occasion, 2)), MemoryTarget()
    await planned(ledger, occasion)
    shift = shift_of(ledger, RULE, source, {"klicktipp_default": target})
    claimed = await claim(ledger, horizon=90)
    [(until,)] = await rows(ledger, "SELECT leased_until FROM handoff.batches")
    working = asyncio.create_task(shift.run(claimed))
    await rows_become(ledger, f"SELECT leased_until > '{until.isoformat()}' FROM handoff.batches", [(True,)])
    assert await claim(ledger, owner="another", horizon=90) == [], "renewed while it waits"
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await rows_become(ledger, "SELECT leased_until < clock_timestamp() FROM handoff.batches", [(True,)])
    assert datetime.now(UTC) < occasion.anchors["end"] - timedelta(seconds=30)
    [batch] = await claim(ledger, owner="another", horizon=90)
    assert batch.owner == "another"
