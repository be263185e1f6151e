"""The JSON Schema by which editors complete and check rule files."""

from __future__ import annotations

import json
from typing import Any

from handoff.rule import Rule

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def rule_schema() -> dict[str, Any]:
    """Return the schema of a rule file, made from the same model that validates it."""
    return {"$schema": DIALECT, **Rule.model_json_schema()}


def rule_schema_text() -> str:
    """Return the schema as the text of ``include/handoffs/rule.schema.json``."""
    return json.dumps(rule_schema(), indent=2, ensure_ascii=False) + "\n"
