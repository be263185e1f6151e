"""What ActiveCampaign's steps mean at the vendor: how each is carried out once and read back."""

from __future__ import annotations

from collections.abc import Mapping

from handoff.contact import Contact
from handoff.errors import Refused, Transient, UnknownOutcome
from handoff.rules.steps import ActiveCampaignContact, ActiveCampaignList, ActiveCampaignTag, ActiveCampaignUntag, Step
from handoff.target import Call, Proof
from hooks.protocols.activecampaign import SUBSCRIBED, ActiveCampaignProtocol
from hooks.protocols.activecampaign_bulk import Entry
from hooks.protocols.kept_values import same
from hooks.protocols.shared import Conversation

ATTRIBUTES = {"firstName": "first_name", "lastName": "last_name", "phone": "phone"}
"""What every contact has; the name in ``contact/sync`` and the name in a bulk import."""
NEVER_AGAIN = {
    0: "unconfirmed on this list; it waits for the contact's own confirmation",
    2: "unsubscribed from this list; never subscribed again by a rule",
    3: "bounced on this list; never subscribed again by a rule",
}


class ActiveCampaignSteps:
    """Carries out the steps of one account and reads them back."""

    def __init__(self, protocol: ActiveCampaignProtocol) -> None:
        self.protocol = protocol

    def prepare(self, step: Step) -> Conversation[None]:
        """Read the tags."""
        yield from self.protocol.tags.find(getattr(step, "tag", ""))

    def send(self, call: Call) -> Conversation[Proof]:
        """Carry out one effect. :raises Refused: also for a step that ActiveCampaign does not have."""
        match call.step:
            case ActiveCampaignContact() as step:
                return self._put(step, call)
            case ActiveCampaignTag() as step:
                return self._tag(step, call)
            case ActiveCampaignUntag() as step:
                return self._untag(step, call)
            case ActiveCampaignList() as step:
                return self._subscribe(step, call)
        raise self._foreign(call)

    def seen(self, call: Call) -> Conversation[Proof | None]:
        """Read one effect back; ``None`` when it is not there."""
        match call.step:
            case ActiveCampaignContact() as step:
                return self._put_seen(step, call)
            case ActiveCampaignTag() as step:
                return self._tag_seen(step, call)
            case ActiveCampaignUntag() as step:
                return self._untag_seen(step, call)
            case ActiveCampaignList() as step:
                return self._subscribe_seen(step, call)
        raise self._foreign(call)

    @staticmethod
    def may_be_bulk(call: Call) -> bool:
        """Whether a bulk import could carry out the effect (see :meth:`bulk_entry`)."""
        return isinstance(call.step, ActiveCampaignContact) or (
            isinstance(call.step, ActiveCampaignTag) and call.step.bulk == "auto"
        )

    def bulk_entry(self, call: Call) -> Conversation[Entry | None]:
        """Return what a bulk import needs for an effect, or ``None`` when it goes out on its own.

        Lists go out on their own: an import passes over people who unsubscribed without saying so.

        :raises Refused: the account does not have the tag or a field.
        """
        match call.step:
            case ActiveCampaignContact() as step:
                attributes, fields = yield from self._values(step, call.contact)
                values = [{"id": int(field), "value": value} for field, value in fields.items()]
                return _entry(call.contact, attributes) | ({"fields": values} if values else {})
            case ActiveCampaignTag(bulk="auto") as step:
                tag_id = yield from self.protocol.tag_id(step.tag, step.create)
                name = self.protocol.tags.name_of(tag_id) or step.tag
                return _entry(call.contact, _attributes(call.contact)) | {"tags": [name]}
        return None

    def _put(self, step: ActiveCampaignContact, call: Call) -> Conversation[Proof]:
        attributes, fields = yield from self._values(step, call.contact)
        contact_id = yield from self.protocol.sync_contact(call.contact.email, attributes, fields)
        return {"contact_id": contact_id}

    def _tag(self, step: ActiveCampaignTag, call: Call) -> Conversation[Proof]:
        tag_id = yield from self.protocol.tag_id(step.tag, step.create)
        contact_id = yield from self._present(call)
        association = yield from self.protocol.add_tag(contact_id, tag_id)
        return {"contact_id": contact_id, "tag_id": tag_id, "association_id": association}

    def _untag(self, step: ActiveCampaignUntag, call: Call) -> Conversation[Proof]:
        tag_id = yield from self.protocol.tag_id(step.tag)
        contact_id = yield from self._known(call)
        association = (yield from self.protocol.tag_association(contact_id, tag_id)) if contact_id else None
        if association:
            yield from self.protocol.remove_tag(association)
        return _proof(contact_id, tag_id=tag_id)

    def _subscribe(self, step: ActiveCampaignList, call: Call) -> Conversation[Proof]:
        """Subscribe the contact unless it is on the list already, in whatever state."""
        list_id = yield from self.protocol.lists.resolve(step.list)
        contact_id = yield from self._present(call)
        status = yield from self.protocol.list_status(contact_id, list_id)
        if status is None:
            yield from self.protocol.subscribe(contact_id, list_id)
        elif status != SUBSCRIBED:
            words = NEVER_AGAIN.get(status, f"on this list with the unknown status {status}")
            raise Refused(self.protocol.account, "subscribe contact to list", words)
        return {"contact_id": contact_id, "list_id": list_id}

    def _present(self, call: Call) -> Conversation[str]:
        """Return the contact's id; it is created when it is missing.

        A lost answer leaves this preparation in doubt, not the effect itself: the effect was not tried yet.

        :raises Transient: the contact is not there; the step may be tried again.
        """
        if known := str(call.known.get("contact_id") or ""):
            return known
        try:
            return (yield from self.protocol.sync_contact(call.contact.email, _attributes(call.contact)))
        except UnknownOutcome as error:
            doubt = Transient(error.account, error.operation, error.words)
        stored = yield from self.protocol.find_contact(call.contact.email)
        if stored is None:
            raise doubt
        return str(stored["id"])

    def _known(self, call: Call) -> Conversation[str | None]:
        if known := str(call.known.get("contact_id") or ""):
            return known
        stored = yield from self.protocol.find_contact(call.contact.email)
        return None if stored is None else str(stored["id"])

    def _put_seen(self, step: ActiveCampaignContact, call: Call) -> Conversation[Proof | None]:
        stored = yield from self.protocol.find_contact(call.contact.email)
        if stored is None:
            return None
        attributes, fields = yield from self._values(step, call.contact)
        kept = (yield from self.protocol.read_fields(str(stored["id"]))) if fields else {}
        complete = _within(attributes, stored) and _within(fields, kept)
        return {"contact_id": str(stored["id"])} if complete else None

    def _tag_seen(self, step: ActiveCampaignTag, call: Call) -> Conversation[Proof | None]:
        tag_id = yield from self.protocol.tags.find(step.tag, by_name=step.create)
        contact_id = (yield from self._known(call)) if tag_id else None
        if tag_id is None or contact_id is None:
            return None
        association = yield from self.protocol.tag_association(contact_id, tag_id)
        return _proof(contact_id, tag_id=tag_id, association_id=association) if association else None

    def _untag_seen(self, step: ActiveCampaignUntag, call: Call) -> Conversation[Proof | None]:
        tag_id = yield from self.protocol.tag_id(step.tag)
        contact_id = yield from self._known(call)
        association = (yield from self.protocol.tag_association(contact_id, tag_id)) if contact_id else None
        return None if association else _proof(contact_id, tag_id=tag_id)

    def _subscribe_seen(self, step: ActiveCampaignList, call: Call) -> Conversation[Proof | None]:
        list_id = yield from self.protocol.lists.resolve(step.list)
        contact_id = yield from self._known(call)
        status = (yield from self.protocol.list_status(contact_id, list_id)) if contact_id else None
        return _proof(contact_id, list_id=list_id) if status == SUBSCRIBED else None

    def _values(
        self, step: ActiveCampaignContact, contact: Contact
    ) -> Conversation[tuple[dict[str, str], dict[str, str]]]:
        """Return attributes and field values to send; a step's own values override the contact's."""
        own = {name: value for name, value in step.fields.items() if name in ATTRIBUTES}
        others = {name: value for name, value in step.fields.items() if name not in ATTRIBUTES}
        return {**_attributes(contact), **own}, (yield from self.protocol.field_values(others))

    def _foreign(self, call: Call) -> Refused:
        return Refused(self.protocol.account, call.step.step, "this connection is an ActiveCampaign account")


def _attributes(contact: Contact) -> dict[str, str]:
    """Return what the source knows of the person; what it does not know is not overwritten."""
    values = {"firstName": contact.first_name, "lastName": contact.last_name, "phone": contact.phone}
    return {name: value for name, value in values.items() if value}


def _entry(contact: Contact, attributes: Mapping[str, str]) -> dict[str, object]:
    return {"email": contact.email, **{ATTRIBUTES[name]: value for name, value in attributes.items()}}


def _within(sent: Mapping[str, str], kept: Mapping[str, object]) -> bool:
    return all(same(value, kept.get(name)) for name, value in sent.items())


def _proof(contact_id: str | None, **ids: str) -> Proof:
    return {**ids} if contact_id is None else {"contact_id": contact_id, **ids}
