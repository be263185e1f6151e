"""The state of one ActiveCampaign account: contacts, tags, lists, fields, notes."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from sandbox.effects import Effects

UNCONFIRMED, ACTIVE, UNSUBSCRIBED, BOUNCED = 0, 1, 2, 3
ANY_STATUS = -1


@dataclass(slots=True)
class Membership:
    """A contact's place on a list: its id and status (0 to 3)."""

    id: int
    list_id: int
    status: int
    changed: float


@dataclass(slots=True)
class FieldValue:
    """A contact's value of one custom field."""

    id: int
    contact_id: int
    field_id: int
    value: str
    created: float
    changed: float


@dataclass(slots=True)
class TagLink:
    """A tag on a contact; removing the tag needs this association's id."""

    id: int
    contact_id: int
    tag_id: int
    created: float


@dataclass(slots=True)
class Contact:
    """One contact; times are unix seconds."""

    id: int
    email: str
    created: float
    changed: float
    first_name: str = ""
    last_name: str = ""
    phone: str = ""
    tags: dict[int, TagLink] = field(default_factory=dict)
    lists: dict[int, Membership] = field(default_factory=dict)
    values: dict[int, FieldValue] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """Return the opaque hash that ActiveCampaign shows; it only has to look like one."""
        return hashlib.md5(str(self.id).encode(), usedforsecurity=False).hexdigest()


@dataclass(slots=True)
class Tag:
    """One tag and the associations it has, by contact id."""

    id: int
    name: str
    kind: str = "contact"
    description: str = ""
    created: float = field(default_factory=time.time)
    links: dict[int, TagLink] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Field:
    """One custom field; ``kind`` is ActiveCampaign's ``type``, e.g. ``text``."""

    id: int
    title: str
    perstag: str
    kind: str = "text"


class ActiveCampaignAccount:
    """Contacts by id and by address; every change is written to the effects."""

    def __init__(self, effects: Effects) -> None:
        self._effects = effects
        self._ids = count(1)
        self._contact_ids = count(10)
        self.contacts: dict[int, Contact] = {}
        self.by_email: dict[str, Contact] = {}
        self.tags: dict[int, Tag] = {}
        self.tag_names: dict[str, Tag] = {}
        self.links: dict[int, TagLink] = {}
        self.lists: dict[int, str] = {}
        self.fields: dict[int, Field] = {}
        self.values: dict[int, FieldValue] = {}
        self.notes: dict[int, dict[str, Any]] = {}

    def put_contact(self, email: str) -> Contact:
        """Create a contact without an effect."""
        now = time.time()
        contact = Contact(next(self._contact_ids), email, now, now)
        self.contacts[contact.id] = contact
        if email:
            self.by_email[email] = contact
        return contact

    def put_tag(self, name: str, kind: str = "contact", description: str = "") -> Tag:
        """Create a tag without an effect."""
        tag = Tag(len(self.tags) + 1, name, kind, description)
        self.tags[tag.id] = self.tag_names[name] = tag
        return tag

    def put_membership(self, contact: Contact, list_id: int, status: int) -> Membership:
        """Set the contact's status on a list without an effect."""
        membership = contact.lists.get(list_id)
        if membership is None:
            membership = contact.lists[list_id] = Membership(next(self._ids), list_id, status, time.time())
        membership.status, membership.changed = status, time.time()
        return membership

    def write(self, contact: Contact, names: dict[str, str], values: dict[int, str], *, created: bool,
              **detail: object) -> list[FieldValue]:  # fmt: skip
        """Set names and field values, and record effect ``contact``.

        :param names: ``first_name``, ``last_name``, ``phone``; what is left out stays.
        """
        for name, text in names.items():
            setattr(contact, name, text)
        contact.changed = time.time()
        written = [self.put_value(contact, field_id, value) for field_id, value in values.items()]
        fields = {self.fields[field_id].title: value for field_id, value in values.items()}
        self.record("contact", contact, id=contact.id, created=created, fields=fields, **detail)
        return written

    def put_value(self, contact: Contact, field_id: int, value: str) -> FieldValue:
        """Set a field's value without an effect."""
        now = time.time()
        one = contact.values.get(field_id)
        if one is None:
            one = FieldValue(next(self._ids), contact.id, field_id, value, now, now)
            contact.values[field_id] = self.values[one.id] = one
        one.value, one.changed = value, now
        return one

    def put_link(self, contact: Contact, tag: Tag) -> tuple[TagLink, bool]:
        """Put a tag on a contact without an effect; return the association and whether it was there."""
        known = contact.tags.get(tag.id)
        if known is not None:
            return known, True
        link = TagLink(next(self._ids), contact.id, tag.id, time.time())
        contact.tags[tag.id] = tag.links[contact.id] = self.links[link.id] = link
        return link, False

    def tag(self, contact: Contact, tag: Tag, **detail: object) -> tuple[TagLink, bool]:
        """Tag the contact and record it; the second time counts as an effect again."""
        link, repeated = self.put_link(contact, tag)
        self.record("tag", contact, tag_id=tag.id, tag=tag.name, association=link.id, repeated=repeated, **detail)
        return link, repeated

    def untag(self, link: TagLink) -> None:
        """Remove an association."""
        contact, tag = self.contacts[link.contact_id], self.tags[link.tag_id]
        del self.links[link.id], contact.tags[tag.id], tag.links[contact.id]
        self.record("untag", contact, tag_id=tag.id, tag=tag.name, association=link.id)

    def subscribe(self, contact: Contact, list_id: int, status: int, **detail: object) -> Membership:
        """Set the contact's status on a list and record it.

        Like the vendor, this subscribes even somebody who unsubscribed; the effect then
        says ``resubscribed: true``.
        """
        before = contact.lists.get(list_id)
        again = status == ACTIVE and before is not None and before.status == UNSUBSCRIBED
        membership = self.put_membership(contact, list_id, status)
        self.record("list", contact, list_id=list_id, list=self.lists[list_id], status=status, resubscribed=again,
                    **detail)  # fmt: skip
        return membership

    def note(self, contact: Contact | None, related: int, kind: str, text: str) -> dict[str, Any]:
        """Keep a note and record it."""
        number = next(self._ids)
        self.notes[number] = {"id": number, "relid": related, "reltype": kind, "note": text, "created": time.time()}
        self.record("note", contact, id=number, reltype=kind, note=text)
        return self.notes[number]

    def readdress(self, contact: Contact, email: str) -> None:
        """Give the contact another address."""
        self.by_email.pop(contact.email, None)
        contact.email = email
        self.by_email[email] = contact

    def delete(self, contact: Contact) -> None:
        """Delete the contact with its associations and values."""
        for link in contact.tags.values():
            del self.links[link.id], self.tags[link.tag_id].links[contact.id]
        for value in contact.values.values():
            del self.values[value.id]
        del self.contacts[contact.id]
        self.by_email.pop(contact.email, None)
        self.record("delete_contact", contact, id=contact.id)

    def record(self, action: str, contact: Contact | None, **detail: object) -> None:
        """Write an effect of this account."""
        self._effects.record("activecampaign", action, contact.email if contact else "", **detail)
