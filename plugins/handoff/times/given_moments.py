"""The moments of an occasion as a person writes them, for texts: with a time zone, and in an order that can be."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from handoff.errors import HandoffError
from handoff.rules.rule import Rule
from handoff.texts.templates import did_you_mean

RIGHT = "write it like 2026-11-20T18:00:00+01:00"


class UnusableMoment(HandoffError):
    """A moment given by hand cannot be used."""


def given_moments(rule: Rule, texts: Mapping[str, str], where: str) -> dict[str, datetime]:
    """Return moments (aware) by the rule's names for them.

    :param texts: the moments by name, in ISO 8601 with a time zone.
    :param where: how an error says where a moment stands; ``{}`` in it is the name.
    :raises UnusableMoment: one is none, has no zone or no such name, or the end is before the start.
    """
    if unknown := next((name for name in texts if name not in rule.anchors), None):
        words = f"{rule.id} has no moment {unknown!r}{did_you_mean(unknown, rule.anchors)}"
        raise UnusableMoment(f"{words}; there is {', '.join(rule.anchors)}")
    moments = {name: _moment(text, where.format(name)) for name, text in texts.items()}
    if {"start", "end"} <= moments.keys() and moments["end"] < moments["start"]:
        raise UnusableMoment(f"{where.format('end')} is before {where.format('start')}; correct one of them")
    return moments


def _moment(text: str, where: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UnusableMoment(f"{where} is no date and time; {RIGHT}") from None
    if moment.tzinfo is None:
        raise UnusableMoment(f"{where} has no time zone; {RIGHT}")
    return moment
