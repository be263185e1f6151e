"""Batches that would be done late start early; what the forecast rests on is counted on the wire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.contact import Contact
from handoff.delivery.looking_ahead import look_ahead
from handoff.delivery.sweep import Sweep
from handoff.ledger import certificates, quotas, registrations
from handoff.ledger.quotas import SPACING, Limits, Quota
from handoff.occasion import Occasion
from handoff.planning.forecast import requests_of
from handoff.planning.planner import record
from handoff.registration import Registration, Roster
from handoff.rules.rule import Rule
from handoff.source import Source
from handoff.target import Call, Target
from hooks.accounts import VENDORS
from sandbox import Sandbox, credentials
from tests.support.commands import handoff
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.rows import change, rows
from tests.support.targets import MemoryTarget
from tests.support.tasks import Vendors, run_dag

pytestmark = pytest.mark.integration
RATE = 50.0
EARLY = a_rule(start_early=True)


def ending_in(seconds: float) -> Occasion:
    return an_occasion(start=datetime.now(UTC) + timedelta(seconds=seconds) - timedelta(minutes=60))


async def declared(ledger: AsyncEngine, account: str = "klicktipp_default", **limits: Any) -> None:
    async with ledger.begin() as connection:
        await quotas.declare(connection, account, Limits(**limits))


def sweep_of(ledger: AsyncEngine, source: Source) -> Sweep:
    async def opened(name: str, account: str) -> Source:
        return source

    return Sweep(ledger, [EARLY], opened)


async def starts(ledger: AsyncEngine) -> list[tuple[Any, ...]]:
    return await rows(ledger, "SELECT starts_at, wake_at, due_at FROM handoff.batches")


class GrowingSource(FixedSource):
    """One more registers between the start of sending and the moment."""

    def __init__(self, occasion: Occasion, registrations: Sequence[Registration], latecomer: datetime) -> None:
        super().__init__(occasion, registrations)
        self._latecomer = Registration("late", "late@example.org", latecomer)

    async def roster(self, known: Occasion, since: datetime | None) -> Roster:
        roster = await super().roster(known, since)
        return Roster(roster.read_at, roster.presence_until, (*roster.registrations, self._latecomer))


async def test_the_run_starts_early_and_judges_for_the_start(
    ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"conn_type": "klicktipp", "login": "l", "password": "p", "extra": {"requests_per_second": RATE}}
    monkeypatch.setenv("AIRFLOW_CONN_KLICKTIPP_DEFAULT", json.dumps(values))
    occasion, target = ending_in(5), MemoryTarget()
    end = occasion.anchors["end"]
    people = some_registrations(100, before=occasion.anchors["start"])
    source = GrowingSource(occasion, people, end - timedelta(seconds=1))
    Vendors(monkeypatch, ledger_url, target, source)
    await record(ledger, [occasion], [EARLY])
    [certificate] = await run_dag(EARLY)
    # The latecomer is listed as well, so there are 101 to be foreseen.
    early = timedelta(seconds=101 * SPACING / RATE)
    [(starts_at, _, due_at)] = await starts(ledger)
    assert due_at == end
    assert abs((end - early) - starts_at) < timedelta(milliseconds=10)
    [(first, moments)] = await rows(
        ledger, "SELECT min(intent_at), (SELECT array_agg(DISTINCT moment) FROM handoff.verdicts) FROM handoff.effects"
    )
    assert starts_at <= first <= starts_at + timedelta(seconds=1)
    assert first < end
    assert moments == [starts_at]
    assert len(target.effects) == 100
    assert (certificate["even"], certificate["excluded"]) == (True, {"registered_later": 1})

    # Somebody whom the source lists only after that is not owed anything either.
    registered = Registration("later", "later@example.org", starts_at + timedelta(seconds=0.5))
    async with ledger.begin() as connection:
        (occasion_id,) = (await connection.execute(text("SELECT id FROM handoff.occasions"))).one()
        await registrations.store(connection, occasion_id, Roster(end, end, (registered,)))
        counted = await certificates.count(connection, certificate["batch_id"])
    assert (counted.even, counted.excluded) == (True, {"registered_later": 2})


async def test_without_the_option_it_is_only_foreseen(
    ledger: AsyncEngine, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await declared(ledger, rate=RATE)
    occasion, rule = ending_in(3), a_rule()
    Vendors(monkeypatch, ledger_url, MemoryTarget(), FixedSource(occasion, some_registrations(50)))
    await record(ledger, [occasion], [rule])
    await run_dag(rule)
    assert await rows(ledger, "SELECT starts_at FROM handoff.batches") == [(None,)]
    [(first,)] = await rows(ledger, "SELECT min(intent_at) FROM handoff.effects")
    assert first >= occasion.anchors["end"]


async def test_the_sweep_reads_the_list_and_wakes_the_batch_early(ledger: AsyncEngine) -> None:
    await declared(ledger, rate=5.0)
    occasion = ending_in(3600)
    source = FixedSource(occasion, some_registrations(812))
    await record(ledger, [occasion], [EARLY])
    await look_ahead(sweep_of(ledger, source))
    [(starts_at, wake_at, due_at)] = await starts(ledger)
    assert starts_at == wake_at
    assert abs(due_at - starts_at - timedelta(seconds=812 * SPACING / 5)) < timedelta(milliseconds=10)

    source.registrations = source.registrations[:5]
    await look_ahead(sweep_of(ledger, source))
    assert await starts(ledger) == [(starts_at, wake_at, due_at)]  # read an hour ago at the earliest

    moved = an_occasion(start=occasion.anchors["start"] + timedelta(minutes=5), changed=2.0)
    await record(ledger, [moved], [EARLY])
    later = due_at + timedelta(minutes=5)
    assert await starts(ledger) == [(None, later, later)]


async def test_a_batch_that_somebody_works_on_stays_as_it_is(ledger: AsyncEngine) -> None:
    await declared(ledger, rate=5.0)
    occasion = ending_in(3600)
    await record(ledger, [occasion], [EARLY])
    await change(
        ledger,
        "UPDATE handoff.batches SET lease_owner = 'run', leased_until = clock_timestamp() + interval '1 minute'",
    )
    await look_ahead(sweep_of(ledger, FixedSource(occasion, some_registrations(100))))
    assert await rows(ledger, "SELECT starts_at FROM handoff.batches") == [(None,)]


async def test_the_command(ledger: AsyncEngine, ledger_url: str) -> None:
    await declared(ledger, rate=5.0, quota=Quota(1_000))
    occasion = ending_in(60)
    await record(ledger, [occasion], [EARLY, a_rule(id="other", steps=[{"step": "email", "template": "x"}])])
    said = await handoff(ledger_url, "forecast", "test_rule")
    assert "not known before the list is read" in said.out
    await look_ahead(sweep_of(ledger, FixedSource(occasion, some_registrations(812))))
    said = await handoff(ledger_url, "forecast", "test_rule", "--json")
    (batch,) = said.json["batches"]
    assert (said.status, batch["listed"], batch["requests"]) == (0, 812, {"klicktipp_default": 812})
    assert batch["words"].startswith("812 contacts at 5/s take 168 s: starting 60 s early")
    assert 100 < batch["late_seconds"] < 110
    both = await handoff(ledger_url, "forecast")
    assert "limits not known yet of smtp_default" in both.out

    await declared(ledger, rate=5.0, quota=Quota(500))
    said = await handoff(ledger_url, "forecast", "test_rule", "--json")
    (batch,) = said.json["batches"]
    assert (said.status, batch["moved"]) == (1, 812 - 450)
    assert "362 handoffs move to" in batch["words"]
    assert (await handoff(ledger_url, "forecast", "nobody")).out.startswith("No batch waits")


STEPS: list[list[dict[str, Any]]] = [
    [{"step": "klicktipp.contact"}],
    [{"step": "klicktipp.contact"}, {"step": "klicktipp.tag", "tag": "t", "create": True}],
    [
        {"step": "klicktipp.contact", "tag": ""},
        {"step": "klicktipp.tag", "tag": "t", "create": True},
        {"step": "klicktipp.untag", "tag": "t"},
    ],
    [{"step": "activecampaign.contact"}],
    [{"step": "activecampaign.tag", "tag": "t", "create": True}],
    [{"step": "activecampaign.contact"}, {"step": "activecampaign.tag", "tag": "t", "create": True}],
    [{"step": "activecampaign.tag", "tag": "t", "create": True}, {"step": "activecampaign.untag", "tag": "t"}],
    [{"step": "activecampaign.list", "list": "Newsletter"}],
]


@pytest.mark.parametrize("steps", STEPS, ids=lambda steps: "+".join(step["step"] for step in steps))
async def test_as_many_requests_leave_as_the_forecast_says(steps: list[dict[str, Any]]) -> None:
    rule = a_rule(steps=steps)
    people = [Contact(f"person{number}@example.org", "Eva", "Muster") for number in range(4)]
    async with Sandbox() as sandbox:
        target = opened(sandbox, steps[0]["step"])
        klicktipp = sandbox.world.klicktipp
        for person in people:
            klicktipp.put_contact(person.email, "", klicktipp.default_opt_in, "Subscribed")
        # The first contact pays for the login and for the names of tags and lists.
        await hand_over(target, rule, people[0])
        before = asked(sandbox)
        for person in people[1:]:
            await hand_over(target, rule, person)
        await target.close()
        assert asked(sandbox) - before == sum(requests_of(rule.steps, 3, {}).values())


def opened(sandbox: Sandbox, step: str) -> Target:
    vendor = step.split(".")[0]
    login = credentials.KLICKTIPP_USERNAME if vendor == "klicktipp" else None
    password = credentials.KLICKTIPP_PASSWORD if vendor == "klicktipp" else credentials.ACTIVECAMPAIGN_TOKEN
    connection = SimpleNamespace(
        host=f"{sandbox.http_url}/{vendor}", schema=None, port=None, login=login, password=password,
        extra=json.dumps({"bulk_threshold": 0}),
    )  # fmt: skip
    return VENDORS[vendor].from_connection(
        "account", connection, _five_a_second if vendor == "activecampaign" else None
    )


async def _five_a_second() -> None:
    await asyncio.sleep(0.21)


async def hand_over(target: Target, rule: Rule, person: Contact) -> None:
    known: dict[str, Any] = {}
    for number, step in enumerate(rule.steps):
        known.update(await target.send(Call(f"{person.email}/{number}", step, person, an_occasion(), known=known)))


def asked(sandbox: Sandbox) -> int:
    return sum(
        sum(answers.values()) for calls in sandbox.calls.as_json().values() for answers in calls["paths"].values()
    )
