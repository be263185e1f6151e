"""What a confirmation mail (double opt-in) shows beside what every mail may."""

from __future__ import annotations

from typing import Any

from handoff.rules.steps import OptIn
from handoff.texts.links import Links
from handoff.texts.survey_mail import SAMPLE

ASKED = OptIn.model_validate({"step": "opt_in", "wording": "I agree."})


def opt_in_variables(step: OptIn = ASKED, links: Links = SAMPLE, effect_key: str = "sample") -> dict[str, Any]:
    """Return ``confirm_url``, the page with the button; ``wording``, what is agreed to; ``expires_days``; ``reminder``.

    :param effect_key: the mail's effect; all defaults are samples.
    """
    return {
        "confirm_url": links.opt_in(effect_key), "wording": step.wording, "expires_days": step.expires_days,
        "reminder": step.reminder,
    }  # fmt: skip
