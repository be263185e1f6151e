"""What Quentn's steps mean at the vendor: how each is carried out once and read back."""

from __future__ import annotations

from handoff.contact import Contact
from handoff.errors import Refused, Transient, UnknownOutcome
from handoff.rules.steps import QuentnCampaign, QuentnContact, QuentnTerm, QuentnUnterm, Step
from handoff.target import Call, Proof
from hooks.protocols.kept_values import plain
from hooks.protocols.quentn import STANDARD_FIELDS, ContactDocument, QuentnProtocol
from hooks.protocols.quentn_assumed import NOTES, MailStatuses
from hooks.protocols.quentn_notes import NoteBlock
from hooks.protocols.shared import Conversation

STATUS, TERMS = "mail_status", "terms"
SHOWN = ("id", "mail", STATUS, TERMS)
WRITING = "write to contact"
CLOSED = (
    "in Quentn this address is unsubscribed, blocked or spam (abgemeldet, gesperrt, Spam; mail_status {}): nothing is "
    "done with it, and no rule subscribes it again; only the person can, by a double opt-in"
)


class QuentnSteps:
    """Carries out the steps of one account and reads them back.

    :param statuses: tells whose address is closed. Quentn remembers it of deleted contacts too and gives it back to
        one that is created again (quentn.md 4.5), so it is looked at before and after a contact is created.
    """

    def __init__(self, protocol: QuentnProtocol, statuses: MailStatuses) -> None:
        self.protocol, self.statuses = protocol, statuses

    def prepare(self, step: Step) -> Conversation[None]:
        """Read the names that a step needs; change nothing."""
        match step:
            case QuentnTerm() | QuentnUnterm():
                yield from self.protocol.find_term(step.term)
            case QuentnContact() if step.fields.keys() - STANDARD_FIELDS:
                yield from self.protocol.fields.find("")

    def send(self, call: Call) -> Conversation[Proof]:
        """Carry out one effect. :raises Refused: also for an address that is closed."""
        match call.step:
            case QuentnContact() as step:
                return self._put(step, call)
            case QuentnTerm() as step:
                return self._add(step, call)
            case QuentnUnterm() as step:
                return self._remove(step, call)
            case QuentnCampaign() as step:
                return self._start(step, call)
        raise self._foreign(call)

    def seen(self, call: Call) -> Conversation[Proof | None]:
        """Read one effect back; ``None`` when it is not there.

        :raises UnknownOutcome: it is the start of a campaign, which cannot be read (quentn.md 4.4).
        """
        match call.step:
            case QuentnContact() as step:
                return self._put_seen(step, call)
            case QuentnTerm() as step:
                return self._add_seen(step, call)
            case QuentnUnterm() as step:
                return self._remove_seen(step, call)
            case QuentnCampaign():
                words = "Quentn does not tell whether a campaign was started"
                raise UnknownOutcome(self.protocol.account, "read campaign", words)
        raise self._foreign(call)

    def _put(self, step: QuentnContact, call: Call) -> Conversation[Proof]:
        """Create or update the contact, then set what depends on how Quentn keeps it: status and notes."""
        values = yield from self._values(step, call.contact)
        block = NoteBlock.of(call, step.notes)
        found = yield from self._open(call.contact)
        if not (found or step.create):
            return {}
        shown = (STATUS, NOTES) if block else (STATUS,)
        stored = yield from self.protocol.put_contact(call.contact.email, values, step.merge, shown)
        stored = yield from self._complete(stored, shown)
        self._check(stored)
        changes: dict[str, object] = {}
        if step.opt_in == "single" and self._status(stored) == self.statuses.unknown:
            changes[STATUS] = self.statuses.single
        if block and not block.is_in(notes := plain(stored.get(NOTES))):
            changes[NOTES] = block.put_into(notes)
        if changes:
            yield from self.protocol.change_contact(int(stored["id"]), changes)
        return {"contact_id": int(stored["id"])}

    def _add(self, step: QuentnTerm, call: Call) -> Conversation[Proof]:
        term_id = yield from self.protocol.term_id(step.term, step.create)
        contact = yield from self._present(call)
        if term_id not in self._terms(contact):
            yield from self.protocol.add_term(int(contact["id"]), term_id)
        return {"contact_id": int(contact["id"]), "term_id": term_id}

    def _remove(self, step: QuentnUnterm, call: Call) -> Conversation[Proof]:
        """Remove the term from every contact with the address; where there is none, there is nothing to do."""
        term_id = yield from self.protocol.term_id(step.term)
        for contact in (yield from self.protocol.contacts(call.contact.email, ("id", "mail", TERMS))):
            if term_id in self._terms(contact):
                yield from self.protocol.remove_term(int(contact["id"]), term_id)
        return {"term_id": term_id}

    def _start(self, step: QuentnCampaign, call: Call) -> Conversation[Proof]:
        found, contact = (yield from self._present(call)), call.contact
        yield from self.protocol.start_campaign(step.campaign, contact.email, contact.first_name, contact.last_name)
        return {"contact_id": int(found["id"]), "campaign_id": step.campaign}

    def _put_seen(self, step: QuentnContact, call: Call) -> Conversation[Proof | None]:
        values = yield from self._values(step, call.contact)
        block = NoteBlock.of(call, step.notes)
        fields = ("id", "mail", STATUS, *values, *((NOTES,) if block else ()))
        contacts = yield from self.protocol.contacts(call.contact.email, fields)
        if not (contacts or step.create):
            return {}
        for stored in contacts:
            status = self._status(stored)
            opted = self.statuses.are_open(status) and not (step.opt_in == "single" and status == self.statuses.unknown)
            noted = block is None or block.is_in(plain(stored.get(NOTES)))
            if opted and noted and self._kept(step, values, stored):
                return {"contact_id": int(stored["id"])}
        return None

    def _add_seen(self, step: QuentnTerm, call: Call) -> Conversation[Proof | None]:
        term_id = yield from self.protocol.find_term(step.term)
        if term_id is None:
            return None
        for contact in (yield from self.protocol.contacts(call.contact.email, ("id", "mail", TERMS))):
            if term_id in self._terms(contact):
                return {"contact_id": int(contact["id"]), "term_id": term_id}
        return None

    def _remove_seen(self, step: QuentnUnterm, call: Call) -> Conversation[Proof | None]:
        term_id = yield from self.protocol.term_id(step.term)
        contacts = yield from self.protocol.contacts(call.contact.email, ("id", "mail", TERMS))
        return None if any(term_id in self._terms(contact) for contact in contacts) else {"term_id": term_id}

    def _open(self, contact: Contact) -> Conversation[list[ContactDocument]]:
        """Return the contacts with an address. :raises Refused: one of them is closed."""
        contacts = yield from self.protocol.contacts(contact.email, SHOWN)
        for one in contacts:
            self._check(one)
        return contacts

    def _present(self, call: Call) -> Conversation[ContactDocument]:
        """Return the contact: the one an earlier step told of, else the oldest; it is created when it is missing.

        A lost answer leaves this preparation in doubt, not the effect itself: the effect was not tried yet.

        :raises Refused: the address is closed. :raises Transient: the contact is not there; it may be tried again.
        """
        contacts = yield from self._open(call.contact)
        if contacts:
            known = call.known.get("contact_id")
            return next((one for one in contacts if int(one["id"]) == known), contacts[0])
        try:
            stored = yield from self.protocol.put_contact(call.contact.email, _names(call.contact), "add", SHOWN)
        except UnknownOutcome as error:
            raise Transient(error.account, error.operation, error.words) from None
        stored = yield from self._complete(stored, SHOWN)
        self._check(stored)
        return stored

    def _complete(self, stored: ContactDocument, fields: tuple[str, ...]) -> Conversation[ContactDocument]:
        """Return a contact with these fields, read when the answer of the change did not show them."""
        if set(fields) <= stored.keys():
            return stored
        found = yield from self.protocol.contact(int(stored["id"]), ("id", *fields))
        if found is None:
            raise Transient(self.protocol.account, WRITING, "the contact was deleted meanwhile")
        return found

    def _check(self, contact: ContactDocument) -> None:
        status = self._status(contact)
        if not self.statuses.are_open(status):
            raise Refused(self.protocol.account, WRITING, CLOSED.format(status))

    def _status(self, contact: ContactDocument) -> int:
        status = str(contact.get(STATUS, ""))
        if not (status.isascii() and status.isdigit()):
            raise Refused(self.protocol.account, WRITING, "the contact is shown without a number as its mail_status")
        return int(status)

    def _terms(self, contact: ContactDocument) -> set[int]:
        """Return the ids of a contact's terms."""
        terms = contact.get(TERMS, "")
        if not isinstance(terms, list) or not all(str(term).isdigit() for term in terms):
            raise Transient(self.protocol.account, "read contact", "the contact is shown without the ids of its terms")
        return {int(term) for term in terms}

    def _kept(self, step: QuentnContact, values: dict[str, str], stored: ContactDocument) -> bool:
        """Whether the fields are as sent; ``add`` leaves a value that was there before."""
        return all(
            self.protocol.same(field, value, stored.get(field)) or (step.merge == "add" and plain(stored.get(field)))
            for field, value in values.items()
        )

    def _values(self, step: QuentnContact, contact: Contact) -> Conversation[dict[str, str]]:
        return {**_names(contact), **(yield from self.protocol.field_values(step.fields))}

    def _foreign(self, call: Call) -> Refused:
        return Refused(self.protocol.account, call.step.step, "this connection is a Quentn account")


def _names(contact: Contact) -> dict[str, str]:
    """Return what the source knows of the person; what it does not know is not overwritten."""
    names = {"first_name": contact.first_name, "family_name": contact.last_name}
    return {field: name for field, name in names.items() if name}
