"""The JSON Schema by which editors complete and check rule files."""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import models_json_schema

from handoff.rules.kinds import KINDS

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def rule_schema() -> dict[str, Any]:
    """Return the schema of a rule file, made from the same model that validates it."""
    _, schema = models_json_schema([(kind, "validation") for kind in KINDS.values()])
    first, *others = [kind.__name__ for kind in KINDS.values()]
    for name in others:
        # Only the first kind may leave its source unsaid.
        schema["$defs"][name]["required"].append("source")
    kinds = [{"$ref": f"#/$defs/{name}"} for name in (first, *others)]
    return {"$schema": DIALECT, "title": "Handoff rule", **schema, "anyOf": kinds}


def rule_schema_text() -> str:
    """Return the schema as the text of ``include/handoffs/rule.schema.json``."""
    return json.dumps(rule_schema(), indent=2, ensure_ascii=False) + "\n"
