"""The state of one Quentn account, and everything that can be done to it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

from sandbox.addresses import normal_address
from sandbox.clock import Clock
from sandbox.effects import Effects
from sandbox.quentn.contact import Campaign, Contact, CustomField, Term
from sandbox.quentn.flood import Flood
from sandbox.quentn.mail_status import LASTING, UNKNOWN
from sandbox.quentn.rate import RateWindow
from sandbox.scenario_quentn import FieldType


class QuentnAccount:
    """Contacts, terms, fields and campaigns by id; every change through the API is written to the effects."""

    def __init__(self, effects: Effects, clock: Clock, apikey: str, rate: RateWindow) -> None:
        self._effects = effects
        self._clock = clock
        self._ahead = 0.0
        self._contact_ids, self._term_ids, self._field_ids = count(7), count(12), count(31)
        self.comment_ids = count(201)
        self.apikey = apikey
        self.rate = rate
        self.flood = Flood()
        self.contacts: dict[int, Contact] = {}
        self.terms: dict[int, Term] = {}
        self.fields: dict[str, CustomField] = {}
        """By their names in the API."""
        self.campaigns: dict[int, Campaign] = {}
        self.memory: dict[str, int] = {}
        """The last status of deleted contacts, by a hash of their address."""

    def now(self) -> float:
        """Return the present moment of this account."""
        return self._clock.now() + self._ahead

    def advance(self, seconds: float) -> None:
        """Let time pass for this account alone."""
        self._ahead += seconds

    def with_mail(self, mail: str) -> list[Contact]:
        """Return the contacts with an address, oldest first."""
        address = normal_address(mail)
        return [one for one in self.contacts.values() if one.mail == address]

    def term_named(self, name: str) -> Term | None:
        """Return a term by its name in any case."""
        return next((one for one in self.terms.values() if one.name.lower() == name.strip().lower()), None)

    def put_term(self, name: str, description: str = "") -> Term:
        """Add a term without an effect."""
        term = Term(next(self._term_ids), name.strip(), description)
        self.terms[term.id] = term
        return term

    def put_field(self, name: str, label: str, kind: FieldType, max_length: int = 255) -> CustomField:
        """Add a custom field without an effect; ``name`` gets its prefix here."""
        one = CustomField(next(self._field_ids), f"field_{name}", label or name, kind, max_length)
        self.fields[one.name] = one
        return one

    def put_contact(self, fields: Mapping[str, Any], status: int = UNKNOWN) -> Contact:
        """Add a contact without an effect; a status that lasts, or is remembered, comes back whatever is given."""
        one = Contact(next(self._contact_ids), dict(fields), status)
        if one.mail:
            lasting = [other.status for other in self.with_mail(one.mail) if other.status in LASTING]
            one.status = lasting[0] if lasting else self.memory.pop(_hash(one.mail), status)
        self.contacts[one.id] = one
        return one

    def write(self, one: Contact, fields: Mapping[str, Any], terms: Iterable[int], *, created: bool) -> None:
        """Write fields and add terms: effects ``contact``, ``field`` for each custom field, ``tag`` for each term."""
        one.fields |= fields
        own = {name: value for name, value in fields.items() if name not in self.fields}
        self.record("contact", one, created=created, fields=own, mail_status=one.status)
        for name, value in fields.items():
            if name in self.fields:
                self.record("field", one, field=name, label=self.fields[name].label, value=value)
        for number in terms:
            self.tag(one, number)

    def tag(self, one: Contact, number: int) -> None:
        """Add a term; the second time counts as an effect again."""
        repeated = number in one.terms
        if not repeated:
            one.terms.append(number)
        self.record("tag", one, tag_id=number, tag=self.terms[number].name, repeated=repeated)

    def untag(self, one: Contact, number: int) -> None:
        """Remove a term; one that was not there counts as an effect as well."""
        repeated = number not in one.terms
        if not repeated:
            one.terms.remove(number)
        self.record("untag", one, tag_id=number, tag=self.terms[number].name, repeated=repeated)

    def start(self, one: Contact, campaign: Campaign) -> None:
        """Start a campaign; for who ran through it already nothing starts before a reset (``repeated: true``)."""
        repeated = campaign.id in one.campaigns
        one.campaigns.add(campaign.id)
        self.record("campaign", one, campaign_id=campaign.id, campaign=campaign.name, repeated=repeated)

    def delete(self, one: Contact) -> None:
        """Delete a contact; an anonymous hash keeps its status unless that is unknown."""
        del self.contacts[one.id]
        self.remember(one.mail, one.status)
        self.record("delete_contact", one)

    def remember(self, mail: str, status: int) -> None:
        """Keep the status of a deleted contact."""
        if mail and status != UNKNOWN:
            self.memory[_hash(normal_address(mail))] = status

    def record(self, action: str, one: Contact, **detail: Any) -> None:
        """Write an effect about a contact."""
        self._effects.record("quentn", action, one.mail, id=one.id, **detail)

    def record_alone(self, action: str, **detail: Any) -> None:
        """Write an effect about nobody."""
        self._effects.record("quentn", action, **detail)


def _hash(mail: str) -> str:
    return hashlib.sha256(mail.encode()).hexdigest()
