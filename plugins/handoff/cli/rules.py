"""The rules as commands reach them: by their id."""

from __future__ import annotations

from handoff.errors import HandoffError
from handoff.home import rules_folder
from handoff.rule import Rule
from handoff.rule_file import load_folder


def rule_named(rule_id: str) -> Rule:
    """Return the project's rule with this id. :raises HandoffError: when there is no valid one."""
    rules = {file.rule.id: file.rule for file in load_folder(rules_folder())[0]}
    if rule_id not in rules:
        raise HandoffError(f"there is no valid rule {rule_id!r}; there are: {', '.join(sorted(rules))}")
    return rules[rule_id]
