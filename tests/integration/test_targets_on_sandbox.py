"""The delivery engine with the real targets against the sandbox: hooks and stand-ins checked against each other."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.delivery.desk import Desk, LimiterOf
from handoff.rules.rule import Rule
from handoff.target import Target
from hooks.accounts import VENDORS
from hooks.activecampaign_target import ActiveCampaignTarget
from sandbox import Sandbox, credentials
from sandbox.faults import FaultOrder
from tests.support.delivery import judge_due, plan, states, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations

TAGS = [{"step": "activecampaign.tag", "tag": tag, "create": True} for tag in ("eins", "zwei")]


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as running:
        yield running


def connection(url: str, login: str | None, password: str, **extra: Any) -> SimpleNamespace:
    return SimpleNamespace(host=url, schema=None, port=None, login=login, password=password, extra=json.dumps(extra))


def desk_of(engine: AsyncEngine, sandbox: Sandbox, **extra: Any) -> Desk:
    async def opener(account: str, step: str, limiter_of: LimiterOf) -> Target:
        values = {"settling_seconds": 0.1, "requests_per_second": 500, "timeout": 5} | extra
        if step.startswith("klicktipp"):
            login, password = credentials.KLICKTIPP_USERNAME, credentials.KLICKTIPP_PASSWORD
            values = connection(f"{sandbox.http_url}/klicktipp", login, password, **values)
            return VENDORS["klicktipp"].from_connection(account, values, limiter_of(500))
        values = connection(f"{sandbox.http_url}/activecampaign", None, credentials.ACTIVECAMPAIGN_TOKEN, **values)
        limiter = limiter_of(ActiveCampaignTarget.limits(account, values).rate)
        return ActiveCampaignTarget.from_connection(account, values, limiter)

    return Desk(engine, opener)


async def delivered(ledger: AsyncEngine, sandbox: Sandbox, rule: Rule, count: int, **extra: Any) -> list[Any]:
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61), minutes=60)
    source = FixedSource(occasion, some_registrations(count, before=occasion.anchors["start"]))
    await plan(ledger, source, [rule], occasion)
    await judge_due(ledger, rule, source)
    desk = desk_of(ledger, sandbox, **extra)
    await work(ledger, rule, desk, in_flight=256)
    await desk.close()
    assert await states(ledger) == {"confirmed": count * len(rule.steps)}
    return list(sandbox.effects)


async def test_a_big_batch_goes_out_in_bulk_and_in_order(ledger: AsyncEngine, sandbox: Sandbox) -> None:
    effects = await delivered(ledger, sandbox, a_rule(steps=TAGS), 150, requests_per_second=5)
    imports = [effect for effect in effects if effect.action == "bulk_import"]
    assert 2 <= len(imports) <= 6
    tags = [(effect.contact, effect.detail["tag"]) for effect in effects if effect.action == "tag"]
    assert set(Counter(tags).values()) == {1}
    assert len(tags) == 300
    for number in range(150):
        assert [tag for contact, tag in tags if contact == f"person{number}@example.org"] == ["eins", "zwei"]


async def test_a_small_batch_goes_out_singly(ledger: AsyncEngine, sandbox: Sandbox) -> None:
    sandbox.gate.limits.pop("activecampaign", None)
    effects = await delivered(ledger, sandbox, a_rule(steps=TAGS[:1]), 10)
    assert not [effect for effect in effects if effect.action == "bulk_import"]
    assert Counter(effect.contact for effect in effects if effect.action == "tag").most_common(1)[0][1] == 1


@pytest.mark.parametrize("fault", ["commit_then_drop", "drop_before_commit", "malformed", "500", "429"])
async def test_klicktipp_under_faults(ledger: AsyncEngine, sandbox: Sandbox, fault: str) -> None:
    sandbox.faults.order(FaultOrder.model_validate({
        "system": "klicktipp", "fault": fault, "probability": 0.3, "seed": 5,
    } | ({"retry_after": 1} if fault == "429" else {})))  # fmt: skip
    steps = [{"step": "klicktipp.contact"}, {"step": "klicktipp.tag", "tag": "Webinar besucht"}]
    effects = await delivered(ledger, sandbox, a_rule(steps=steps), 60)
    tags = Counter(effect.contact for effect in effects if effect.action == "tag")
    assert len(tags) == 60
    assert set(tags.values()) == {1}


async def test_what_needs_no_contact_is_done_ahead_and_changes_nothing(ledger: AsyncEngine, sandbox: Sandbox) -> None:
    occasion = an_occasion(start=datetime.now(UTC) - timedelta(minutes=61), minutes=60)
    source = FixedSource(occasion, some_registrations(1, before=occasion.anchors["start"]))
    rule = a_rule(steps=[{"step": "klicktipp.tag", "tag": "Webinar besucht"}, TAGS[0] | {"bulk": "never"}])
    await plan(ledger, source, [rule], occasion)
    desk = desk_of(ledger, sandbox)
    await desk.prepare(1)
    ahead = sandbox.calls.as_json()
    assert list(sandbox.effects) == []
    assert {"POST /account/login", "GET /tag"} <= set(ahead["klicktipp"]["paths"])
    await judge_due(ledger, rule, source)
    await work(ledger, rule, desk)
    await desk.close()
    after = sandbox.calls.as_json()
    for path in ("POST /account/login", "GET /tag"):
        assert after["klicktipp"]["paths"][path] == ahead["klicktipp"]["paths"][path]
    assert await states(ledger) == {"confirmed": 2}
