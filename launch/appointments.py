"""The appointments of the sandbox's eTermin account: booked, moved, cancelled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from handoff.occasion import Occasion
from handoff.planning.appointments import TITLE
from handoff.registration import Registration
from launch.occasions import ListedOccasion, Plan, moment_of
from sandbox.etermin.times import zone_named
from sandbox.scenario import Scenario
from sandbox.scenario_etermin import AppointmentModel, EterminModel, moment_at

SOURCE, ACCOUNT = "etermin", "etermin_default"
POLL_SECONDS = 60.0
"""How often the account is polled here (at least a minute apart): so much later than it happens something may be heard
of an appointment when its push is lost."""


class _Change(NamedTuple):
    """Since when (unix, whole seconds) an appointment begins at ``start``; ``None``: it is cancelled."""

    at: int
    start: int | None


def true_appointments(scenario: Scenario, began: float) -> Iterator[ListedOccasion]:
    """Yield each appointment, each change and each cancellation, in a world whose appointments all have external ids.

    What happened before the world began is history: nobody hears of the change, and of what was cancelled nothing.

    :param began: when the world began (unix seconds); its offsets count from there.
    """
    for model in scenario.etermin.appointments:
        yield from _occasions(scenario.etermin, model, began)


def _occasions(account: EterminModel, model: AppointmentModel, began: float) -> Iterator[ListedOccasion]:
    changes = _changes(model, began)
    if changes[0].start is None:
        return
    listed = (_customer(model, began),)
    booked = _occasion(account, model, began, changes[0].start)
    plans = [Plan(changes[0].at, booked)]
    happened = list[Plan]()
    for number, change in enumerate(changes[1:], 1):
        before = plans[-1].occasion
        if change.start is None:
            plans.append(Plan(change.at, replace(before, cancelled=True)))
            happened.append(_happening("deleted", change.at, before, number))
        else:
            moved = _occasion(account, model, began, change.start)
            plans.append(Plan(change.at, moved))
            happened.append(_happening("modified", change.at, moved, number))
    yield ListedOccasion(tuple(plans), listed)
    # The push of a booking is recorded itself; what was booked before may be read first as it is afterwards.
    told = model.booked > 0
    for plan in happened:
        yield ListedOccasion(tuple(_standing(plan, plans[-1])), listed, sure=told)


def _changes(model: AppointmentModel, began: float) -> list[_Change]:
    """Return how the appointment is first heard of, and what becomes of it then."""
    every = [_Change(int(began + model.booked), moment_at(model.start, began))]
    every += [_Change(int(began + move.at), moment_at(move.start, began)) for move in model.moves]
    every += [] if model.cancelled is None else [_Change(int(began + model.cancelled), None)]
    history = [change for change in every if change.at <= began]
    first = [history[-1]._replace(at=int(began))] if history else []
    return first + every[len(history) :]


def _occasion(account: EterminModel, model: AppointmentModel, began: float, start: int) -> Occasion:
    calendar = next(one for one in account.calendars if one.name == model.calendar)
    anchors = {"booked": int(began + model.booked), "start": start, "end": start + round(model.minutes * 60)}
    return Occasion(
        source=SOURCE,
        account=ACCOUNT,
        key=model.uid,
        title=model.service or model.calendar or TITLE,
        anchors={name: moment_of(second) for name, second in anchors.items()},
        series=str(calendar.id or ""),
        timezone=zone_named(account.timezone).key,
        facts={
            "event": "created", "appointment": model.uid, "calendar": str(calendar.id or ""),
            "calendar_name": model.calendar, "service": model.service, "newsletter": model.newsletter,
        },
    )  # fmt: skip


def _happening(event: str, at: int, occasion: Occasion, number: int) -> Plan:
    """Return a change or deletion, which is an occasion of its own."""
    anchors = {event: moment_of(at), **{name: occasion.anchors[name] for name in ("start", "end")}}
    facts = occasion.facts | {"event": event}
    return Plan(at, replace(occasion, key=f"{occasion.key}/{event}/{number}", anchors=anchors, facts=facts))


def _standing(happened: Plan, last: Plan) -> Iterator[Plan]:
    """Yield what happened, and that nothing comes of a change any more once the appointment is gone."""
    yield happened
    if last.occasion.cancelled and "deleted" not in happened.occasion.anchors:
        yield Plan(last.since, replace(happened.occasion, cancelled=True))


def _customer(model: AppointmentModel, began: float) -> Registration:
    return Registration(
        model.uid, model.email, moment_of(int(began + model.booked)), model.firstname, model.lastname, model.phone,
        model.language, details={"notes": model.notes},
    )  # fmt: skip
