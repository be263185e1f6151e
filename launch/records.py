"""The closings of opportunities and projects in the sandbox's CRM."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from typing import NamedTuple

from handoff.occasion import Occasion
from handoff.planning.closings import CLOSED, TITLES
from handoff.planning.planner import FIRST_SEEN_GRACE
from handoff.registration import Registration
from handoff.spellings import folded
from launch.occasions import ListedOccasion, Plan, moment_of
from sandbox.scenario import Scenario
from sandbox.scenario_insightly import InsightlyContactModel, OpportunityModel, ProjectModel

SOURCE, ACCOUNT = "insightly", "insightly_default"
POLL_SECONDS = 60.0
"""How often the account is polled here (at least a minute apart): so much later than it happens a closing may be
heard when no webhook tells of it."""

Deal = OpportunityModel | ProjectModel


class _Change(NamedTuple):
    """When (unix, whole seconds, as the vendor keeps it) a record came into a state (small letters)."""

    at: int
    state: str


def true_closings(scenario: Scenario, began: float) -> Iterator[ListedOccasion]:
    """Yield each time that a record was closed, with its contacts, in a world whose records all have ids.

    What was closed longer ago than an hour before the world began is history that nobody hears of.

    :param began: when the world began (unix seconds); its offsets count from there.
    """
    contacts = {contact.id: contact for contact in scenario.insightly.contacts}
    for kind, deals in (("opportunity", scenario.insightly.opportunities), ("project", scenario.insightly.projects)):
        for deal in deals:
            for plans in _closings(kind, deal, began):
                listed = [_entry(contacts[number], plans[0].occasion) for number in deal.contacts]
                yield ListedOccasion(plans, tuple(listed))


def _closings(kind: str, deal: Deal, began: float) -> Iterator[tuple[Plan, ...]]:
    changes, number = _changes(deal, began), 0
    for change, next_one in zip_longest(changes, changes[1:]):
        forgotten = change.at < began - FIRST_SEEN_GRACE.total_seconds() or (next_one and next_one.at <= began)
        if change.state not in CLOSED[kind] or forgotten:
            continue
        number += 1
        closed = _occasion(kind, deal, change, number)
        plans = [Plan(max(began, change.at), closed)]
        plans += [Plan(next_one.at, replace(closed, cancelled=True))] if next_one else []
        yield tuple(plans)


def _changes(deal: Deal, began: float) -> list[_Change]:
    """Return what a record came into, without what it was in already."""
    first = [_Change(int(began + deal.created), deal.state.lower())]
    later = [_Change(int(began + step.at), step.state.lower()) for step in deal.states]
    changes = first + sorted(later, key=lambda change: change.at)
    return [
        one for before, one in zip_longest([None, *changes[:-1]], changes) if not before or before.state != one.state
    ]


def _occasion(kind: str, deal: Deal, change: _Change, number: int) -> Occasion:
    name = f"{kind}/{deal.id}"
    return Occasion(
        source=SOURCE,
        account=ACCOUNT,
        key=f"{name}/{number}",
        series=name,
        title=f"{TITLES[kind]} {deal.id}",
        anchors={"closed": moment_of(change.at)},
        facts={"record": name, "state": change.state, "tags": sorted(map(folded, deal.tags))},
    )


def _entry(contact: InsightlyContactModel, occasion: Occasion) -> Registration:
    return Registration(str(contact.id), contact.email, occasion.anchors["closed"], contact.firstname, contact.lastname)
