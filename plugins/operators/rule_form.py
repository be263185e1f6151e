"""The form that Airflow shows when a rule's DAG is triggered by hand."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param

from handoff.rules.rule import Rule
from handoff.rules.trigger_form import FIELDS, MODES, TITLES, blank

ABOUT_MODES = (
    "**Test it with your own address first:** choose *{one_contact}* and fill in an address. Audience and moment are "
    "then not looked at and the steps go out at once; consent (*Einwilligung*), windows (*Sendefenster*) and distances "
    "(*Mindestabstand*) hold as for everybody.\n\n"
    "**Reset** (*zurücksetzen*): what the rule handed over to these contacts before does not count any more, so that "
    "they pass through it again at the next occasion, also where it says *again: never* or so many days. This run "
    "sends nothing.{once_anyway}"
)
ONCE_ANYWAY = " This rule hands over once per occasion anyway (*again: per_occasion*), so it changes nothing here."
SHOWN = "Occasion, as texts show it (Anlass, wie ihn Texte zeigen)"
"""Only one section of Airflow's form is open at a time, so what to do and with whom stand in the same one."""


def rule_form(rule: Rule) -> dict[str, Param]:
    """Return the fields of a rule's form; what they say together is judged when the run begins."""
    return {name: _field(rule, name, filled) for name, filled in blank(rule).items()}


def _field(rule: Rule, name: str, filled: str | None) -> Param:
    if name not in FIELDS:
        title = f"{TITLES[name]}; empty: now (leer: jetzt)"
        return Param(filled, type=["null", "string"], format="date-time", title=title, section=SHOWN)
    schema = _special(rule).get(name, {"type": ["null", "string"]})
    return Param(filled, title=TITLES[name], **schema)


def _special(rule: Rule) -> dict[str, dict[str, Any]]:
    """Return the schemas of the fields that are more than a text."""
    once_anyway = ONCE_ANYWAY if rule.again == "per_occasion" else ""
    return {
        "mode": {
            "type": "string",
            "enum": list(MODES),
            "values_display": MODES,
            "description_md": ABOUT_MODES.format(**MODES, once_anyway=once_anyway),
        },
        "recipients": {
            "type": ["null", "string"],
            "format": "multiline",
            "description_md": "One on each line (*einer je Zeile*): `Eva Muster <eva@example.org>`, with or without "
            "the name. Not for what is due now.",
        },
        "language": {"type": "string", "enum": ["de", "en"], "values_display": {"de": "Deutsch", "en": "English"}},
        "occasion_title": {
            "type": "string",
            "minLength": 1,
            "section": SHOWN,
            "description": "E.g. of the webinar, the Chance or the appointment (Webinar, Chance, Termin).",
        },
    }
