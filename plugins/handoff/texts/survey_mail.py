"""What the mail of a survey shows beside what every mail may: the scale from 0 to 10 as links."""

from __future__ import annotations

from typing import Any

from handoff.answer import RATINGS
from handoff.texts.links import Links

SAMPLE = Links("https://example.org", b"sample")


def survey_variables(links: Links = SAMPLE, effect_key: str = "sample") -> dict[str, Any]:
    """Return ``survey_url``, the page without a choice, and ``scores``: ``score`` and ``url`` from 0 to 10.

    :param effect_key: the mail's effect, whose answer the page takes; both default to a sample.
    """
    scores = [{"score": score, "url": links.survey(effect_key, score)} for score in RATINGS]
    return {"survey_url": links.survey(effect_key), "scores": scores}
