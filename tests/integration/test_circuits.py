"""Circuits on a real ledger: an account that fails is left alone by all, probed by one, and comes back."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery import circuit as circuit_module
from handoff.delivery import policy
from handoff.delivery.gate import REFRESH_SECONDS, Gate
from handoff.errors import RateLimited, TargetError, Transient, UnknownOutcome, WrongCredentials
from handoff.ledger import circuits, notices
from handoff.rules.rule import Rule
from handoff.target import Call
from tests.support.chaos import tags
from tests.support.delivery import desk_of, judge_due, plan, states, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.rows import change, rows
from tests.support.targets import Fault, MemoryTarget

ACCOUNT = "klicktipp_default"
OPEN = "SELECT account, cause, failures FROM handoff.circuits WHERE opened_at IS NOT NULL"
NOTICES = "SELECT cause, kind, count, closed_at IS NULL FROM handoff.notices ORDER BY id"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything that takes seconds take hundredths."""
    monkeypatch.setattr(policy, "FIRST_SECONDS", 0.02)
    monkeypatch.setattr(policy, "LONGEST_SECONDS", 0.05)
    monkeypatch.setattr(circuit_module, "ONE_FAILURE_SECONDS", 0.01)
    monkeypatch.setattr(circuits, "FIRST_PAUSE_SECONDS", 0.2)
    monkeypatch.setattr(circuit_module, "FIRST_PAUSE_SECONDS", 0.2)
    monkeypatch.setattr(circuit_module, "SPREAD_SECONDS", 0.01)


async def judged(ledger: AsyncEngine, rule: Rule, count: int, key: str = "d1") -> None:
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61), key=key)
    source = FixedSource(occasion, some_registrations(count, before=occasion.anchors["start"]))
    await plan(ledger, source, [rule], occasion)
    assert await judge_due(ledger, rule, source) == ["judged"]


class Outage:
    """Fails every call until told otherwise, and remembers when it was called."""

    def __init__(self, kind: type[TargetError] = Transient) -> None:
        self.kind, self.over, self.calls = kind, False, list[float]()

    def __call__(self, call: Call) -> TargetError | None:
        self.calls.append(time.monotonic())
        return None if self.over else self.kind(call.step.conn_id, "tag", "it is down")


async def until_open(ledger: AsyncEngine) -> None:
    async with asyncio.timeout(20):
        while not await rows(ledger, OPEN):
            await asyncio.sleep(0.02)


async def test_an_outage_opens_the_circuit_for_all_and_ends_with_one_probe(
    ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuits, "LONGEST_PAUSE_SECONDS", 0.4)
    rule, outage = a_rule(), Outage()
    await judged(ledger, rule, 60)
    target = MemoryTarget(before=outage)
    working = [
        asyncio.create_task(work(ledger, rule, desk_of(ledger, {ACCOUNT: target}), horizon=3.0, in_flight=20))
        for _ in range(2)
    ]
    await until_open(ledger)
    await asyncio.sleep(REFRESH_SECONDS + 0.5)  # by then the other worker has heard of it
    opened = len(outage.calls)
    await asyncio.sleep(2.0)
    [(account, cause, _)] = await rows(ledger, OPEN)
    assert (account, cause) == (ACCOUNT, "failing")
    [(_, kind, count, open_)] = await rows(ledger, NOTICES)
    assert (kind, count, open_) == ("circuit", 1, True)
    assert 1 <= len(outage.calls) - opened <= 6, "while it is open only probes go out"
    outage.over = True
    await asyncio.wait_for(asyncio.gather(*working), 20)
    await work(ledger, rule, desk_of(ledger, {ACCOUNT: target}))
    assert await states(ledger) == {"confirmed": 60}
    assert set(Counter(target.effects).values()) == {1}
    attempts = "SELECT sum(attempts) FROM handoff.effects"
    assert await rows(ledger, attempts) == [(len(outage.calls),)], "nothing is counted as attempted that was not"
    assert await rows(ledger, OPEN) == []
    assert [row[3] for row in await rows(ledger, NOTICES)] == [False], "closed with the circuit"


async def test_only_one_worker_gets_the_probe(ledger: AsyncEngine) -> None:
    async with ledger.begin() as connection:
        await circuits.open_(connection, ACCOUNT, circuits.FAILING, "down")
    assert await ask_all(ledger, 8) == 0, "not before its time"
    await change(ledger, "UPDATE handoff.circuits SET probe_at = clock_timestamp()")
    assert await ask_all(ledger, 8) == 1
    assert await ask_all(ledger, 8) == 0, "nor a second one while the first is under way"


