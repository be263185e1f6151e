"""The validator's findings in a rule file, in the words of its author."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from handoff.audience import Audience
from handoff.rules.again import AfterDays
from handoff.rules.document import Document, Location
from handoff.rules.kinds import kind_of
from handoff.rules.problem import RuleProblem, nearest, printable
from handoff.rules.rule import Rule
from handoff.rules.steps import STEPS
from handoff.times.public_holidays import STATES
from handoff.times.windows import WEEKDAYS

Words = dict[str, Any]
"""The part of a :class:`RuleProblem` that does not depend on where it is."""

_DAYS = (
    ("mo", "montag", "monday"), ("di", "dienstag", "tuesday"), ("mi", "mittwoch", "wednesday"),
    ("do", "donnerstag", "thursday"), ("fr", "freitag", "friday"), ("sa", "samstag", "saturday"),
    ("so", "sonntag", "sunday"),
)  # fmt: skip
_OTHER_WORDS: dict[str, str] = {
    **{audience.label("de").lower(): audience.value for audience in Audience},
    **{name.lower(): code for code, name in STATES.items()},
    **{word: day for day, words in zip(WEEKDAYS, _DAYS, strict=True) for word in words},
    "sonnabend": "sat",
    "halten": "hold", "warten": "hold", "senden": "send", "entfallen": "skip", "auslassen": "skip",
    "nie": "never", "einmal": "never", "once": "never", "je termin": "per_occasion",
}  # fmt: skip
"""What people write (small letters) for the value that is meant."""

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping (name: value)",
    "model_type": "a mapping (field: value)",
    "model_attributes_type": "a mapping (field: value)",
    "literal_error": "one of the valid values",
    "enum": "one of the valid values",
}


@dataclass(frozen=True, slots=True)
class _Finding:
    """One finding of the validator.

    :param location: where it is in the file; for a missing field, where it should be.
    :param model: the model that has, or should have, the field.
    """

    kind: str
    message: str
    value: Any
    context: dict[str, Any]
    location: Location
    model: type[BaseModel]

    @property
    def name(self) -> str:
        return str(self.location[-1])

    @property
    def field(self) -> FieldInfo | None:
        fields = self.model.model_fields
        return next((fields[str(part)] for part in reversed(self.location) if str(part) in fields), None)


def explain(error: ValidationError, document: Document, path: Path) -> list[RuleProblem]:
    """Return a problem for every finding, in the order of the file."""
    kind = _kind(document.data)
    findings = [_finding(details, kind) for details in error.errors(include_url=False) if not _is_echo(details)]
    problems = [_problem(finding, document, path) for finding in findings]
    misspelt = {
        _sibling(problem.field, problem.did_you_mean) for problem in problems if "unknown field" in problem.what
    }
    kept = [p for p in problems if not (p.what.endswith("is missing") and p.field in misspelt)]
    return sorted(kept, key=lambda problem: (problem.line, problem.column))


def problem_at(
    path: Path, document: Document, location: Location, *, of_key: bool = False, **words: Any
) -> RuleProblem:
    """Return a problem at a location of a document; ``words`` are the further fields of :class:`RuleProblem`."""
    line, column = document.position(location, of_key=of_key)
    lines = document.text.splitlines()
    context = lines[line - 1] if line <= len(lines) else ""
    return RuleProblem(path, line, column, dotted(location), context=context, **words)


def dotted(location: Location) -> str:
    """Return a location as people write it: ``("steps", 0, "tag")`` is ``"steps[0].tag"``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")


def _problem(finding: _Finding, document: Document, path: Path) -> RuleProblem:
    others = _own_words if "right" in finding.context else _type_words
    words = _WORDS.get(finding.kind, others)(finding)
    location = (*finding.location, "step") if finding.kind == "union_tag_invalid" else finding.location
    return problem_at(path, document, location, of_key=finding.kind in {"extra_forbidden", "invalid_key"}, **words)


def _is_echo(details: ErrorDetails) -> bool:
    # Wrong entries make a list seem too short, and a wrong id leaves the default that needs it unset.
    return details["type"] == "default_factory_not_called" or (
        details["type"] == "too_short" and bool(details["input"])
    )


def _kind(data: Any) -> type[Rule]:
    try:
        return kind_of(data)
    except ValidationError:
        return Rule


def _finding(details: ErrorDetails, rule: type[Rule]) -> _Finding:
    location, model = _place((*details["loc"], *details.get("ctx", {}).get("at", ())), rule)
    return _Finding(details["type"], details["msg"], details["input"], details.get("ctx", {}), location, model)


def _place(loc: Location, rule: type[Rule]) -> tuple[Location, type[BaseModel]]:
    # In a union the validator names the chosen form after the field; the file has no such key.
    if loc[:1] == ("steps",) and len(loc) > 2:
        return (*loc[:2], *loc[3:]), _inner(STEPS[str(loc[2])], loc[3:])
    if loc[:1] == ("again",) and len(loc) > 1:
        return (*loc[:1], *loc[2:]), AfterDays
    return loc, _inner(rule, loc)


