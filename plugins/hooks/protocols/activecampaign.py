"""ActiveCampaign's API v3 as operations without I/O (activecampaign.md 3.1, 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from handoff.contact import same_address
from handoff.errors import RateLimited, Transient, UnknownOutcome, WrongCredentials
from hooks.protocols.answers import Denied, read, retry_after, unreadable
from hooks.protocols.catalog import Catalog
from hooks.protocols.shared import Conversation, Shared
from hooks.protocols.wire import Request, Response

Document = Mapping[str, Any]
"""A thing as ActiveCampaign shows it; ids are texts."""

PAGE = 100
"""The largest page (3.1)."""
SUBSCRIBED = 1


class ActiveCampaignProtocol:
    """One account's operations, with the ids of its tags, fields and lists, resolved on first use.

    :param account: Airflow connection id, for errors. :param token: the Api-Token of one user.
    """

    def __init__(self, account: str, token: str) -> None:
        self.account = account
        self._headers = {"Api-Token": token, "Accept": "application/json"}
        self.tags = Catalog(
            account, "tag", "create it in ActiveCampaign, correct the rule, or let the step create it", self._tag_names
        )
        advice = "correct the rule or create it in ActiveCampaign"
        self.fields = Catalog(account, "field", advice, lambda: self._names("/fields", "fields", ("title", "perstag")))
        self.lists = Catalog(account, "list", advice, lambda: self._names("/lists", "lists", ("name",)))

    def verify(self) -> Conversation[None]:
        """Read the fields, which needs a valid token. :raises WrongCredentials: it is not."""
        yield from self.fields.reread()

    def read_tags(self) -> Conversation[dict[str, str]]:
        """Return the names of the account's contact tags by id."""
        tags = yield from self._all("/tags", "tags", "read tags")
        return {str(tag["id"]): str(tag.get("tag")) for tag in tags if tag.get("tagType", "contact") == "contact"}

    def tag_id(self, name: str, create: bool = False) -> Conversation[str]:
        """Return the id of a tag, named by its name or id; one that may have to be created, by its name.

        :raises Refused: the account does not have it and it is not to be created.
        """
        found = yield from self.tags.find(name, by_name=create)
        if found is None and create:
            found = yield Shared(f"create tag {name}", lambda: self._create_tag(name))
        if found is None:
            raise self.tags.unknown(name)
        return found

    def field_values(self, values: Mapping[str, str]) -> Conversation[dict[str, str]]:
        """Return the values by field id; a field is named by title, personalisation tag or id.

        :raises Refused: the account has no such field.
        """
        resolved: dict[str, str] = {}
        for name, value in values.items():
            resolved[(yield from self.fields.resolve(name))] = value
        return resolved

    def sync_contact(
        self, email: str, attributes: Mapping[str, str] | None = None, fields: Mapping[str, str] | None = None
    ) -> Conversation[str]:
        """Create or update the contact with an address and return its id.

        :param attributes: any of ``firstName``, ``lastName``, ``phone``. :param fields: values by field id.
        """
        contact: dict[str, Any] = {"email": email, **(attributes or {})}
        if fields:
            contact["fieldValues"] = [{"field": field, "value": value} for field, value in fields.items()]
        request = Request("POST", "/contact/sync", "create or update contact", changes=True, json={"contact": contact})
        return (yield from self._created(request, "contact"))

    def find_contact(self, email: str) -> Conversation[Document | None]:
        """Return the contact with an address, or ``None``."""
        request = Request("GET", "/contacts", "find contact", changes=False, query={"email": email})
        contacts = self._items(request, (yield from self._object(request)), "contacts")
        return next((one for one in contacts if same_address(str(one.get("email", "")), email)), None)

    def read_fields(self, contact_id: str) -> Conversation[dict[str, str]]:
        """Return a contact's custom field values by field id.

        The contact is shown with its values, as ``contact/sync`` does; where it is not, they are listed on their own.

        :raises Denied: there is no such contact.
        """
        request = Request("GET", f"/contacts/{contact_id}", "read contact", changes=False)
        answer = yield from self._object(request)
        if "fieldValues" not in answer:
            request = Request("GET", f"/contacts/{contact_id}/fieldValues", "read field values", changes=False)
            answer = yield from self._object(request)
        values = self._items(request, answer, "fieldValues")
        return {str(value.get("field")): str(value.get("value") or "") for value in values}

    def add_tag(self, contact_id: str, tag_id: str) -> Conversation[str]:
        """Tag a contact and return the association's id. :raises Denied: there is no such contact."""
        body = {"contactTag": {"contact": contact_id, "tag": tag_id}}
        request = Request("POST", "/contactTags", "tag contact", changes=True, json=body)
        return (yield from self._created(request, "contactTag"))

    def tag_association(self, contact_id: str, tag_id: str) -> Conversation[str | None]:
        """Return the id by which a contact's tag is removed, or ``None`` when it does not carry the tag."""
        tags = yield from self._all(f"/contacts/{contact_id}/contactTags", "contactTags", "read contact's tags")
        return next((str(tag["id"]) for tag in tags if str(tag.get("tag")) == tag_id), None)

    def remove_tag(self, association_id: str) -> Conversation[None]:
        """Remove a tag from a contact; it is no error when it is gone already."""
        request = Request("DELETE", f"/contactTags/{association_id}", "untag contact", changes=True)
        try:
            yield from self._object(request)
        except Denied as error:
            if error.status != 404:
                raise

    def list_status(self, contact_id: str, list_id: str) -> Conversation[int | None]:
        """Return the membership: 0 unconfirmed, 1 active, 2 unsubscribed, 3 bounced; ``None`` for no membership."""
        path = f"/contacts/{contact_id}/contactLists"
        memberships = yield from self._all(path, "contactLists", "read contact's lists")
        states = [str(item.get("status")) for item in memberships if str(item.get("list")) == list_id]
        if not all(state.isdigit() for state in states):
            raise Transient(self.account, "read contact's lists", "a membership is shown without its status")
        return max(map(int, states), default=None)

    def subscribe(self, contact_id: str, list_id: str) -> Conversation[None]:
        """Subscribe a contact; the caller has made sure that it did not unsubscribe (3.2, the vendor's warning)."""
        body = {"contactList": {"list": list_id, "contact": contact_id, "status": SUBSCRIBED}}
        request = Request("POST", "/contactLists", "subscribe contact to list", changes=True, json=body)
        answer = yield from self._object(request)
        if not isinstance(answer.get("contactList"), dict):
            raise unreadable(self.account, request, "the answer holds no contactList")

    def call(
        self, request: Request, explain: Callable[[Any], tuple[str, int | None]] | None = None
    ) -> Conversation[Any]:
        """Send a request signed and return its document; status 503 with ``Retry-After`` means throttled (3.1).

        :raises WrongCredentials: status 403, this vendor's word for a missing or invalid token.
        """
        request = replace(request, headers=self._headers)
        response: Response = yield request
        if response.status == 503 and "retry-after" in response.headers:
            raise RateLimited(self.account, request.operation, "HTTP 503", retry_after(response))
        try:
            return read(self.account, request, response, explain or explain_errors)
        except Denied as error:
            if error.status in {401, 403}:
                raise WrongCredentials(self.account, request.operation, error.words) from None
            raise

    def _object(self, request: Request) -> Conversation[Document]:
        answer = yield from self.call(request)
        if answer == []:
            return {}
        if not isinstance(answer, dict):
            raise unreadable(self.account, request, "the answer is not an object")
        return answer

    def _created(self, request: Request, key: str) -> Conversation[str]:
        thing = (yield from self._object(request)).get(key)
        if not isinstance(thing, dict) or not str(thing.get("id", "")).isdigit():
            raise unreadable(self.account, request, f"the answer holds no {key} with an id")
        return str(thing["id"])

    def _items(self, request: Request, answer: Document, key: str) -> list[Document]:
        items = answer.get(key)
        if not isinstance(items, list) or not all(isinstance(item, dict) and "id" in item for item in items):
            raise unreadable(self.account, request, f"the answer holds no list of {key}")
        return items

    def _all(self, path: str, key: str, operation: str) -> Conversation[list[Document]]:
        """Read all pages; ``meta.total`` is a text, and nested lists may come without it (3.1)."""
        found: dict[str, Document] = {}
        while True:
            query = {"limit": str(PAGE), "offset": str(len(found))}
            request = Request("GET", path, operation, changes=False, query=query)
            answer = yield from self._object(request)
            items = self._items(request, answer, key)
            before = len(found)
            found.update((str(item["id"]), item) for item in items)
            meta = answer.get("meta")
            total = str(meta.get("total", "")) if isinstance(meta, dict) else ""
            complete = len(found) >= int(total) if total.isdigit() else len(items) < PAGE
            if complete or len(found) == before:
                return list(found.values())

    def _names(self, path: str, key: str, names: tuple[str, ...]) -> Conversation[list[tuple[str, str]]]:
        items = yield from self._all(path, key, f"read {key}")
        return [(str(item["id"]), str(item.get(name) or "")) for item in items for name in names]

    def _tag_names(self) -> Conversation[list[tuple[str, str]]]:
        return list((yield from self.read_tags()).items())

    def _create_tag(self, name: str) -> Conversation[str | None]:
        """Create a tag once; when that fails or is doubtful, see whether the account has it now.

        :raises Transient: it is still doubtful; no contact was touched.
        """
        body = {"tag": {"tag": name, "tagType": "contact", "description": ""}}
        request = Request("POST", "/tags", "create tag", changes=True, json=body)
        try:
            created = yield from self._created(request, "tag")
        except (Denied, UnknownOutcome) as error:
            found = yield from self.tags.find(name, again=True, by_name=True)
            if found is None and isinstance(error, UnknownOutcome):
                raise Transient(self.account, request.operation, error.words) from None
            if found is None:
                raise
            return found
        self.tags.add(name, created)
        return created


def explain_errors(document: Any) -> tuple[str, int | None]:
    """Return the words of ``{"message"}`` or ``{"errors": [{"title", "detail", "code"}]}``; no error numbers exist."""
    if not isinstance(document, dict):
        return "an error in an unknown form", None
    errors = document.get("errors")
    parts = [document.get("message")]
    for error in errors if isinstance(errors, list) else ():
        parts += [error.get(key) for key in ("title", "detail", "code")] if isinstance(error, dict) else [error]
    return "; ".join(part for part in parts if isinstance(part, str) and part) or "no words given", None
