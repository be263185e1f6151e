"""A rule for people: the Markdown page that its DAG shows."""

from __future__ import annotations

import inspect

from handoff.rules import again
from handoff.rules.rule import Rule
from handoff.rules.steps import Step

ORDERS = {
    "contact": "strictly in order for each contact, contacts in parallel",
    "strict": "everybody one after the other in order of registration (der Reihe nach)",
}
FLOW_COLUMNS = 54
"""About as wide as Airflow's panel for the docs."""


def doc_md(rule: Rule) -> str:
    """Return the rule as Markdown: when, who, and its steps in order; German terms beside the English."""
    lines = [
        f"### {_cell(rule.title)}",
        *([rule.description] if rule.description else []),
        f"```text\n{flow(rule)}\n```",
        _table(("", ""), _facts(rule)),
        "#### Steps (Schritte)",
        _table(("#", "step", "what it does", "with", "connection"), _steps(rule)),
        *([rule.docs.strip()] if rule.docs.strip() else []),
    ]
    return "\n\n".join(lines) + "\n"


def dag_id(rule: Rule) -> str:
    """Return the name of the rule's DAG."""
    return f"handoff_{rule.id}"


def moment(rule: Rule) -> str:
    """Return when the rule is due, e.g. ``"1 minute after the end (1 Minute nach Ende)"``."""
    return f"{rule.when.describe('en')} ({rule.when.describe('de')})"


def flow(rule: Rule) -> str:
    """Return the rule as a small picture of characters, one line a step, from moment to last step."""
    name_width, digits = max(len(step.step) for step in rule.steps), len(str(len(rule.steps)))
    lines = [f"\u25cf {moment(rule)}", f"\u2502 {rule.audience()}"]
    for number, step in enumerate(rule.steps, start=1):
        words = " ".join(told(rule, number - 1).split())
        lines.append(f"\u25bc {number:>{digits}}. {step.step:<{name_width}}  {words}".rstrip())
    return "\n".join(line if len(line) <= FLOW_COLUMNS else line[: FLOW_COLUMNS - 1] + "\u2026" for line in lines)


def _facts(rule: Rule) -> list[tuple[str, ...]]:
    return [
        ("When (Zeitpunkt)", moment(rule)),
        ("Who (f\u00fcr wen)", rule.audience()),
        rule.selection(),
        ("Order (Reihenfolge)", ORDERS[rule.order]),
        ("Late (versp\u00e4tet)", f"{rule.late_after.describe('en')} ({rule.late_after.describe('de')})"),
        ("Again (erneut)", f"{again.describe(rule.again, 'en')} ({again.describe(rule.again, 'de')})"),
        ("Source (Quelle)", f"{rule.source}, connection `{rule.conn_id}`"),
    ]


def _steps(rule: Rule) -> list[tuple[str, ...]]:
    return [
        (str(number), f"`{step.step}`", summary(step), told(rule, number - 1), f"`{step.conn_id}`")
        for number, step in enumerate(rule.steps, start=1)
    ]


def summary(step: Step) -> str:
    """Return what a step does, in one sentence."""
    return inspect.getdoc(type(step)).splitlines()[0].rstrip(".")  # type: ignore[union-attr]


def told(rule: Rule, step_no: int) -> str:
    """Return what a step (from 0) was told beyond its defaults, e.g. ``"tag: Webinar besucht; create: True"``.

    Its sending window is the step's own, or the rule's where that one holds for it.
    """
    step, window = rule.steps[step_no], rule.window_of(step_no)
    given = step.model_dump(exclude={"step", "conn_id", "window"}, exclude_defaults=True)
    values = {name: ", ".join(value) if isinstance(value, dict) else str(value) for name, value in given.items()}
    if window:
        values["window (Sendefenster)"] = f"{window.describe('en')} ({window.describe('de')})"
    return "; ".join(f"{name}: {value}" for name, value in values.items())


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    ruler = tuple("---" for _ in head)
    return "\n".join("| " + " | ".join(map(_cell, row)) + " |" for row in (head, ruler, *rows))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