async def test_while_another_probes_a_lane_does_not_rest_until_that_probe_counts_as_lost(ledger: AsyncEngine) -> None:
    """The probe may fail at once, and the next one needs a lane that asks for it."""
    async with ledger.begin() as connection:
        await circuits.open_(connection, ACCOUNT, circuits.FAILING, "down")
    await change(ledger, "UPDATE handoff.circuits SET probe_at = clock_timestamp()")
    assert await ask_all(ledger, 1) == 1
    other = Gate(ledger)
    await other.refresh()
    rests = [hold.seconds for _ in range(20) if (hold := other.rests(ACCOUNT))]
    assert len(rests) == 20
    assert max(rests[:3]) <= circuits.FIRST_PAUSE_SECONDS
    apart = [later - sooner for sooner, later in itertools.pairwise(rests[2:])]
    assert apart == pytest.approx([circuit_module.SPREAD_SECONDS] * 17, abs=0.005), "one after the other, not all"


async def ask_all(ledger: AsyncEngine, workers: int) -> int:
    async def ask() -> bool:
        async with ledger.begin() as connection:
            return await circuits.probe(connection, ACCOUNT)

    return sum(await asyncio.gather(*(ask() for _ in range(workers))))


async def test_the_pause_doubles_up_to_a_limit(ledger: AsyncEngine) -> None:
    pauses = []
    async with ledger.begin() as connection:
        await circuits.open_(connection, ACCOUNT, circuits.FAILING, "down")
        for _ in range(14):
            await circuits.probe_failed(connection, ACCOUNT, longer=True)
            now = "SELECT pause_seconds, EXTRACT(EPOCH FROM probe_at - clock_timestamp()) FROM handoff.circuits"
            pause, ahead = tuple((await connection.exec_driver_sql(now)).one())
            assert float(ahead) == pytest.approx(pause, abs=0.1)
            pauses.append(pause)
    assert pauses[:3] == [0.4, 0.8, 1.6]
    assert pauses[-1] == circuits.LONGEST_PAUSE_SECONDS == 300.0


async def test_wrong_credentials_stop_all_workers_at_once_and_are_said_once(ledger: AsyncEngine) -> None:
    rule, outage = a_rule(steps=tags("eins", "zwei", "drei")), Outage(WrongCredentials)
    await judged(ledger, rule, 200)
    target = MemoryTarget(before=outage)
    await asyncio.gather(
        *(work(ledger, rule, desk_of(ledger, {ACCOUNT: target}), horizon=1.0, in_flight=8) for _ in range(2))
    )
    assert len(outage.calls) <= 16
    before = len(outage.calls)
    await work(ledger, rule, desk_of(ledger, {ACCOUNT: target}), horizon=1.0, in_flight=8)
    assert len(outage.calls) == before, "a worker that starts later does not try either"
    [(cause, kind, count, open_)] = await rows(ledger, NOTICES)
    assert (cause, kind, count, open_) == (f"credentials/{ACCOUNT}", "credentials", 1, True)
    assert await states(ledger) == {"planned": 600}
    [(seconds,)] = await rows(ledger, "SELECT EXTRACT(EPOCH FROM probe_at - now()) FROM handoff.circuits")
    assert 50 < seconds <= 60


async def test_corrected_credentials_close_it_and_wake_the_lanes(ledger: AsyncEngine) -> None:
    rule, outage = a_rule(), Outage(WrongCredentials)
    await judged(ledger, rule, 50)
    target = MemoryTarget(before=outage)
    await work(ledger, rule, desk_of(ledger, {ACCOUNT: target}), horizon=1.0)
    outage.over = True
    await work(ledger, rule, desk_of(ledger, {ACCOUNT: target}), horizon=1.0)
    assert target.effects == [], "not before the minute is over"
    await change(ledger, "UPDATE handoff.circuits SET probe_at = clock_timestamp()")
    # One lane is back after the minute, the others are woken by its success.
    await change(ledger, "UPDATE handoff.lanes SET ready_at = clock_timestamp()"
                         " WHERE id = (SELECT min(id) FROM handoff.lanes WHERE ready_at IS NOT NULL)")  # fmt: skip
    await work(ledger, rule, desk_of(ledger, {ACCOUNT: target}), horizon=1.0)
    await work(ledger, rule, desk_of(ledger, {ACCOUNT: target}), horizon=1.0)
    assert await rows(ledger, OPEN) == []
    assert [row[3] for row in await rows(ledger, NOTICES)] == [False]
    assert await states(ledger) == {"confirmed": 50}


async def test_a_rate_limit_rests_the_whole_account_but_no_other(ledger: AsyncEngine) -> None:
    rule = a_rule(steps=[*tags("eins"), {"step": "activecampaign.tag", "tag": "zwei"}])
    asked = iter([RateLimited("activecampaign_default", "tag", retry_after=1.5)])
    called = []

    def limited(call: Call) -> TargetError | None:
        called.append(time.monotonic())
        return next(asked, None)

    await judged(ledger, rule, 20)
    free, tight = MemoryTarget(), MemoryTarget(before=limited)
    desk = desk_of(ledger, {ACCOUNT: free, "activecampaign_default": tight})
    began = time.monotonic()
    await work(ledger, rule, desk, horizon=5.0, in_flight=1)
    assert await states(ledger) == {"confirmed": 40}
    assert len([at for at in called if at < called[0] + 1.45]) == 1, "no other lane called meanwhile"
    assert time.monotonic() - began >= 1.5
    assert await rows(ledger, OPEN) == []
    assert len(called) == 21


