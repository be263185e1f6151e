"""The sandbox's world: a copy of the scenario that no earlier run knew, and what is true in it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from launch.appointments import true_appointments
from launch.calendar_days import on_the_clock
from launch.occasions import TrueOccasion
from launch.records import true_closings
from launch.renewal import renewed
from launch.settings import LaunchError
from launch.webinars import true_dates
from sandbox.scenario import Scenario, ScenarioError, load_scenario


def write_fresh_copy(
    scenario: Path, copy: Path, webhook: Mapping[str, str] | None = None, push: Mapping[str, str] | None = None
) -> Scenario:
    """Write the scenario with names that no earlier run had (see :mod:`launch.renewal`), and return it.

    :param webhook: where and as whom the CRM posts its news, unless the scenario says where.
    :param push: likewise of eTermin's Web Push.
    :raises LaunchError: when the scenario cannot be used.
    """
    try:
        world = load_scenario(scenario)
    except ScenarioError as error:
        raise LaunchError(str(error)) from error
    now = time.time()
    world = on_the_clock(renewed(world, now), now)
    if webhook and not world.insightly.webhook_url:
        crm = world.insightly.model_copy(update=dict(webhook))
        world = world.model_copy(update={"insightly": crm})
    if push and not world.etermin.push.url:
        told = world.etermin.push.model_copy(update=dict(push))
        world = world.model_copy(update={"etermin": world.etermin.model_copy(update={"push": told})})
    copy.touch(mode=0o600)
    copy.write_text(world.model_dump_json(exclude_unset=True, indent=1), encoding="utf-8")
    return world


def true_occasions(scenario: Scenario, began: float) -> Iterator[TrueOccasion]:
    """Yield what happens in a world. :param began: when it began (unix seconds)."""
    yield from true_dates(scenario, began)
    yield from true_closings(scenario, began)
    yield from true_appointments(scenario, began)
