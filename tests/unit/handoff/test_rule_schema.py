"""The JSON Schema that editors use is the model's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from handoff.rules.document import Document
from handoff.rules.kinds import KINDS
from handoff.rules.schema import rule_schema, rule_schema_text
from handoff.rules.steps import STEPS

SHIPPED = Path(__file__).parents[3] / "include" / "handoffs"


def test_the_shipped_schema_is_current() -> None:
    current = (SHIPPED / "rule.schema.json").read_text(encoding="utf-8")
    assert current == rule_schema_text(), "run: handoff schema --write include/handoffs/rule.schema.json"


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_rule_names_the_schema(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=rule.schema.json"


def test_the_schema_is_as_strict_as_the_model() -> None:
    schema = rule_schema()
    assert schema["anyOf"] == [{"$ref": f"#/$defs/{kind.__name__}"} for kind in KINDS.values()]
    for source, kind in KINDS.items():
        form = schema["$defs"][kind.__name__]
        assert form["additionalProperties"] is False
        own = {"webinaris": {"who"}}.get(source, {"source"})
        assert set(form["required"]) == {"id", "title", "when", "steps"} | own
        assert set(form["properties"]) == set(kind.model_fields)
        assert form["properties"]["steps"]["minItems"] == 1
    assert schema["$defs"]["When"]["oneOf"] == [{"required": ["before"]}, {"required": ["after"]}]


def test_the_schema_offers_every_step_and_describes_every_field() -> None:
    for kind in KINDS.values():
        form = rule_schema()["$defs"][kind.__name__]["properties"]
        assert set(form["steps"]["items"]["discriminator"]["mapping"]) == set(STEPS)
        assert all(field.get("description") for field in form.values())
        assert re.fullmatch(form["id"]["pattern"], "webinar_attended")


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_an_editor_accepts_the_shipped_rules(path: Path) -> None:
    Draft202012Validator(rule_schema()).validate(Document.parse(path.read_text(encoding="utf-8")).data)


@pytest.mark.parametrize(
    "changes",
    [
        {"who": "atended"},
        {"steps": []},
        {"steps": [{"step": "klicktip.tag", "tag": "x"}]},
        {"steps": [{"step": "klicktipp.tag", "tags": "x"}]},
        {"when": {"minutes": 1, "before": "start", "after": "end"}},
        {"when": {"minutes": 1}},
        {"attended_from_percent": 101},
        {"unknown": 1},
    ],
)
def test_an_editor_refuses_what_the_model_refuses(changes: dict[str, object]) -> None:
    data = Document.parse((SHIPPED / "pitch_seen.yaml").read_text(encoding="utf-8")).data
    assert not Draft202012Validator(rule_schema()).is_valid({**data, **changes})
