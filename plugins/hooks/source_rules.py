"""The rules of one source account, as their files are now."""

from __future__ import annotations

from collections.abc import Iterable

from handoff.appointment_rule import AppointmentRule
from handoff.closings import plain
from handoff.home import rules_folder
from handoff.insightly_rule import InsightlyRule
from handoff.rule import Rule
from handoff.rule_file import load_folder
from handoff.steps import CallexaRecipient


def rules_of(source: str, conn_id: str) -> list[Rule]:
    """Return the valid rules that wait for occasions of an account."""
    return [
        file.rule
        for file in load_folder(rules_folder())[0]
        if (file.rule.source, file.rule.conn_id) == (source, conn_id)
    ]


def accounts_of(source: str) -> set[str]:
    """Return the connections of a source that rules name."""
    return {file.rule.conn_id for file in load_folder(rules_folder())[0] if file.rule.source == source}


def callexa_surveys() -> dict[str, set[str]]:
    """Return the surveys, by name or id, that steps of rules queue recipients for, by the Callexa account."""
    surveys: dict[str, set[str]] = {}
    for file in load_folder(rules_folder())[0]:
        for step in file.rule.steps:
            if isinstance(step, CallexaRecipient):
                surveys.setdefault(step.conn_id, set()).add(step.survey)
    return surveys


def asked_tags(rules: Iterable[Rule]) -> frozenset[str]:
    """Return the tags that rules ask about, in plain form."""
    asking = [rule for rule in rules if isinstance(rule, InsightlyRule)]
    return frozenset(plain(tag) for rule in asking for tag in (rule.tag, rule.without_tag) if tag)


def asks_newsletter(rules: Iterable[Rule]) -> bool:
    """Return whether some rule asks for the newsletter box of appointments."""
    return any(isinstance(rule, AppointmentRule) and rule.newsletter_only for rule in rules)
