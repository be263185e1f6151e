"""Makes an Insightly account from a scenario, and many opportunities from nothing."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

from sandbox.clock import Clock
from sandbox.effects import Effects
from sandbox.insightly.account import InsightlyAccount
from sandbox.insightly.kinds import CONTACT, OPPORTUNITY, PROJECT, Kind
from sandbox.insightly.record import Record
from sandbox.people import FIRST_NAMES, LAST_NAMES, ascii_text
from sandbox.scenario_insightly import InsightlyContactModel, InsightlyModel, OpportunityModel, ProjectModel

YEAR = 365 * 86400
MOST_CONTACTS = 1000
GENERATED_STATES = ("OPEN", "OPEN", "WON", "WON", "LOST", "ABANDONED", "SUSPENDED")

Numbered = TypeVar("Numbered", InsightlyContactModel, OpportunityModel, ProjectModel)


def insightly_account(model: InsightlyModel, effects: Effects, clock: Clock, listed: bool) -> InsightlyAccount:
    """Return the account of a scenario.

    :param listed: whether opportunities and projects are there yet; ``False`` until the world has been started.
    """
    account = InsightlyAccount(effects, clock, model.key)
    for person in _by_id(model.contacts):
        put_contact(account, person, clock.zero)
    if not listed:
        return account
    for opportunity in _by_id(model.opportunities):
        put_opportunity(account, opportunity, clock.zero)
    for project in _by_id(model.projects):
        put_project(account, project, clock.zero)
    generate(account, model.generate, int(clock.zero))
    account.catch_up()
    account.news.clear()
    return account


def put_contact(account: InsightlyAccount, model: InsightlyContactModel, zero: float) -> Record:
    """Add a contact.

    :param zero: the moment (unix seconds) from which offsets count; likewise below.

    :raises ValueError: when its id is not greater than all so far, as for opportunities and projects.
    """
    texts = {"FIRST_NAME": model.firstname, "LAST_NAME": model.lastname, "EMAIL_ADDRESS": model.email,
             "PHONE": model.phone}  # fmt: skip
    known = {name: text for name, text in texts.items() if text}
    record = account.put(CONTACT, known, number=model.id, created=int(zero + model.created))
    record.tags = model.tags
    return record


def put_opportunity(account: InsightlyAccount, model: OpportunityModel, zero: float) -> Record:
    """Add an opportunity and plan its states."""
    about = {"OPPORTUNITY_NAME": model.name, "BID_AMOUNT": model.value, "BID_CURRENCY": "EUR", "BID_TYPE": "Fixed Bid"}
    return _put_deal(account, OPPORTUNITY, model, zero, about)


def put_project(account: InsightlyAccount, model: ProjectModel, zero: float) -> Record:
    """Add a project and plan its states."""
    about = {"PROJECT_NAME": model.name, "OPPORTUNITY_ID": model.opportunity}
    return _put_deal(account, PROJECT, model, zero, about)


def generate(account: InsightlyAccount, count: int, now: int, seed: int = 1) -> list[int]:
    """Add opportunities of the past year, each linked with one of at most 1,000 new contacts; return their ids."""
    chance = random.Random(seed)
    contacts = [_person(account, index, now) for index in range(min(count, max(count // 10, 1), MOST_CONTACTS))]
    seconds = sorted(chance.randrange(now - YEAR, now - 3600) for _ in range(count))
    made = []
    for index, changed in enumerate(seconds):
        state = chance.choice(GENERATED_STATES)
        record = account.put(OPPORTUNITY, {"OPPORTUNITY_NAME": f"Chance {index + 1}"}, created=changed, state=state)
        account.link(record, CONTACT.name, chance.choice(contacts))
        made.append(record.id)
    return made


def _put_deal(account: InsightlyAccount, kind: Kind, model: OpportunityModel | ProjectModel, zero: float,
              about: Mapping[str, object]) -> Record:  # fmt: skip
    record = account.put(kind, about, number=model.id, created=int(zero + model.created), state=model.state)
    record.tags = model.tags
    for number in model.contacts:
        account.link(record, CONTACT.name, number)
    for step in model.states:
        account.plan(record, zero + step.at, step.state)
    return record


def _person(account: InsightlyAccount, index: int, now: int) -> int:
    first, last = FIRST_NAMES[index % len(FIRST_NAMES)], LAST_NAMES[index % len(LAST_NAMES)]
    email = ascii_text(f"{first}.{last}.{index + 1}@crm.example.org")
    texts = {"FIRST_NAME": first, "LAST_NAME": last, "EMAIL_ADDRESS": email}
    return account.put(CONTACT, texts, created=now - YEAR).id


def _by_id(models: Sequence[Numbered]) -> list[Numbered]:
    """Return models in the order of their ids, those without one last, in their own order."""
    return sorted(models, key=lambda one: (one.id is None, one.id or 0))
