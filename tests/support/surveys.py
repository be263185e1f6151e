"""People who were asked by a survey, through the delivery engine."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.consent import Subject
from handoff.contact import Contact
from handoff.ledger import consents
from handoff.ledger.consents import Entry
from handoff.rules.rule import Rule
from handoff.target import Target
from tests.support.delivery import desk_of, judge_due, plan, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.rows import rows
from tests.support.targets import MemoryTarget

SURVEY = {"step": "survey", "survey": "zufriedenheit"}


def survey_rule(rule_id: str = "ask", **step: Any) -> Rule:
    """Return a rule that asks everybody."""
    return a_rule(id=rule_id, purpose="survey", legal_basis="consent", steps=[{**SURVEY, **step}])


async def ask(
    ledger: AsyncEngine,
    rule: Rule,
    *,
    count: int = 1,
    key: str = "d1",
    target: Target | None = None,
    language: str = "",
) -> Target:
    """Let the rule ask ``person0`` and so on because of an occasion that has just ended.

    :param language: the people's own.
    """
    target = target or MemoryTarget(readable=False)
    await agree(ledger, count)
    occasion = an_occasion(datetime.now(UTC) - timedelta(minutes=61), key=key, facts={"record": "opportunity/31"})
    people = some_registrations(count, before=occasion.anchors["start"])
    source = FixedSource(occasion, [replace(one, language=language) for one in people])
    await plan(ledger, source, [rule], occasion)
    await judge_due(ledger, rule, source)
    await work(ledger, rule, desk_of(ledger, {rule.steps[0].conn_id: target}))
    return target


async def agree(ledger: AsyncEngine, count: int) -> None:
    """Let ``person0`` and so on agree to surveys by e-mail."""
    contacts = [Contact(f"person{number}@example.org").key for number in range(count)]
    entries = [Entry(Subject(key, "email", "survey"), "granted", datetime.now(UTC)) for key in contacts]
    async with ledger.begin() as connection:
        await consents.add(connection, entries)


async def effect_keys(ledger: AsyncEngine) -> list[str]:
    """Return the keys of the effects that asked, in their order."""
    return [key for (key,) in await rows(ledger, "SELECT effect_key FROM handoff.askings ORDER BY effect_id")]
