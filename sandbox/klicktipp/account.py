"""The state of one KlickTipp account: contacts, tags, opt-in processes and fields."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from sandbox.effects import Effects
from sandbox.klicktipp.fields import STANDARD_FIELDS

PENDING, SUBSCRIBED, UNSUBSCRIBED = "Opt-In Pending", "Subscribed", "Unsubscribed"
STATUS_FILTERS = {"pending": PENDING, "subscribed": SUBSCRIBED, "unsubscribed": UNSUBSCRIBED}


@dataclass(slots=True)
class Contact:
    """One contact; times are unix seconds, 0 when it has not happened."""

    id: int
    email: str
    phone: str
    opt_in_id: int
    status: str
    opted_in: float
    confirmed: float = 0.0
    unsubscribed: float = 0.0
    fields: dict[str, str] = field(default_factory=dict)
    tags: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Tag:
    """One manual tag and when whom it was given to, by contact id."""

    id: int
    name: str
    text: str = ""
    contacts: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OptIn:
    """One opt-in process (Opt-in-Prozess); with single opt-in no confirmation mail is sent."""

    id: int
    name: str
    single: bool = False


@dataclass(frozen=True, slots=True)
class ListbuildingKey:
    """An API key of the third way in: exactly one tag and one opt-in process."""

    key: str
    tag_id: int
    opt_in_id: int


class KlickTippAccount:
    """Contacts by id, by address and by phone; every change is written to the effects."""

    def __init__(self, effects: Effects) -> None:
        self._effects = effects
        self.contacts: dict[int, Contact] = {}
        self.by_email: dict[str, Contact] = {}
        self.by_phone: dict[str, Contact] = {}
        self.tags: dict[int, Tag] = {}
        self.tag_names: dict[str, Tag] = {}
        self.opt_ins: dict[int, OptIn] = {}
        self.fields: dict[str, str] = {name: label for name, (label, _) in STANDARD_FIELDS.items()}
        self.field_types: dict[str, str] = {name: kind for name, (_, kind) in STANDARD_FIELDS.items()}
        self.keys: dict[str, ListbuildingKey] = {}
        self.blocked_domains: frozenset[str] = frozenset()
        self._last_contact = 1000
        self._last_tag = 20

    @property
    def default_opt_in(self) -> OptIn:
        """The process used when a call names none: the first of the account."""
        return next(iter(self.opt_ins.values()))

    def put_contact(self, email: str, phone: str, opt_in: OptIn, status: str = "") -> Contact:
        """Create a contact without an effect; the status follows from the opt-in process unless given."""
        self._last_contact += 1
        now = time.time()
        contact = Contact(self._last_contact, email, phone, opt_in.id, PENDING, now)
        self.contacts[contact.id] = contact
        self._index(contact)
        self.enter(contact, opt_in)
        if status:
            contact.status = status
            contact.confirmed = 0.0 if status == PENDING else now
            contact.unsubscribed = now if status == UNSUBSCRIBED else 0.0
        return contact

    def enter(self, contact: Contact, opt_in: OptIn) -> bool:
        """Let the contact go through an opt-in process; return whether a confirmation mail goes out."""
        contact.opt_in_id = opt_in.id
        contact.opted_in = time.time()
        contact.unsubscribed = 0.0
        contact.status = SUBSCRIBED if opt_in.single else PENDING
        contact.confirmed = contact.opted_in if opt_in.single else 0.0
        return not opt_in.single

    def upsert(self, email: str, phone: str, opt_in: OptIn, named: bool, fields: dict[str, str]) -> Contact:
        """Create the contact or update it, and record effect ``contact``.

        :param named: whether the call named the process; without a name a subscribed contact stays as it is.
        """
        known = self.by_email.get(email) if email else self.by_phone.get(phone)
        before = known.status if known else ""
        contact = known or self.put_contact(email, phone, opt_in)
        if known is not None and (before == UNSUBSCRIBED or (before == PENDING and named and opt_in.single)):
            self.enter(contact, opt_in)
        if phone and contact.phone != phone:
            self.readdress(contact, contact.email, phone)
        contact.fields.update(fields)
        self.record("contact", contact, id=contact.id, created=known is None, status=contact.status,
                    listid=contact.opt_in_id, fields=dict(fields),
                    opt_in_mail=contact.status == PENDING and before != PENDING,
                    resubscribed=before == UNSUBSCRIBED)  # fmt: skip
        return contact

    def readdress(self, contact: Contact, email: str, phone: str) -> None:
        """Give the contact another address or number."""
        self.by_email.pop(contact.email, None)
        self.by_phone.pop(contact.phone, None)
        contact.email, contact.phone = email, phone
        self._index(contact)

    def tag(self, contact: Contact, tag: Tag, **detail: object) -> None:
        """Tag the contact; the second time counts as an effect again but keeps the first time."""
        repeated = tag.id in contact.tags
        moment = contact.tags.setdefault(tag.id, int(time.time()))
        tag.contacts[contact.id] = moment
        self.record("tag", contact, tag_id=tag.id, tag=tag.name, repeated=repeated, **detail)

    def untag(self, contact: Contact, tag: Tag) -> None:
        """Remove the tag from the contact."""
        had = contact.tags.pop(tag.id, None) is not None
        tag.contacts.pop(contact.id, None)
        self.record("untag", contact, tag_id=tag.id, tag=tag.name, had=had)

    def unsubscribe(self, contact: Contact) -> None:
        """Unsubscribe the contact from everything."""
        contact.status = UNSUBSCRIBED
        contact.unsubscribed = time.time()
        self.record("unsubscribe", contact)

    def delete(self, contact: Contact) -> None:
        """Delete the contact."""
        for tag_id in contact.tags:
            self.tags[tag_id].contacts.pop(contact.id, None)
        del self.contacts[contact.id]
        self.by_email.pop(contact.email, None)
        self.by_phone.pop(contact.phone, None)
        self.record("delete_contact", contact, id=contact.id)

    def put_tag(self, name: str, text: str = "") -> Tag:
        """Create a tag without an effect."""
        self._last_tag += 1
        tag = Tag(self._last_tag, name, text)
        self.tags[tag.id] = self.tag_names[name] = tag
        return tag

    def rename_tag(self, tag: Tag, name: str) -> None:
        """Give a tag another name."""
        del self.tag_names[tag.name]
        tag.name = name
        self.tag_names[name] = tag

    def delete_tag(self, tag: Tag) -> None:
        """Delete a tag, also from all contacts."""
        for contact_id in tag.contacts:
            self.contacts[contact_id].tags.pop(tag.id, None)
        del self.tags[tag.id], self.tag_names[tag.name]

    def record(self, action: str, contact: Contact | None, **detail: object) -> None:
        """Write an effect of this account."""
        self._effects.record("klicktipp", action, (contact.email or contact.phone) if contact else "", **detail)

    def _index(self, contact: Contact) -> None:
        if contact.email:
            self.by_email[contact.email] = contact
        if contact.phone:
            self.by_phone[contact.phone] = contact
