"""What a rule waits for: one webinar date, one opportunity, one appointment."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

BY_HAND = "manual"
"""The source of an occasion given by hand."""
BEFORE_WATCH = "before_watch"
"""The fact of an occasion that the record closed before its account was watched: nobody is handed over for it."""
MOVABLE = frozenset({"start", "end"})
"""Anchors that are plans, which a source may change; the others say when something happened."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """One occasion as its source describes it now.

    :param source: the vendor, e.g. ``"webinaris"``; :data:`BY_HAND` for one given by hand.
    :param account: Airflow connection id of the source account.
    :param key: the source's own stable id of this occasion; it stays when the occasion moves.
    :param series: what repeats, e.g. the webinar id of a webinar date; rules may select by it.
    :param anchors: moments (aware) that offsets count from: ``start`` and ``end`` for a webinar.
    :param timezone: IANA zone in which the source states the occasion's local times.
    :param cancelled: the source says that it does not take place.
    :param changed: when the source last changed it (unix seconds); an older report never
        overwrites a newer one. 0 when the source does not say: then the newest report wins.
    :param facts: further plain JSON facts that templates and audiences may use.
    """

    source: str
    account: str
    key: str
    title: str
    anchors: dict[str, datetime]
    series: str = ""
    timezone: str = "Europe/Berlin"
    cancelled: bool = False
    changed: float = 0.0
    facts: dict[str, object] = field(default_factory=dict)
