"""Starts of appointments a day or more ahead, counted on the account's clock.

A rule's day is a day of the calendar, and two of them a year do not have 24 hours: without this, what is to be due
seconds after the world's beginning would be due an hour off on the day before.
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

from launch.occasions import moment_of
from sandbox.etermin.times import zone_named
from sandbox.scenario import Scenario
from sandbox.scenario_etermin import AppointmentModel

DAY_SECONDS = 86400.0


def on_the_clock(scenario: Scenario, seconds: float) -> Scenario:
    """Return the same world, in which an appointment starts at the same time of day whatever the clocks do until then.

    :param seconds: when the world begins, within a minute or so (unix).
    """
    account = scenario.etermin
    if not account.appointments:
        return scenario
    zone, appointments = zone_named(account.timezone), list[AppointmentModel]()
    for one in account.appointments:
        moves = tuple(move.model_copy(update={"start": _counted(move.start, seconds, zone)}) for move in one.moves)
        start = _counted(one.start, seconds, zone)
        appointments.append(one.model_copy(update={"start": start, "moves": moves}))
    changed = account.model_copy(update={"appointments": tuple(appointments)})
    return scenario.model_copy(update={"etermin": changed})


def _counted(start: float | datetime, seconds: float, zone: tzinfo) -> float | datetime:
    if isinstance(start, datetime) or abs(start) < DAY_SECONDS:
        return start
    now, then = (moment_of(moment).astimezone(zone).utcoffset() or timedelta() for moment in (seconds, seconds + start))
    return start + (now - then).total_seconds()
