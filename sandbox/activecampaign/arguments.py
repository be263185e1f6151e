"""Reading ActiveCampaign's arguments; ids may come as numbers or as text."""

from __future__ import annotations

import re
from typing import Any

from sandbox.activecampaign.account import ActiveCampaignAccount, Contact
from sandbox.activecampaign.answers import not_found, unprocessable
from sandbox.addresses import is_address, normal_address
from sandbox.exchange import Call

NAMES = {"firstName": "first_name", "lastName": "last_name", "phone": "phone"}


def envelope(call: Call, name: str) -> dict[str, Any]:
    """Return the object that the body wraps under ``name``.

    :raises Refusal: 422 when it is missing.
    """
    inner = call.body.get(name)
    if not isinstance(inner, dict):
        raise unprocessable(f"The {name} was not provided.", "field_missing", name)
    return inner


def number(value: object) -> int:
    """Return the id that ``value`` is or spells; 0, which no id is, for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and re.fullmatch(r"\d{1,15}", value) else 0


def required(inner: dict[str, Any], name: str) -> Any:
    """Return an attribute.

    :raises Refusal: 422 when it is missing.
    """
    value = inner.get(name)
    if value in (None, ""):
        raise unprocessable(f"The {name} was not provided.", "field_missing", name)
    return value


def address(inner: dict[str, Any]) -> str:
    """Return the attribute ``email`` in its one spelling.

    :raises Refusal: 422 when it is missing or no address.
    """
    email = normal_address(str(required(inner, "email")))
    if not is_address(email):
        raise unprocessable("Email address is not valid.", "email_invalid", "email")
    return email


def names(inner: dict[str, Any]) -> dict[str, str]:
    """Return the given names and phone under the contact's own attribute names."""
    return {own: str(inner[theirs] or "") for theirs, own in NAMES.items() if theirs in inner}


def field_values(account: ActiveCampaignAccount, inner: dict[str, Any]) -> dict[int, str]:
    """Return ``fieldValues`` as field id to value.

    :raises Refusal: 422 when a field is unknown.
    """
    values = {}
    for item in inner.get("fieldValues") or ():
        field_id = number(item.get("field")) if isinstance(item, dict) else 0
        if field_id not in account.fields:
            raise unprocessable("The field does not exist.", "related_missing", "fieldValues")
        values[field_id] = "" if item.get("value") is None else str(item["value"])
    return values


def contact_by_id(account: ActiveCampaignAccount, call: Call) -> Contact:
    """Return the contact that the path names.

    :raises Refusal: 404.
    """
    contact = account.contacts.get(number(call.params["id"]))
    if contact is None:
        raise not_found("Subscriber", call.params["id"])
    return contact
