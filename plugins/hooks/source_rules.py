"""The rules of one source account, as their files are now."""

from __future__ import annotations

from collections.abc import Iterable

from handoff.rules.file import project_rules
from handoff.rules.insightly import InsightlyRule
from handoff.rules.rule import Rule
from handoff.rules.steps import CallexaRecipient
from handoff.spellings import folded


def rules_of(source: str, conn_id: str) -> list[Rule]:
    """Return the valid rules that wait for occasions of an account."""
    return [rule for rule in project_rules() if (rule.source, rule.conn_id) == (source, conn_id)]


def accounts_of(source: str) -> set[str]:
    """Return the connections of a source that rules name."""
    return {rule.conn_id for rule in project_rules() if rule.source == source}


def callexa_surveys() -> dict[str, set[str]]:
    """Return the surveys, by name or id, that steps of rules queue recipients for, by the Callexa account."""
    surveys: dict[str, set[str]] = {}
    for rule in project_rules():
        for step in rule.steps:
            if isinstance(step, CallexaRecipient):
                surveys.setdefault(step.conn_id, set()).add(step.survey)
    return surveys


def asked_tags(rules: Iterable[Rule]) -> frozenset[str]:
    """Return the tags that rules ask about, folded."""
    asking = [rule for rule in rules if isinstance(rule, InsightlyRule)]
    return frozenset(folded(tag) for rule in asking for tag in (rule.tag, rule.without_tag) if tag)


def asked_states(rules: Iterable[Rule]) -> frozenset[str]:
    """Return the states that rules wait for, e.g. ``opportunity/won``."""
    asking = [rule for rule in rules if isinstance(rule, InsightlyRule)]
    opportunities = {f"opportunity/{state}" for rule in asking for state in rule.opportunities}
    return frozenset(opportunities | {f"project/{state}" for rule in asking for state in rule.projects})
