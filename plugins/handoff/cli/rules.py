"""The rules as commands reach them: by their id."""

from __future__ import annotations

from pathlib import Path

from handoff.errors import HandoffError
from handoff.home import rules_folder
from handoff.rules.file import load, project_rules
from handoff.rules.rule import Rule


def rule_named(rule_id: str, file: Path | None = None) -> Rule:
    """Return the rule with this id, from its file or from the project's rules.

    :raises HandoffError: when there is no valid rule of this id, or it is not the one in the file.
    """
    if file is not None:
        rule = load(file).rule
        if rule.id != rule_id:
            raise HandoffError(f"{file}: this is the rule {rule.id}, not {rule_id}")
        return rule
    for rule in project_rules():
        if rule.id == rule_id:
            return rule
    raise HandoffError(f"no valid file in {rules_folder()} has the rule {rule_id}; see: handoff list, handoff lint")
