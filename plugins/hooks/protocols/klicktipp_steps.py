"""What KlickTipp's steps mean at the vendor: how each is carried out once and read back."""

from __future__ import annotations

import re
from collections.abc import Mapping

from handoff.contact import Contact
from handoff.errors import Refused, Transient
from handoff.rules.steps import KlickTippContact, KlickTippTag, KlickTippUntag, Step
from handoff.target import Call, Proof
from hooks.protocols.answers import Denied
from hooks.protocols.klicktipp import ContactDocument, KlickTippProtocol, says_not_found
from hooks.protocols.shared import Conversation

NUMERIC = re.compile(r"[+\d][\d ./,()-]*")
OPEN = frozenset({"subscribed", "opt-in pending", "pending"})
CLOSED = (
    "in KlickTipp this contact is not subscribed (abgemeldet; status {!r}): no rule signs it up again; only the person "
    "can, by a double opt-in"
)
MAX_STATUS = 40


class KlickTippSteps:
    """Carries out the steps of one account and reads them back."""

    def __init__(self, protocol: KlickTippProtocol) -> None:
        self.protocol = protocol

    def prepare(self, step: Step) -> Conversation[None]:
        """Log in and read the tags."""
        yield from self.protocol.tags.find(getattr(step, "tag", ""))

    def send(self, call: Call) -> Conversation[Proof]:
        """Carry out one effect. :raises Refused: also for a step that KlickTipp does not have."""
        match call.step:
            case KlickTippContact() as step:
                return self._put(step, call.contact)
            case KlickTippTag() as step:
                return self._tag(step, call.contact)
            case KlickTippUntag() as step:
                return self._untag(step, call.contact)
        raise self._foreign(call)

    def seen(self, call: Call) -> Conversation[Proof | None]:
        """Read one effect back; ``None`` when it is not there."""
        match call.step:
            case KlickTippContact() as step:
                return self._put_seen(step, call.contact)
            case KlickTippTag() as step:
                return self._tag_seen(step, call.contact)
            case KlickTippUntag() as step:
                return self._untag_seen(step, call.contact)
        raise self._foreign(call)

    def _put(self, step: KlickTippContact, contact: Contact) -> Conversation[Proof]:
        """Create or update the contact. :raises Refused: it unsubscribed in KlickTipp."""
        known = yield from self.protocol.look_up(contact.email)
        if known is not None and _is_closed(known):
            status = str(known.get("status") or "")[:MAX_STATUS]
            raise Refused(self.protocol.account, "create or update contact", CLOSED.format(status))
        tag_id = (yield from self.protocol.tag_id(step.tag)) if step.tag else None
        fields = yield from self._fields(step, contact)
        stored = yield from self.protocol.upsert_contact(
            contact.email, opt_in=step.opt_in, tag_id=tag_id, fields=fields
        )
        return _proof(tag_id, int(stored["id"]))

    def _tag(self, step: KlickTippTag, contact: Contact) -> Conversation[Proof]:
        """Tag the contact; one whom the account does not know is created with the tag, in one call."""
        tag_id = yield from self.protocol.tag_id(step.tag, create=step.create)
        try:
            yield from self.protocol.tag(contact.email, [tag_id])
        except Denied as error:
            if not (yield from self._absent(error, contact)):
                raise
            stored = yield from self.protocol.upsert_contact(contact.email, tag_id=tag_id, fields=_names(contact))
            return _proof(tag_id, int(stored["id"]))
        return _proof(tag_id, None)

    def _untag(self, step: KlickTippUntag, contact: Contact) -> Conversation[Proof]:
        """Remove the tag; there is nothing to remove from a contact whom the account does not know."""
        tag_id = yield from self.protocol.tag_id(step.tag)
        try:
            yield from self.protocol.untag(contact.email, tag_id)
        except Denied as error:
            if not (yield from self._absent(error, contact)):
                raise
        return _proof(tag_id, None)

    def _absent(self, error: Denied, contact: Contact) -> Conversation[bool]:
        return says_not_found(error) and (yield from self.protocol.find_contact(contact.email)) is None

    def _put_seen(self, step: KlickTippContact, contact: Contact) -> Conversation[Proof | None]:
        stored = yield from self.protocol.look_up(contact.email)
        if stored is None:
            return None
        tag_id = (yield from self.protocol.tag_id(step.tag)) if step.tag else None
        fields = yield from self._fields(step, contact)
        complete = all(_same(value, stored.get(field)) for field, value in fields.items())
        tagged = tag_id is None or self._has(stored, tag_id)
        return _proof(tag_id, int(stored["id"])) if complete and tagged else None

    def _tag_seen(self, step: KlickTippTag, contact: Contact) -> Conversation[Proof | None]:
        tag_id = yield from self.protocol.tags.find(step.tag, by_name=step.create)
        stored = (yield from self.protocol.look_up(contact.email)) if tag_id else None
        if stored is None or tag_id is None or not self._has(stored, int(tag_id)):
            return None
        return _proof(int(tag_id), int(stored["id"]))

    def _untag_seen(self, step: KlickTippUntag, contact: Contact) -> Conversation[Proof | None]:
        tag_id = yield from self.protocol.tag_id(step.tag)
        stored = yield from self.protocol.look_up(contact.email)
        return None if stored is not None and self._has(stored, tag_id) else _proof(tag_id, None)

    def _fields(self, step: KlickTippContact, contact: Contact) -> Conversation[dict[str, str]]:
        return {**_names(contact), **(yield from self.protocol.field_values(step.fields))}

    def _has(self, stored: ContactDocument, tag_id: int) -> bool:
        """Whether the contact carries a manual tag: a map by id, or ``tags`` as a list where that is not shown."""
        tags = stored.get("manual_tags", stored.get("tags"))
        if not isinstance(tags, Mapping | list):
            raise Transient(self.protocol.account, "read contact", "the contact is shown without its tags")
        return str(tag_id) in {str(tag) for tag in tags}

    def _foreign(self, call: Call) -> Refused:
        return Refused(self.protocol.account, call.step.step, "this connection is a KlickTipp account")


def _is_closed(stored: ContactDocument) -> bool:
    """Whether a contact unsubscribed. By which word that is shown is not known (2.4), so any but the open ones says it.

    One that is shown without a status is closed if it is said when it unsubscribed.
    """
    status = str(stored.get("status") or "").strip().casefold()
    return status not in OPEN if status else bool(stored.get("unsubscription"))


def _names(contact: Contact) -> dict[str, str]:
    names = {"fieldFirstName": contact.first_name, "fieldLastName": contact.last_name}
    return {field: name for field, name in names.items() if name}


def _same(sent: str, stored: object) -> bool:
    """Whether a stored value is what was sent, in the spelling KlickTipp keeps.

    Phones lose their plus and decimals gain a point (2.4), so numbers are compared by their digits.
    """
    kept = str(stored or "").strip().replace("\r\n", "\n")
    wanted = sent.strip().replace("\r\n", "\n")
    if NUMERIC.fullmatch(wanted) and NUMERIC.fullmatch(kept):
        return _digits(kept) == _digits(wanted)
    return kept == wanted


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text).lstrip("0")


def _proof(tag_id: int | None, contact_id: int | None) -> Proof:
    """Return the ids; a contact's id only where the vendor gave it."""
    return {key: value for key, value in (("tag_id", tag_id), ("contact_id", contact_id)) if value is not None}
