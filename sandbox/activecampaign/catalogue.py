"""ActiveCampaign's tags, lists, fields, values and notes (contract: activecampaign.md 3.2)."""

from __future__ import annotations

from aiohttp import web

from sandbox.activecampaign.account import ACTIVE, UNSUBSCRIBED, ActiveCampaignAccount, Contact
from sandbox.activecampaign.answers import (
    contact_object,
    field_object,
    link_object,
    membership_object,
    not_found,
    page,
    related_not_found,
    tag_object,
    unprocessable,
    value_object,
)
from sandbox.activecampaign.arguments import envelope, number, required
from sandbox.exchange import Call, json_answer

NOTE_KINDS = frozenset({"Activity", "Deal", "DealTask", "Subscriber", "CustomerAccount"})


def tags(account: ActiveCampaignAccount, call: Call) -> web.Response:
    """``GET /tags``: ``search`` contains, ``filters[search][eq]`` is exact."""
    part, exact = call.query.get("search", "").lower(), call.query.get("filters[search][eq]")
    if exact is not None:
        one = account.tag_names.get(exact)
        return page(call, "tags", [tag_object(one)] if one else [])
    return page(call, "tags", [tag_object(tag) for tag in account.tags.values() if part in tag.name.lower()])


def create_tag(account: ActiveCampaignAccount, call: Call) -> web.Response:
    """``POST /tags``: 422 when the name is taken."""
    inner = envelope(call, "tag")
    name = str(required(inner, "tag"))
    if name in account.tag_names:
        raise unprocessable("Tag already exists", "duplicate", "tag")
    tag = account.put_tag(name, str(inner.get("tagType") or "contact"), str(inner.get("description") or ""))
    account.record("create_tag", None, tag_id=tag.id, tag=name)
    return json_answer({"tag": tag_object(tag)}, 201)


def tag(account: ActiveCampaignAccount, call: Call) -> web.Response:
    """``GET /tags/{id}``."""
    one = account.tags.get(number(call.params["id"]))
    if one is None:
        raise not_found("Tag", call.params["id"])
    return json_answer({"tag": tag_object(one)})


def tag_contact(account: ActiveCampaignAccount, call: Call) -> web.Response:
    """``POST /contactTags``: 201 with the association; 200 with the one that is there already."""
    inner = envelope(call, "contactTag")
    contact = _related(account, inner)
    tag_id = required(inner, "tag")
    one = account.tags.get(number(tag_id))
    if one is None:
        raise related_not_found("Tag not found")
    link, repeated = account.tag(contact, one)
    return json_answer({"contactTag": link_object(link)}, 200 if repeated else 201)


def untag_contact(account: ActiveCampaignAccount, call: Call) -> web.Response:
    """``DELETE /contactTags/{id}``: by the association's id, not by the tag's."""
    link = account.links.get(number(call.params["id"]))
    if link is None:
        raise not_found("ContactTag", call.params["id"])
    account.untag(link)
    return json_answer({})


def lists(account: ActiveCampaignAccount, call: Call) -> web.Response:
    """``GET /lists``; ``filters[name]`` is exact."""
    wanted = call.query.get("filters[name]")
    found = [_list_object(i, name) for i, name in account.lists.items() if wanted in (None, name)]
    return page(call, "lists", found)


def subscribe(account: ActiveCampaignAccount, call: Call) -> web.Response:
    """``POST /contactLists``: status 1 also subscribes who unsubscribed himself, the vendor's own trap."""
    inner = envelope(call, "contactList")
    contact = _related(account, inner)
    list_id, status = number(required(inner, "list")), str(required(inner, "status"))
    if list_id not in account.lists:
        raise related_not_found("List not found")
    if status not in {str(ACTIVE), str(UNSUBSCRIBED)}:
        raise unprocessable("The status must be 1 or 2.", "invalid", "status")
    membership = account.subscribe(contact, list_id, int(status), sourceid=inner.get("sourceid"))
    place = membership_object(contact, membership)
    return json_answer({"contacts": [contact_object(contact)], "contactList": place})


def fields(account: ActiveCampaignAccount, call: Call) -> web.Response:
    """``GET /fields``."""
    return page(call, "fields", [field_object(one) for one in account.fields.values()])


def write_value(account: ActiveCampaignAccount, call: Call) -> web.Response:
    """``POST /fieldValues``: creates or replaces the contact's value of the field."""
    inner = envelope(call, "fieldValue")
    contact = _related(account, inner)
    field_id = number(required(inner, "field"))
    if field_id not in account.fields:
        raise related_not_found("Field not found")
    value = account.put_value(contact, field_id, str(inner.get("value") or ""))
    account.record("field", contact, field_id=field_id, field=account.fields[field_id].title, value=value.value)
    return json_answer({"contacts": [contact_object(contact)], "fieldValue": value_object(value)})


def note(account: ActiveCampaignAccount, call: Call) -> web.Response:
    """``POST /notes``."""
    inner = envelope(call, "note")
    kind, related, text = required(inner, "reltype"), number(required(inner, "relid")), str(required(inner, "note"))
    if kind not in NOTE_KINDS:
        raise unprocessable("The reltype is not valid.", "invalid", "reltype")
    contact = account.contacts.get(related) if kind == "Subscriber" else None
    if kind == "Subscriber" and contact is None:
        raise related_not_found("Contact not found")
    kept = account.note(contact, related, kind, text)
    shown = {"id": str(kept["id"]), "note": text, "relid": str(related), "reltype": kind, "links": {}}
    return json_answer({"note": shown}, 201)


def _related(account: ActiveCampaignAccount, inner: dict[str, object]) -> Contact:
    contact = account.contacts.get(number(required(inner, "contact")))
    if contact is None:
        raise related_not_found("Contact not found")
    return contact


def _list_object(number_: int, name: str) -> dict[str, object]:
    return {"id": str(number_), "name": name, "stringid": name.lower().replace(" ", "-"), "links": {}}
