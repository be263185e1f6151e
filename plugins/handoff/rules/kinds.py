"""The kinds of rules: one for each source."""

from __future__ import annotations

from typing import Any

from pydantic_core import InitErrorDetails, ValidationError

from handoff.rules.answer import AnswerRule
from handoff.rules.appointment import AppointmentRule
from handoff.rules.confirmation import ConfirmationRule
from handoff.rules.insightly import InsightlyRule
from handoff.rules.rule import Rule
from handoff.rules.webinar import WebinarRule

KINDS: dict[str, type[Rule]] = {
    kind.model_fields["source"].default: kind
    for kind in (WebinarRule, InsightlyRule, AppointmentRule, AnswerRule, ConfirmationRule)
}
"""By the source that a rule file names; the first one where it names none."""


def kind_of(data: Any) -> type[Rule]:
    """Return the kind of rule that is written.

    :param data: what a rule file holds.
    :raises ValidationError: it names a source that there is not.
    """
    source = data.get("source") if isinstance(data, dict) else None
    if source is None:
        return WebinarRule
    if isinstance(source, str) and source in KINDS:
        return KINDS[source]
    names = [f"'{name}'" for name in KINDS]
    expected = f"{', '.join(names[:-1])} or {names[-1]}"
    wrong = InitErrorDetails(type="literal_error", loc=("source",), input=source, ctx={"expected": expected})
    raise ValidationError.from_exception_data("Handoff rule", [wrong])
