"""ActiveCampaign's asynchronous import of up to 250 contacts (contract: activecampaign.md 3.2)."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from sandbox.activecampaign.account import ACTIVE, UNSUBSCRIBED, ActiveCampaignAccount, Contact
from sandbox.activecampaign.answers import not_found
from sandbox.activecampaign.arguments import number
from sandbox.addresses import is_address, normal_address
from sandbox.exchange import Call, Refusal, json_answer

MOST_CONTACTS = 250
MOST_IMPORTS_A_MINUTE = 100
_NAMES = {"first_name": "first_name", "last_name": "last_name", "phone": "phone"}


@dataclass(slots=True)
class Batch:
    """One import: ids that worked and addresses that did not, once it is completed."""

    id: str
    contacts: list[dict[str, Any]]
    queued: float
    completed: float = 0.0
    success: list[str] = field(default_factory=list)
    failure: list[str] = field(default_factory=list)


class BulkImport:
    """Queues imports and carries each out a little later.

    :param delay: seconds from the answer "queued" until the import's effects.
    """

    def __init__(self, account: ActiveCampaignAccount, delay: float) -> None:
        self._account = account
        self._delay = delay
        self._batches: dict[str, Batch] = {}
        self._minute: deque[float] = deque()
        self._stopped = False

    def stop(self) -> None:
        """Carry out nothing any more; called when the world is replaced."""
        self._stopped = True

    def queue(self, call: Call) -> web.Response:
        """``POST /import/bulk_import``: all contacts are queued or, when one is wrong in form, none."""
        contacts = call.body.get("contacts")
        if not isinstance(contacts, list) or not contacts:
            raise _refusal("No contacts were provided.", [])
        if len(contacts) > MOST_CONTACTS:
            raise _refusal(f"The number of contacts exceeds the limit of {MOST_CONTACTS}.", [])
        if reasons := [one for i, contact in enumerate(contacts) if (one := self._objection(i, contact))]:
            raise _refusal("Validation failed.", reasons)
        self._take_place()
        batch = Batch(str(uuid.uuid4()), contacts, time.time())
        self._batches[batch.id] = batch
        self._account.record("bulk_import", None, batch=batch.id, contacts=len(contacts))
        asyncio.get_running_loop().call_later(self._delay, self._carry_out, batch)
        answer = {"Success": 1, "queued_contacts": len(contacts), "batchId": batch.id}
        return json_answer({**answer, "message": "Contact import queued"})

    def info(self, call: Call) -> web.Response:
        """``GET /import/info?batchId=``."""
        batch = self._batches.get(call.query.get("batchId", ""))
        if batch is None:
            raise not_found("Batch", call.query.get("batchId", ""))
        status = "completed" if batch.completed else "waiting"
        return json_answer({"status": status, "success": batch.success, "failure": batch.failure})

    def overview(self, _call: Call) -> web.Response:
        """``GET /import/bulk_import``."""
        waiting = [_summary(batch) for batch in self._batches.values() if not batch.completed]
        completed = [_summary(batch) for batch in self._batches.values() if batch.completed]
        return json_answer({"outstanding": waiting, "recentlyCompleted": completed[-20:]})

    def _objection(self, index: int, contact: object) -> dict[str, Any] | None:
        """Return why a contact cannot even be queued."""
        reason = ""
        if not isinstance(contact, dict) or not contact.get("email"):
            reason = "Contact email is missing."
        elif not all(_is_list_of(dict, contact.get(name)) for name in ("subscribe", "unsubscribe", "fields")):
            reason = "subscribe, unsubscribe and fields must be lists of objects."
        elif not _is_list_of(str, contact.get("tags")):
            reason = "Tags must be a list of names."
        elif any(number(item.get("listid")) not in self._account.lists for item in contact.get("subscribe") or ()):
            reason = "List does not exist."
        elif any(number(item.get("id")) not in self._account.fields for item in contact.get("fields") or ()):
            reason = "Field does not exist."
        return {"contact": index, "failureReason": reason} if reason else None

    def _take_place(self) -> None:
        """Count this import in its minute.

        :raises Refusal: 400 with the vendor's own shape when the minute is full.
        """
        now = time.monotonic()
        while self._minute and self._minute[0] <= now - 60:
            self._minute.popleft()
        if len(self._minute) >= MOST_IMPORTS_A_MINUTE:
            raise _refusal("Rate limit exceeded.", [])
        self._minute.append(now)

    def _carry_out(self, batch: Batch) -> None:
        if self._stopped:
            return
        for item in batch.contacts:
            email = normal_address(str(item["email"]))
            if is_address(email):
                batch.success.append(str(self._import(batch, email, item).id))
            else:
                batch.failure.append(str(item["email"]))
        batch.completed = time.time()

    def _import(self, batch: Batch, email: str, item: dict[str, Any]) -> Contact:
        account = self._account
        known = account.by_email.get(email)
        contact = known or account.put_contact(email)
        names = {own: str(item[theirs] or "") for theirs, own in _NAMES.items() if theirs in item}
        values = {number(one["id"]): str(one.get("value") or "") for one in item.get("fields") or ()}
        account.write(contact, names, values, created=known is None, batch=batch.id)
        for name in item.get("tags") or ():
            tag = account.tag_names.get(name) or account.put_tag(name)
            account.tag(contact, tag, batch=batch.id)
        for place in item.get("subscribe") or ():
            self._subscribe(batch, contact, number(place.get("listid")))
        for place in item.get("unsubscribe") or ():
            if (list_id := number(place.get("listid"))) in account.lists:
                account.subscribe(contact, list_id, UNSUBSCRIBED, batch=batch.id)
        return contact

    def _subscribe(self, batch: Batch, contact: Contact, list_id: int) -> None:
        """Subscribe unless the contact has left this list: an import cannot bring anybody back."""
        place = contact.lists.get(list_id)
        if place is None or place.status != UNSUBSCRIBED:
            self._account.subscribe(contact, list_id, ACTIVE, batch=batch.id)


def _is_list_of(kind: type, value: object) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(item, kind) for item in value))


def _summary(batch: Batch) -> dict[str, object]:
    return {"batchId": batch.id, "contacts": len(batch.contacts), "queued": batch.queued}


def _refusal(message: str, reasons: list[dict[str, Any]]) -> Refusal:
    return Refusal(json_answer({"success": 0, "message": message, "failureReasons": reasons}, 400))
