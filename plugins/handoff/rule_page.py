"""A rule for people: the Markdown page that its DAG shows."""

from __future__ import annotations

import inspect

from handoff.audience import Audience
from handoff.rule import Rule
from handoff.steps import Step

_ORDERS = {
    "contact": "strictly in order for each contact, contacts in parallel",
    "strict": "everybody one after the other in order of registration (der Reihe nach)",
}


def doc_md(rule: Rule) -> str:
    """Return the rule as Markdown: when, who, and its steps in order; German terms beside the English."""
    lines = [
        f"### {_cell(rule.title)}",
        *([rule.description] if rule.description else []),
        _table(("", ""), _facts(rule)),
        "#### Steps (Schritte)",
        _table(("#", "step", "what it does", "with", "connection"), _steps(rule)),
        *([rule.docs.strip()] if rule.docs.strip() else []),
    ]
    return "\n\n".join(lines) + "\n"


def _facts(rule: Rule) -> list[tuple[str, ...]]:
    attendance = {Audience.ATTENDED, Audience.NOT_ATTENDED}
    share = f", from {rule.attended_from_percent} % of the webinar on" if rule.who in attendance else ""
    return [
        ("When (Zeitpunkt)", f"{rule.when.describe('en')} ({rule.when.describe('de')})"),
        ("Who (f\u00fcr wen)", f"{rule.who.label('en')} ({rule.who.label('de')}){share}"),
        ("Webinars", ", ".join(rule.webinars) or "all, also future ones (alle)"),
        ("Order (Reihenfolge)", _ORDERS[rule.order]),
        ("Held when later than (versp\u00e4tet)", rule.late_after.in_words() or "at once"),
        ("Source (Quelle)", f"{rule.source}, connection `{rule.conn_id}`"),
    ]


def _steps(rule: Rule) -> list[tuple[str, ...]]:
    return [
        (str(number), f"`{step.step}`", summary(step), details(step), f"`{step.conn_id}`")
        for number, step in enumerate(rule.steps, start=1)
    ]


def summary(step: Step) -> str:
    """Return what a step does, in one sentence."""
    return inspect.getdoc(type(step)).splitlines()[0].rstrip(".")  # type: ignore[union-attr]


def details(step: Step) -> str:
    """Return what a step was told beyond its defaults, e.g. ``"tag: Webinar besucht"``."""
    told = step.model_dump(exclude={"step", "conn_id"}, exclude_defaults=True)
    values = {name: ", ".join(value) if isinstance(value, dict) else str(value) for name, value in told.items()}
    return "; ".join(f"{name}: {value}" for name, value in values.items())


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    ruler = tuple("---" for _ in head)
    return "\n".join("| " + " | ".join(map(_cell, row)) + " |" for row in (head, ruler, *rows))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
