"""The webinar dates of the sandbox's world."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from handoff.occasion import Occasion
from handoff.registration import Presence, Registration
from launch.occasions import Plan, moment_of
from sandbox.people import make_registrants
from sandbox.scenario import Scenario
from sandbox.scenario_webinars import DateModel, RegistrantModel, WebinarModel

SOURCE, ACCOUNT = "webinaris", "webinaris_default"


@dataclass(frozen=True, slots=True)
class TrueDate:
    """One webinar date as it really is.

    :param plans: in order of time. :param began: when its world began (unix seconds).
    """

    plans: tuple[Plan, ...]
    model: DateModel
    began: float
    sure: ClassVar[bool] = True

    def registrations(self, occasion: Occasion) -> list[Registration]:
        """Return its list in order of registration, with presence as it is when the date is as ``occasion`` says."""
        length = self.model.end - self.model.start
        made = make_registrants(self.model.generate, length) if self.model.generate else ()
        everybody = sorted([*self.model.registrants, *made], key=lambda one: one.registered)
        start = occasion.anchors["start"].timestamp()
        return [
            Registration(
                ref=str(number),
                email=one.email,
                registered_at=moment_of(self.began + one.registered),
                presence=tuple(_presence(one, start, length)),
            )
            for number, one in enumerate(everybody)
        ]


def true_dates(scenario: Scenario, began: float) -> Iterator[TrueDate]:
    """Yield all dates of a world.

    :param began: when the world began (unix seconds); its offsets count from there.
    """
    for webinar in scenario.webinars:
        for date in webinar.dates:
            yield TrueDate(tuple(_plans(webinar, date, began)), date, began)


def _plans(webinar: WebinarModel, date: DateModel, began: float) -> Iterator[Plan]:
    """Yield the date as announced, then as moved and cancelled, whichever comes first."""
    start, end = date.start, date.end
    changes: list[tuple[float, bool]] = []
    if date.moved is not None:
        changes.append((date.moved.at, False))
    if date.cancelled_at is not None:
        changes.append((date.cancelled_at, True))
    yield Plan(began, _occasion(webinar, date, began + start, began + end))
    for at, cancelled in sorted(changes):
        if not cancelled and date.moved is not None:
            start, end = date.moved.start, date.moved.end
        yield Plan(began + at, _occasion(webinar, date, began + start, began + end, cancelled))
        if cancelled:
            return


def _occasion(webinar: WebinarModel, date: DateModel, start: float, end: float, cancelled: bool = False) -> Occasion:
    anchors = {"start": moment_of(start), "end": moment_of(end)}
    return Occasion(SOURCE, ACCOUNT, date.id, webinar.title, anchors, webinar.id, cancelled=cancelled)


def _presence(one: RegistrantModel, start: float, length: float) -> Iterator[Presence]:
    stays = ((0.0, length * one.percent / 100),) if one.percent else one.presence
    for joined, left in stays:
        yield Presence(moment_of(start + joined), None if left is None else moment_of(start + left))