def _inner(model: type[BaseModel], loc: Location) -> type[BaseModel]:
    """Return the model that the field at the head of ``loc`` holds, when something in it is meant."""
    field = model.model_fields.get(str(loc[0])) if len(loc) > 1 else None
    found = (field.annotation, *get_args(field.annotation)) if field else ()
    return next((kind for kind in found if isinstance(kind, type) and issubclass(kind, BaseModel)), model)


def _missing(finding: _Finding) -> Words:
    example = finding.field.examples[0] if finding.field and finding.field.examples else "..."
    return {"what": f'field "{finding.name}" is missing', "right": f"add {finding.name}: {_flow(example)}"}


def _unknown_field(finding: _Finding) -> Words:
    names = {name: name for name in finding.model.model_fields}
    near = nearest(finding.name, names)
    return {"what": f'unknown field "{finding.name}"', "did_you_mean": near, "valid": tuple(names)}


def _unknown_step(finding: _Finding) -> Words:
    named = finding.value.get("step") if isinstance(finding.value, dict) else None
    near = nearest(named, {name: name for name in STEPS})
    return {"what": f"unknown step {_shown(named)}", "did_you_mean": near, "valid": tuple(STEPS)}


def _step_without_name(finding: _Finding) -> Words:
    keys = finding.value if isinstance(finding.value, dict) else {}
    typo = next((key for key in keys if nearest(key, {"step": "step"})), "")
    what = f'field "step" is missing{f", there is {_shown(typo)}" if typo else ""}'
    right = "begin each step with its name, e.g. - step: klicktipp.tag"
    return {"what": what, "did_you_mean": "step" if typo else "", "right": right, "valid": tuple(STEPS)}


def _unknown_value(finding: _Finding) -> Words:
    valid = tuple(re.findall(r"'([^']*)'", finding.context["expected"]))
    others = {word: value for word, value in _OTHER_WORDS.items() if value in valid}
    near = nearest(finding.value, {**{value.lower(): value for value in valid}, **others})
    right = "one of these, or a number of days, e.g. {days: 90}" if finding.location[:1] == ("again",) else ""
    return {"what": f"unknown value {_shown(finding.value)}", "did_you_mean": near, "right": right, "valid": valid}


def _out_of_range(finding: _Finding) -> Words:
    limits = finding.field.metadata if finding.field else []
    lowest = next((limit.ge for limit in limits if hasattr(limit, "ge")), None)
    highest = next((limit.le for limit in limits if hasattr(limit, "le")), None)
    return {"what": f"{finding.value} is out of range", "right": f"a whole number from {lowest} to {highest}"}


def _empty(finding: _Finding) -> Words:
    if finding.kind == "too_short":
        return {"what": "the list is empty", "right": "at least one entry"}
    return {"what": "the text is empty", "right": "write something, or leave the field out if it is optional"}


def _own_words(finding: _Finding) -> Words:
    near = str(finding.context.get("did_you_mean", ""))
    return {"what": finding.message, "did_you_mean": near, "right": str(finding.context.get("right", ""))}


def _bad_name(finding: _Finding) -> Words:
    right = "small letters a to z and digits, in words joined by _ or -, e.g. webinar_attended"
    return {"what": f"{_shown(finding.value)} cannot be used as a name", "right": right}


def _type_words(finding: _Finding) -> Words:
    expected, value = _EXPECTED.get(finding.kind), finding.value
    if expected is None:
        return {"what": finding.message}
    right = f'put it in quotes: "{_shown(value)}"' if expected == "text" and isinstance(value, int) else ""
    right = 'begin each entry with "- "' if expected == "a list" else right
    return {"what": f"expected {expected}, got {_shown(value)}", "right": right}


_WORDS: Mapping[str, Callable[[_Finding], Words]] = {
    "missing": _missing,
    "extra_forbidden": _unknown_field,
    "invalid_key": _unknown_field,
    "union_tag_invalid": _unknown_step,
    "union_tag_not_found": _step_without_name,
    "literal_error": _unknown_value,
    "enum": _unknown_value,
    "greater_than_equal": _out_of_range,
    "less_than_equal": _out_of_range,
    "too_short": _empty,
    "string_too_short": _empty,
    "string_pattern_mismatch": _bad_name,
}


def _sibling(field: str, name: str) -> str:
    parent, dot, _ = field.rpartition(".")
    return f"{parent}{dot}{name}"


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f'"{printable(value if len(value) <= 60 else value[:57] + "...")}"'
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    return str(value) if isinstance(value, int) else "a list" if isinstance(value, list) else "a mapping"


def _flow(value: object) -> str:
    return json.dumps(value, ensure_ascii=True).replace('"', "")
