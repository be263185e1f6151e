"""Reading what a request to Insightly says; what cannot be read is a 400 (contract: insightly.md 1.2 and 1.4)."""

from __future__ import annotations

import json
import re
from typing import Any

from sandbox.exchange import Call
from sandbox.insightly.account import InsightlyAccount
from sandbox.insightly.answers import not_found, refusal
from sandbox.insightly.kinds import LINKABLE, Kind
from sandbox.insightly.moments import query_moment
from sandbox.insightly.record import Record

_LARGEST_ID = 2**53


def content(call: Call) -> Any:
    """Return the body, which is JSON whatever its type says.

    :raises Refusal: 400 when it is none.
    """
    try:
        return json.loads(call.raw)
    except ValueError as error:
        raise refusal(400, "The request body is not valid JSON.") from error


def json_object(call: Call) -> dict[str, Any]:
    """Return the body as an object.

    :raises Refusal: 400.
    """
    return _object(content(call))


def json_objects(call: Call) -> list[dict[str, Any]]:
    """Return the body as an array of objects; a single one counts as an array of one.

    :raises Refusal: 400.
    """
    value = content(call)
    return [_object(one) for one in (value if isinstance(value, list) else [value])]


def flag(call: Call, name: str) -> bool:
    """Return whether a query parameter says true; ``True`` does as well."""
    return call.query.get(name, "").lower() == "true"


def whole(call: Call, name: str, default: int) -> int:
    """Return a whole number of the query that is not negative.

    :raises Refusal: 400.
    """
    text = call.query.get(name, "")
    if not text:
        return default
    if not re.fullmatch(r"\d{1,9}", text):
        raise refusal(400, f"The value '{text}' is not valid for {name}.")
    return int(text)


def updated_after(call: Call) -> int | None:
    """Return the second that ``updated_after_utc`` names.

    :raises Refusal: 400 when it is not ISO 8601 with T and a zone.
    """
    text = call.query.get("updated_after_utc")
    if text is None:
        return None
    try:
        return query_moment(text)
    except ValueError as error:
        raise refusal(400, f"The value '{text}' is not valid for updated_after_utc.") from error


def addressed(account: InsightlyAccount, kind: Kind, number: object) -> Record:
    """Return the record with an id from a path or a body.

    :raises Refusal: 400 when that is no id, 404 when there is no such record.
    """
    if isinstance(number, bool) or not re.fullmatch(r"\d{1,18}", str(number)) or int(str(number)) > _LARGEST_ID:
        raise refusal(400, f"The value '{number}' is not valid for {kind.number}.")
    record = account.table(kind).get(int(str(number)))
    if record is None:
        raise not_found(kind.name, number)
    return record


def unchanged(call: Call, record: Record) -> None:
    """Hold ``If-Match`` against the record.

    :raises Refusal: 400, although the vendor's documentation says 412.
    """
    wanted = call.headers.get("If-Match")
    if wanted not in {None, "*", record.etag}:
        raise refusal(400, f"If-Match header value {wanted} is not valid.")


def tag_name(value: dict[str, Any]) -> str:
    """Return the name in ``{"TAG_NAME": "x"}``.

    :raises Refusal: 400 when there is none.
    """
    name = value.get("TAG_NAME")
    if not isinstance(name, str) or not name.strip():
        raise refusal(400, "TAG_NAME is required.")
    return name.strip()


def link_target(account: InsightlyAccount, value: dict[str, Any]) -> tuple[str, int]:
    """Return the kind and id that a link leads to.

    :raises Refusal: 400 for a wrong object name (a plural, for instance) or id, 404 for an unknown record.
    """
    name, number = value.get("LINK_OBJECT_NAME"), value.get("LINK_OBJECT_ID")
    if name not in LINKABLE:
        raise refusal(400, f"LINK_OBJECT_NAME '{name}' is not valid.")
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise refusal(400, f"LINK_OBJECT_ID '{number}' is not valid.")
    if name in account.tables and account.find(name, number) is None:
        raise not_found(name, number)
    return name, number


def state(kind: Kind, value: object) -> str:
    """Return a state in upper case; any case is understood.

    :raises Refusal: 400 for an unknown one.
    """
    if not isinstance(value, str) or value.upper() not in kind.states:
        raise refusal(400, f"'{value}' is not valid for {kind.state}.")
    return value.upper()


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise refusal(400, "The request body is not a JSON object.")
    return value
