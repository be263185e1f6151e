"""Answers to surveys as occasions for which rules may wait."""

from __future__ import annotations

from handoff.answer import ACCOUNT, OWN, SOURCE
from handoff.occasion import Occasion
from handoff.registration import Registration
from handoff.rules.steps import Survey
from launch.customer import Answered
from launch.occasions import ListedOccasion, Plan


def true_answer(answered: Answered, key: str) -> ListedOccasion:
    """Return the occasion that a stored answer to a survey of the project's own is.

    :param key: the answer's in the ledger, of which the names of effects are made.
    :raises TypeError: when it was no survey of the project's own that asked.
    """
    asked, reply = answered.asked, answered.reply
    if not isinstance(asked.step, Survey):
        raise TypeError(f"{asked.step.step} is no survey of the project's own")
    survey = asked.step.survey
    occasion = Occasion(
        source=SOURCE,
        account=ACCOUNT,
        key=key,
        title=survey,
        series=survey,
        anchors={"answered": answered.at},
        facts={
            "rating": int(reply.rating), "via": OWN, "record": asked.occasion.facts.get("record", ""),
            "source": asked.occasion.source, "account": asked.occasion.account,
        },
    )  # fmt: skip
    person = Registration(key, asked.contact, answered.at)
    return ListedOccasion((Plan(answered.at.timestamp(), occasion),), (person,))