@pytest.mark.parametrize("seconds", [1_795_000_000.0, 1e15])
async def test_who_names_a_moment_instead_of_seconds_rests_for_an_hour(ledger: AsyncEngine, seconds: float) -> None:
    """Seconds since 1970 in ``Retry-After``; everybody else goes on."""
    free = a_rule(id="free", order_group="g")
    tight = a_rule(id="tight", order_group="g", steps=[{"step": "activecampaign.tag", "tag": "zwei"}])
    people = some_registrations(20, before=datetime.now(UTC) - timedelta(minutes=61))
    for rule, some in ((tight, people[:10]), (free, people[10:])):
        occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61), key=rule.id)
        source = FixedSource(occasion, some)
        await plan(ledger, source, [rule], occasion)
        assert await judge_due(ledger, rule, source) == ["judged"]
    limited = MemoryTarget(before=lambda call: RateLimited(call.step.conn_id, "tag", retry_after=seconds))
    desk = desk_of(ledger, {ACCOUNT: MemoryTarget(), "activecampaign_default": limited})
    await work(ledger, free, desk, horizon=0.0, in_flight=1)
    assert await states(ledger) == {"confirmed": 10, "planned": 10}
    ready = "SELECT max(ready_at) < clock_timestamp() + interval '1 hour', count(ready_at) FROM handoff.lanes"
    assert await rows(ledger, ready) == [(True, 10)]
    ends = "SELECT account, rests_until < clock_timestamp() + interval '1 hour' FROM handoff.circuits"
    assert await rows(ledger, ends) == [("activecampaign_default", True)]


async def test_a_hiccup_in_which_a_hundred_calls_fail_does_not_open_it(ledger: AsyncEngine) -> None:
    gate = Gate(ledger)
    for _ in range(100):
        gate.failed(UnknownOutcome(ACCOUNT, "bulk", "lost"), ACCOUNT, 1)
    await gate.refresh()
    assert await rows(ledger, OPEN) == []
    assert gate.rests(ACCOUNT) is None


async def test_a_success_in_between_starts_the_count_anew(ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit_module, "ONE_FAILURE_SECONDS", 0.0)
    one, other = Gate(ledger), Gate(ledger)
    for gate, failures in ((one, 6), (other, 6), (one, 3)):
        for _ in range(failures):
            gate.failed(Transient(ACCOUNT, "tag"), ACCOUNT, 1)
        await gate.refresh()
        if gate is one:
            gate.answered(ACCOUNT)
            await gate.refresh()
    assert await rows(ledger, OPEN) == []
    for _ in range(4):
        other.failed(Transient(ACCOUNT, "tag"), ACCOUNT, 1)
    await other.refresh()
    assert await rows(ledger, OPEN) == []
    for _ in range(6):
        one.failed(Transient(ACCOUNT, "tag"), ACCOUNT, 1)
    await one.refresh()
    assert [row[:2] for row in await rows(ledger, OPEN)] == [(ACCOUNT, "failing")], "failures of all workers count"


async def test_a_probe_that_was_not_needed_is_given_back(ledger: AsyncEngine) -> None:
    rule = a_rule()
    await judged(ledger, rule, 1)
    async with ledger.begin() as connection:
        await circuits.open_(connection, ACCOUNT, circuits.FAILING, "down")
    await change(ledger, "UPDATE handoff.circuits SET probe_at = clock_timestamp()")
    await change(ledger, "UPDATE handoff.occasions SET cancelled = true")
    target = MemoryTarget()
    await work(ledger, rule, desk_of(ledger, {ACCOUNT: target}), horizon=0.0)
    assert target.calls == 0
    assert await states(ledger) == {"skipped": 1}
    assert await rows(ledger, "SELECT probe_at <= clock_timestamp() FROM handoff.circuits") == [(True,)]


async def test_reading_that_shows_nothing_is_no_sign_of_life(ledger: AsyncEngine) -> None:
    """Every call fails, every reading works and finds nothing: people shall not be held one after the other for it."""
    rule = a_rule()
    lost: Fault = Outage(UnknownOutcome)
    await judged(ledger, rule, 30)
    target = MemoryTarget(before=lost)
    await work(ledger, rule, desk_of(ledger, {ACCOUNT: target}), horizon=0.5, in_flight=8)
    assert [row[1] for row in await rows(ledger, OPEN)] == ["failing"]
    assert (await states(ledger)).get("held", 0) < 10


async def test_the_words_of_a_notice_name_account_cause_and_remedy(ledger: AsyncEngine) -> None:
    async with ledger.begin() as connection:
        await circuits.open_(connection, ACCOUNT, circuits.CREDENTIALS, str(WrongCredentials(ACCOUNT, "log in")))
        [told] = await notices.untold(connection)
    assert told.kind == "credentials"
    assert told.words.startswith(f"{ACCOUNT}: log in: the credentials of this connection were not accepted")
    assert "check the connection" in told.words
