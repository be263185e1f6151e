"""The sandbox's world: a copy of the scenario with new date ids, and what is true in it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from handoff.occasion import Occasion
from handoff.registration import Presence, Registration
from launch.settings import LaunchError
from sandbox.people import make_registrants
from sandbox.scenario import Scenario, ScenarioError, load_scenario
from sandbox.scenario_webinars import DateModel, RegistrantModel, WebinarModel

SOURCE, ACCOUNT = "webinaris", "webinaris_default"


@dataclass(frozen=True, slots=True)
class Plan:
    """From when on (unix seconds) a date is as its occasion says."""

    since: float
    occasion: Occasion


@dataclass(frozen=True, slots=True)
class TrueDate:
    """One webinar date as it really is.

    :param plans: in order of time. :param began: when its world began (unix seconds).
    :param presence_lag: seconds until the source can tell of a join or leave.
    """

    plans: tuple[Plan, ...]
    model: DateModel
    began: float
    presence_lag: float

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
                registered_at=_moment(self.began + one.registered),
                presence=tuple(_presence(one, start, length)),
            )
            for number, one in enumerate(everybody)
        ]


def write_fresh_copy(scenario: Path, copy: Path) -> Scenario:
    """Write the scenario with date ids that no earlier run had, and return it.

    The ledger remembers the dates of earlier runs, and hands nobody over for them again.

    :raises LaunchError: when the scenario cannot be used.
    """
    try:
        world = load_scenario(scenario)
    except ScenarioError as error:
        raise LaunchError(str(error)) from error
    stamp = f"{time.time_ns() // 1_000_000:x}"
    webinars = tuple(_renamed(webinar, stamp) for webinar in world.webinars)
    world = world.model_copy(update={"webinars": webinars})
    copy.write_text(world.model_dump_json(exclude_unset=True, indent=1), encoding="utf-8")
    return world


def true_dates(scenario: Scenario, began: float) -> Iterator[TrueDate]:
    """Yield all dates of a world.

    :param began: when the world began (unix seconds); its offsets count from there.
    """
    for webinar in scenario.webinars:
        for date in webinar.dates:
            yield TrueDate(tuple(_plans(webinar, date, began)), date, began, webinar.presence_lag)


def _renamed(webinar: WebinarModel, stamp: str) -> WebinarModel:
    dates = tuple(date.model_copy(update={"id": f"{date.id}-{stamp}"}) for date in webinar.dates)
    return webinar.model_copy(update={"dates": dates})


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
    anchors = {"start": _moment(start), "end": _moment(end)}
    return Occasion(SOURCE, ACCOUNT, date.id, webinar.title, anchors, webinar.id, cancelled=cancelled)


def _presence(one: RegistrantModel, start: float, length: float) -> Iterator[Presence]:
    stays = ((0.0, length * one.percent / 100),) if one.percent else one.presence
    for joined, left in stays:
        yield Presence(_moment(start + joined), None if left is None else _moment(start + left))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
