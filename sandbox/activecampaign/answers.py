"""ActiveCampaign's answers: ids and totals as strings, three shapes of errors (contract: activecampaign.md 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from sandbox.activecampaign.account import Contact, Field, FieldValue, Membership, Tag, TagLink
from sandbox.clock import chicago
from sandbox.exchange import Call, Refusal, json_answer

DEFAULT_PAGE, LARGEST_PAGE = 20, 100


def not_found(kind: str, number: object) -> Refusal:
    """Return the 404 of a resource asked for by id."""
    return Refusal(json_answer({"message": f"No Result found for {kind} with id {number}"}, 404))


def related_not_found(detail: str) -> Refusal:
    """Return the 404 of a request that refers to something unknown."""
    return Refusal(json_answer({"errors": [{"status": 404, "title": "Not Found", "detail": detail}]}, 404))


def unprocessable(title: str, code: str, pointer: str) -> Refusal:
    """Return a 422 about one attribute."""
    source = {"pointer": f"/data/attributes/{pointer}"}
    return Refusal(json_answer({"errors": [{"title": title, "detail": "", "code": code, "source": source}]}, 422))


def page(call: Call, name: str, items: Sequence[Any], **more: object) -> web.Response:
    """Return one page of ``items`` with ``meta.total`` as a string; at most 100 a page."""
    limit = min(max(_number(call.query.get("limit"), DEFAULT_PAGE), 1), LARGEST_PAGE)
    offset = max(_number(call.query.get("offset"), 0), 0)
    part = list(items[offset : offset + limit])
    return json_answer({name: part, **more, "meta": {"total": str(len(items))}})


def contact_object(contact: Contact) -> dict[str, Any]:
    """Return a contact as ActiveCampaign shows it."""
    return {
        "id": str(contact.id),
        "email": contact.email,
        "firstName": contact.first_name,
        "lastName": contact.last_name,
        "phone": contact.phone,
        "cdate": chicago(contact.created),
        "udate": chicago(contact.changed),
        "orgid": "",
        "hash": contact.hash,
        "links": {},
        "fieldValues": [str(value.id) for value in contact.values.values()],
        "organization": None,
    }


def value_object(value: FieldValue) -> dict[str, Any]:
    """Return a field value."""
    return {
        "contact": str(value.contact_id),
        "field": str(value.field_id),
        "value": value.value,
        "cdate": chicago(value.created),
        "udate": chicago(value.changed),
        "id": str(value.id),
        "owner": str(value.contact_id),
        "links": {},
    }


def link_object(link: TagLink) -> dict[str, Any]:
    """Return a tag's association with a contact."""
    return {
        "cdate": chicago(link.created),
        "contact": str(link.contact_id),
        "id": str(link.id),
        "links": {},
        "tag": str(link.tag_id),
    }


def tag_object(tag: Tag) -> dict[str, Any]:
    """Return a tag."""
    return {
        "id": str(tag.id),
        "tag": tag.name,
        "tagType": tag.kind,
        "description": tag.description,
        "cdate": chicago(tag.created),
        "subscriber_count": str(len(tag.links)),
        "links": {},
    }


def membership_object(contact: Contact, membership: Membership) -> dict[str, Any]:
    """Return a contact's place on a list."""
    return {
        "contact": str(contact.id),
        "list": str(membership.list_id),
        "status": str(membership.status),
        "udate": chicago(membership.changed),
        "id": str(membership.id),
        "links": {},
    }


def field_object(one: Field) -> dict[str, Any]:
    """Return a custom field."""
    return {"id": str(one.id), "title": one.title, "type": one.kind, "perstag": one.perstag, "links": {}}


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isdigit() else default
