"""Reading KlickTipp's arguments: numbers that may come as text, addresses, fields."""

from __future__ import annotations

import re
from typing import Any

from sandbox.addresses import is_address, normal_address
from sandbox.exchange import Call
from sandbox.klicktipp.account import Contact, KlickTippAccount, Tag
from sandbox.klicktipp.answers import (
    EMAIL_BLOCKED,
    EMAIL_INVALID,
    FIELD_INVALID,
    NO_SUCH_EMAIL,
    NO_SUCH_TAG,
    PHONE_INVALID,
    UPDATE_FAILED,
    error_code,
    missing,
    refusal,
)
from sandbox.klicktipp.fields import stored_phone, stored_value


def required(call: Call, name: str) -> Any:
    """Return a body argument.

    :raises Refusal: 401, KlickTipp's odd status for a missing argument.
    """
    value = call.body.get(name)
    if value in (None, ""):
        raise missing(name)
    return value


def number(value: object) -> int | None:
    """Return the int that ``value`` is or spells, else ``None``."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and re.fullmatch(r"\d{1,15}", value) else None


def known_tag(account: KlickTippAccount, value: object) -> Tag:
    """Return the tag with this id.

    :raises Refusal: 406 with error 403.
    """
    tag = account.tags.get(number(value) or 0)
    if tag is None:
        raise error_code(NO_SUCH_TAG)
    return tag


def tag_list(account: KlickTippAccount, value: object) -> list[Tag]:
    """Return the tags of ``tagids``, an array of ids.

    :raises Refusal: 400 when it is no array, 406 when a tag is unknown.
    """
    if not isinstance(value, list):
        raise refusal(400, 'The key "tagids" must be an array.')
    return [known_tag(account, item) for item in value]


def known_contact(account: KlickTippAccount, call: Call) -> Contact:
    """Return the contact with the body's ``email``.

    :raises Refusal: 401 without the argument, 406 with error 7 when there is no such contact.
    """
    contact = account.by_email.get(normal_address(str(required(call, "email"))))
    if contact is None:
        raise error_code(NO_SUCH_EMAIL)
    return contact


def new_address(account: KlickTippAccount, value: object) -> str:
    """Return the address in its one spelling; empty when there is none.

    :raises Refusal: 406 with error 5, or error 10 with code 30 for a blocked domain.
    """
    if not value:
        return ""
    address = normal_address(str(value))
    if not is_address(address):
        raise error_code(EMAIL_INVALID)
    if address.partition("@")[2] in account.blocked_domains:
        raise error_code(UPDATE_FAILED, code=EMAIL_BLOCKED)
    return address


def new_phone(value: object) -> str:
    """Return the number as ``0049...``; empty when there is none.

    :raises Refusal: 406 with error 11.
    """
    try:
        return stored_phone(str(value)) if value else ""
    except ValueError as error:
        raise error_code(PHONE_INVALID) from error


def field_values(account: KlickTippAccount, value: object) -> dict[str, str]:
    """Return ``fields`` as they will be stored.

    :raises Refusal: 400 when it is no object, 406 with error 8 and the field's name.
    """
    if value is None or value == []:
        return {}
    if not isinstance(value, dict):
        raise refusal(400, 'The key "fields" must be an object.')
    stored = {}
    for name, content in value.items():
        if name not in account.fields:
            raise error_code(FIELD_INVALID, field=name, reason="unknown field")
        try:
            stored[name] = stored_value(account.field_types[name], content)
        except ValueError as error:
            raise error_code(FIELD_INVALID, field=name, name=account.fields[name], reason=str(error)) from error
    return stored
