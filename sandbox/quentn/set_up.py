"""Makes a Quentn account from a scenario."""

from __future__ import annotations

from sandbox.addresses import normal_address
from sandbox.clock import Clock
from sandbox.effects import Effects
from sandbox.quentn.account import QuentnAccount
from sandbox.quentn.contact import Campaign
from sandbox.quentn.mail_status import STATUSES
from sandbox.quentn.rate import RateWindow
from sandbox.scenario_quentn import QuentnContactModel, QuentnModel


def quentn_account(model: QuentnModel, effects: Effects, clock: Clock) -> QuentnAccount:
    """Return the account of a scenario."""
    rate = RateWindow(model.rate_limit, model.rate_seconds, as_moment=model.rate_reset == "moment")
    account = QuentnAccount(effects, clock, model.apikey, rate)
    for name in model.terms:
        account.put_term(name)
    for field in model.fields:
        account.put_field(field.name, field.label, field.type, field.max_length)
    account.campaigns = {one.id: Campaign(one.id, one.name) for one in model.campaigns}
    for person in model.contacts:
        if person.deleted:
            account.remember(person.mail, STATUSES[person.status])
        else:
            _put(account, person)
    return account


def _put(account: QuentnAccount, person: QuentnContactModel) -> None:
    texts = {"mail": normal_address(person.mail), "first_name": person.first_name, "family_name": person.family_name}
    one = account.put_contact({**texts, **person.fields}, STATUSES[person.status])
    known = (account.term_named(name) for name in person.terms)
    one.terms = [term.id for term in known if term]
