"""The state of all stand-ins, made from a scenario."""

from __future__ import annotations

from sandbox.activecampaign.account import ActiveCampaignAccount, Field
from sandbox.activecampaign.bulk_import import BulkImport
from sandbox.addresses import normal_address
from sandbox.callexa.account import CallexaAccount
from sandbox.callexa.set_up import callexa_account
from sandbox.clock import Clock
from sandbox.effects import Effects
from sandbox.etermin.account import EterminAccount
from sandbox.etermin.set_up import etermin_account
from sandbox.insightly.account import InsightlyAccount
from sandbox.insightly.set_up import insightly_account
from sandbox.klicktipp.account import STATUS_FILTERS, KlickTippAccount, ListbuildingKey, OptIn
from sandbox.klicktipp.login import KlickTippLogin
from sandbox.mailbox import Mailbox
from sandbox.people import make_registrants
from sandbox.quentn.account import QuentnAccount
from sandbox.quentn.set_up import quentn_account
from sandbox.scenario import Scenario
from sandbox.scenario_etermin import PushModel
from sandbox.scenario_webinars import DateModel, RegistrantModel
from sandbox.webinaris.account import Plan, Stay, Webinar, WebinarDate, WebinarisAccount


class World:
    """What the vendors know. Building it again replaces all but KlickTipp's sessions and the Web Push that was set up.

    :param held: keep webinar dates, opportunities, projects and appointments out of sight until :meth:`build` is
        called again.
    """

    scenario: Scenario
    webinaris: WebinarisAccount
    klicktipp: KlickTippAccount
    activecampaign: ActiveCampaignAccount
    imports: BulkImport
    mailbox: Mailbox
    insightly: InsightlyAccount
    callexa: CallexaAccount
    etermin: EterminAccount
    quentn: QuentnAccount

    def __init__(self, scenario: Scenario, effects: Effects, *, held: bool = False) -> None:
        self._effects = effects
        self.clock = Clock()
        self.logins = KlickTippLogin()
        self._push: PushModel | None = None
        self._set_up(scenario, listed=not held)

    def build(self, scenario: Scenario | None = None) -> None:
        """Let the world begin anew, now, from another scenario or the same; its effects are forgotten."""
        self.clock.rebase()
        self.imports.stop()
        self._effects.clear()
        self._set_up(scenario or self.scenario, listed=True)

    def set_push(self, push: PushModel | None) -> None:
        """Set up eTermin's Web Push, now and for worlds to come; ``None`` for as the scenario says."""
        self._push = push
        self.etermin.outbox.set(push or self.scenario.etermin.push)

    def _set_up(self, scenario: Scenario, *, listed: bool) -> None:
        self.scenario = scenario
        self.webinaris = _webinaris(scenario, self._effects, self.clock, listed)
        self.klicktipp = _klicktipp(scenario, self._effects)
        self.activecampaign = _activecampaign(scenario, self._effects)
        self.imports = BulkImport(self.activecampaign, scenario.activecampaign.bulk_import_seconds)
        self.mailbox = Mailbox(self._effects)
        self.insightly = insightly_account(scenario.insightly, self._effects, self.clock, listed)
        self.callexa = callexa_account(scenario.callexa, self._effects, self.clock)
        self.etermin = etermin_account(scenario.etermin, self._effects, self.clock, listed, self._push)
        self.quentn = quentn_account(scenario.quentn, self._effects, self.clock)


def _webinaris(scenario: Scenario, effects: Effects, clock: Clock, listed: bool) -> WebinarisAccount:
    account = WebinarisAccount(effects, clock, listed)
    for model in scenario.webinars:
        password = model.password or scenario.webinaris.password
        webinar = Webinar(model.id, model.title, password, model.presence_lag)
        account.webinars[webinar.id] = webinar
        for date_model in model.dates:
            date = WebinarDate(date_model.id, webinar, _plans(date_model, clock))
            webinar.dates.append(date)
            account.dates[date.id] = date
            _fill(account, date, date_model, clock)
    return account


def _plans(model: DateModel, clock: Clock) -> list[Plan]:
    """Return the date's plans in order of time: as announced, moved, cancelled.

    What happened before the world begins is news when it begins.
    """
    plans = [Plan(clock.zero, clock.at(model.start), clock.at(model.end))]
    if (move := model.moved) is not None:
        plans.append(Plan(clock.at(max(move.at, 0.0)), clock.at(move.start), clock.at(move.end)))
    if model.cancelled_at is not None:
        moment = clock.at(max(model.cancelled_at, 0.0))
        plans = [plan for plan in plans if plan.since <= moment]
        plans.append(Plan(moment, plans[-1].start, plans[-1].end, cancelled=True))
    return plans


def _fill(account: WebinarisAccount, date: WebinarDate, model: DateModel, clock: Clock) -> None:
    """List the date's registrants in order of registration, so that ids follow it."""
    length = model.end - model.start
    everybody = [*model.registrants, *(make_registrants(model.generate, length) if model.generate else ())]
    for one in sorted(everybody, key=lambda one: one.registered):
        account.put_participant(
            date, one.email, clock.at(one.registered), first_name=one.firstname, last_name=one.lastname,
            phone=one.phone, language=one.language, timezone=one.timezone, stays=_stays(one, length),
        )  # fmt: skip


def _stays(one: RegistrantModel, length: float) -> tuple[Stay, ...]:
    if one.percent:
        return (Stay(0.0, length * one.percent / 100),)
    return tuple(Stay(join, leave) for join, leave in one.presence)


def _klicktipp(scenario: Scenario, effects: Effects) -> KlickTippAccount:
    model, account = scenario.klicktipp, KlickTippAccount(effects)
    account.blocked_domains = frozenset(domain.lower() for domain in model.blocked_domains)
    account.opt_ins = {one.id: OptIn(one.id, one.name, one.single) for one in model.lists}
    for name in model.tags:
        account.put_tag(name)
    for field in model.fields:
        account.fields[f"field{field.id}"] = field.label
        account.field_types[f"field{field.id}"] = field.type
    for key in model.apikeys:
        if key.tag in account.tag_names and key.opt_in in account.opt_ins:
            account.keys[key.key] = ListbuildingKey(key.key, account.tag_names[key.tag].id, key.opt_in)
    for person in model.contacts:
        status = STATUS_FILTERS[person.status]
        contact = account.put_contact(normal_address(person.email), person.phone, account.default_opt_in, status)
        contact.fields.update(person.fields)
        for name in person.tags:
            tag = account.tag_names[name]
            contact.tags[tag.id] = tag.contacts[contact.id] = int(contact.opted_in)
    return account


def _activecampaign(scenario: Scenario, effects: Effects) -> ActiveCampaignAccount:
    model, account = scenario.activecampaign, ActiveCampaignAccount(effects)
    account.lists = dict(enumerate(model.lists, start=1))
    account.fields = {
        number: Field(number, title, title.upper().replace(" ", "_")) for number, title in enumerate(model.fields, 1)
    }
    list_ids = {name: number for number, name in account.lists.items()}
    field_ids = {field.title: field.id for field in account.fields.values()}
    for name in model.tags:
        account.put_tag(name)
    for person in model.contacts:
        contact = account.put_contact(normal_address(person.email))
        contact.first_name, contact.last_name, contact.phone = person.firstname, person.lastname, person.phone
        for name in person.tags:
            account.put_link(contact, account.tag_names[name])
        for name, status in person.lists.items():
            account.put_membership(contact, list_ids[name], status)
        for title, value in person.fields.items():
            account.put_value(contact, field_ids[title], value)
    return account
