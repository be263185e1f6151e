"""Reading what a request to Quentn says; what cannot be read is a 400."""

from __future__ import annotations

import json
import re
from typing import Any

from sandbox.exchange import Call
from sandbox.quentn.account import QuentnAccount
from sandbox.quentn.answers import not_found, refusal
from sandbox.quentn.contact import Contact

LARGEST_PAGE = 500


def content(call: Call) -> Any:
    """Return the body, which is JSON.

    :raises Refusal: 400 when it is none.
    """
    try:
        return json.loads(call.raw)
    except ValueError as error:
        raise refusal(400, "the body is not JSON") from error


def json_object(call: Call) -> dict[str, Any]:
    """Return the body as an object.

    :raises Refusal: 400.
    """
    value = content(call)
    if not isinstance(value, dict):
        raise refusal(400, "the body is not a JSON object")
    return value


def contact_by_id(account: QuentnAccount, call: Call) -> Contact:
    """Return the contact whose id the path names.

    :raises Refusal: 404.
    """
    text = call.params["id"]
    found = account.contacts.get(int(text)) if re.fullmatch(r"\d{1,15}", text) else None
    if found is None:
        raise not_found("Contact")
    return found


def term_ids(account: QuentnAccount, value: Any) -> list[int]:
    """Return ids of terms; numbers only, no names.

    :raises Refusal: 400 for anything else, 404 for an unknown one.
    """
    if not isinstance(value, list) or any(isinstance(one, bool) or not isinstance(one, int) for one in value):
        raise refusal(400, "terms must be an array of ids")
    if any(one not in account.terms for one in value):
        raise not_found("Term")
    return list(value)


def whole(call: Call, name: str, default: int, largest: int) -> int:
    """Return a whole number of the query, at most ``largest``.

    :raises Refusal: 400.
    """
    text = call.query.get(name, str(default))
    if not re.fullmatch(r"\d{1,9}", text):
        raise refusal(400, f"{name} must be a number")
    return min(int(text), largest)
