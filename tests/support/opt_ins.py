"""People who signed up and are asked to confirm their consent, through the delivery engine."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from handoff.contact import Contact
from handoff.rules.rule import Rule
from handoff.target import Target
from tests.support.delivery import desk_of, judge_due, plan, work
from tests.support.domain import FixedSource, a_rule, an_occasion, some_registrations
from tests.support.rows import rows
from tests.support.targets import MemoryTarget

WORDING = "Ich willige ein, Neuigkeiten der Muster GmbH per E-Mail zu erhalten.\nDas kann ich jederzeit widerrufen."
PERSON = Contact("person0@example.org")


def opt_in_rule(rule_id: str = "doi", **step: Any) -> Rule:
    """Return a rule that asks everybody to confirm."""
    return a_rule(id=rule_id, steps=[{"step": "opt_in", "wording": WORDING, **step}])


def newsletter() -> Rule:
    """Return a rule that writes advertising to whoever agreed."""
    letter = {"step": "email", "template": "webinar_attended"}
    return a_rule(id="letter", purpose="marketing", legal_basis="consent", steps=[letter])


async def sign_up(
    ledger: AsyncEngine,
    rule: Rule,
    target: Target | None = None,
    *,
    key: str = "d1",
    days_ago: float = 0.0,
    language: str = "",
) -> Target:
    """Let the rule act on an occasion that has just ended, for which ``person0`` signed up an hour before it began.

    :param days_ago: so long before that the person signed up.
    """
    target = target or MemoryTarget(readable=False)
    occasion = an_occasion(datetime.now(UTC) - timedelta(minutes=61), key=key)
    before = occasion.anchors["start"] - timedelta(days=days_ago)
    people = [replace(one, language=language) for one in some_registrations(1, before=before)]
    source = FixedSource(occasion, people)
    await plan(ledger, source, [rule], occasion)
    await judge_due(ledger, rule, source)
    await work(ledger, rule, desk_of(ledger, {rule.steps[0].conn_id: target}))
    return target


async def ends(ledger: AsyncEngine, rule_id: str = "doi") -> list[tuple[str, str]]:
    """Return state and reason of the rule's effects, in their order."""
    query = """
        SELECT effect.state, effect.reason FROM handoff.effects AS effect
        JOIN handoff.handoffs AS handoff ON handoff.id = effect.handoff_id
        JOIN handoff.batches AS batch ON batch.id = handoff.batch_id WHERE batch.rule_id = :rule_id ORDER BY effect.id
    """
    return [(state, reason) for state, reason in await rows(ledger, query, rule_id=rule_id)]
