"""Mails a second and a day: what the connection allows holds over all workers, and is foreseen."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.looking_ahead import look_ahead
from handoff.delivery.sweep import Sweep
from handoff.errors import WrongCredentials
from handoff.ledger.quotas import Limits, Quota
from handoff.planning.planner import record
from hooks.accounts import limits_of
from operators.limits import declare_limits
from sandbox import Sandbox
from tests.support.commands import handoff
from tests.support.delivery import states, work
from tests.support.domain import FixedSource, an_occasion, some_registrations
from tests.support.mailing import ACCOUNT, MAILS, VARIABLE, judged, mail_desk, mailbox
from tests.support.rows import rows

pytestmark = pytest.mark.integration
RATE, PEOPLE = 5, 21


async def test_two_workers_share_the_mails_of_a_second(ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    await judged(ledger, PEOPLE)
    async with Sandbox() as sandbox:
        monkeypatch.setenv(VARIABLE, mailbox(sandbox, requests_per_second=RATE))
        desks = [mail_desk(ledger) for _ in range(2)]
        async with asyncio.timeout(60):
            await asyncio.gather(*(work(ledger, MAILS, desk, in_flight=4) for desk in desks))
        for desk in desks:
            await desk.close()
        moments = [mail.at for mail in sandbox.world.mailbox.mails]
    assert await states(ledger) == {"confirmed": PEOPLE}
    assert len(moments) == PEOPLE
    assert moments[-1] - moments[0] >= (PEOPLE - 1) / RATE - 0.1
    # One more than that: what left evenly does not arrive evenly on a busy machine.
    assert max(sum(begin <= moment < begin + 1.0 for moment in moments) for begin in moments) <= RATE + 1


async def test_when_the_mails_of_the_day_are_used_up_the_others_wait_for_the_next(
    ledger: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await judged(ledger, PEOPLE)
    async with Sandbox() as sandbox:
        monkeypatch.setenv(VARIABLE, mailbox(sandbox, requests_per_day=10))
        async with asyncio.timeout(60):
            await work(ledger, MAILS, desk := mail_desk(ledger), in_flight=4)
        await desk.close()
        sent = len(sandbox.world.mailbox.mails)
    assert sent == 9
    found = await rows(ledger, "SELECT state, attempts, count(*) FROM handoff.effects GROUP BY 1, 2 ORDER BY 1")
    assert found == [("confirmed", 1, sent), ("planned", 0, PEOPLE - sent)]
    assert await rows(ledger, "SELECT cause FROM handoff.notices") == [(f"quota/{ACCOUNT}/writes",)]


async def test_what_the_connection_says_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = Sandbox()
    monkeypatch.setenv(VARIABLE, mailbox(sandbox))
    assert await limits_of("email", ACCOUNT) == Limits()
    monkeypatch.setenv(VARIABLE, mailbox(sandbox, requests_per_second="0.5", requests_per_day=2000))
    assert await limits_of("survey", ACCOUNT) == Limits(0.5, Quota(2000))
    monkeypatch.setenv(VARIABLE, mailbox(sandbox, requests_per_second="viele"))
    with pytest.raises(WrongCredentials, match="requests_per_second"):
        await limits_of("email", ACCOUNT)


async def test_the_forecast_knows_them(ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, mailbox(Sandbox(), requests_per_second=RATE, requests_per_day=500))
    occasion = an_occasion(start=datetime.now(UTC))
    source = FixedSource(occasion, some_registrations(812))

    async def opened(name: str, account: str) -> FixedSource:
        return source

    await record(ledger, [occasion], [MAILS])
    await declare_limits(ledger, [MAILS])
    await look_ahead(Sweep(ledger, [MAILS], opened))
    said = await handoff(ledger_url, "forecast", "--json")
    [batch] = said.json["batches"]
    assert (batch["account"], batch["rate"], batch["moved"]) == (ACCOUNT, RATE, 812 - 450)
    assert "812 contacts at 5/s take 168 s" in batch["words"]
    assert batch["limits_not_known"] == []
    assert timedelta(seconds=batch["seconds"]) > timedelta(seconds=812 / RATE)
