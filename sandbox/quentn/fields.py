"""The fields of a contact and what they take (contract: quentn.md 4.2 and 4.4).

ASSUMED: that unknown fields and values that do not fit are refused, and which texts a date field takes: ISO 8601 with
or without a time and a zone, or unix seconds. Values are kept as they came.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sandbox.addresses import is_address, normal_address
from sandbox.quentn.answers import refusal
from sandbox.quentn.contact import CustomField
from sandbox.quentn.mail_status import STATUSES

STANDARD = frozenset(
    {"title", "first_name", "family_name", "company", "job_title", "phone_type", "phone", "mail", "skype", "fb",
     "twitter", "ba_street", "ba_street2", "ba_city", "ba_postal_code", "ba_state", "ba_country", "date_of_birth",
     "comment", "request_ip"}
)  # fmt: skip
"""Those that are texts; ``mail_status`` and ``terms`` are read by themselves."""
_URL = re.compile(r"https?://[^\s/]+\S*")


def stored_fields(custom: Mapping[str, CustomField], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a contact that is given, without its status and terms; null empties a field.

    :raises Refusal: 400 for an unknown field or a value that does not fit.
    """
    stored = {}
    for name, value in given.items():
        if name in {"mail_status", "terms", "id"}:
            continue
        if name in custom:
            stored[name] = _custom(custom[name], value)
        elif name in STANDARD and (value is None or isinstance(value, str)):
            stored[name] = _mail(value or "") if name == "mail" else value or ""
        else:
            raise refusal(400, f"field {name} is unknown or its value is not valid")
    return stored


def stored_status(given: Mapping[str, Any]) -> int | None:
    """Return ``mail_status``, ``None`` when it is left out.

    :raises Refusal: 400 for an unknown number.
    """
    number = given.get("mail_status")
    if number is None:
        return None
    if isinstance(number, bool) or number not in STATUSES.values():
        raise refusal(400, "mail_status is not valid")
    return int(number)


def takes(field: CustomField, value: Any) -> bool:
    """Tell whether a custom field takes a value."""
    if value is None or value == "":
        return True
    match field.kind:
        case "date":
            return _is_date(value)
        case "integer":
            return not isinstance(value, bool) and re.fullmatch(r"-?\d{1,18}", str(value)) is not None
        case "float":
            return not isinstance(value, bool) and re.fullmatch(r"-?\d{1,15}(\.\d+)?", str(value)) is not None
        case "checkbox_confirmation":
            return isinstance(value, bool | int | str) and value in {0, 1, "0", "1"}
        case "url":
            return isinstance(value, str) and _URL.fullmatch(value) is not None and len(value) <= field.max_length
        case _:
            return isinstance(value, str) and len(value) <= field.max_length


def _is_date(value: Any) -> bool:
    if isinstance(value, bool | float):
        return False
    if isinstance(value, int) or re.fullmatch(r"\d{9,11}", str(value)):
        return True
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return re.match(r"\d{4}-\d\d-\d\d", value) is not None


def _custom(field: CustomField, value: Any) -> Any:
    if not takes(field, value):
        raise refusal(400, f"field {field.name} does not take this value")
    return "" if value is None else value


def _mail(text: str) -> str:
    address = normal_address(text)
    if address and not is_address(address):
        raise refusal(400, "mail is not valid")
    return address
