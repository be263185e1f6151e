"""Which contact is meant, and what of it is overwritten (contract: quentn.md 4.2).

ASSUMED: that ``auto`` finds who has the same address, or the same names and street; that ``email`` takes the oldest
of several; that ``update`` overwrites filled fields only and adds no terms, and ``add`` fills empty ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.quentn.account import QuentnAccount
from sandbox.quentn.answers import refusal
from sandbox.quentn.contact import Contact

CHECK_METHODS = ("auto", "email", "none")
MERGE_METHODS = ("update_add", "update", "add")
POSTAL = ("first_name", "family_name", "ba_street", "ba_city", "ba_postal_code")
"""What identifies a contact without an address."""


def known_contact(account: QuentnAccount, method: str, fields: Mapping[str, Any]) -> Contact | None:
    """Return the contact that is updated, ``None`` when a new one comes.

    :raises Refusal: 400 for an unknown method.
    """
    if method not in CHECK_METHODS:
        raise refusal(400, "duplicate_check_method is not valid")
    if method == "none":
        return None
    mail = fields.get("mail", "")
    if mail and (found := account.with_mail(mail)):
        return found[0]
    if method == "email":
        return None
    wanted = [str(fields.get(name, "")).lower() for name in POSTAL[:3]]
    known = (one for one in account.contacts.values() if not (mail and one.mail))
    return next((one for one in known if all(wanted) and _said(one) == wanted), None)


def check_identity(fields: Mapping[str, Any]) -> None:
    """Refuse a contact of whom too little is known.

    :raises Refusal: 400.
    """
    if not fields.get("mail") and not all(fields.get(name) for name in POSTAL):
        raise refusal(400, f"a contact needs mail, or {', '.join(POSTAL)}")


def merged(one: Contact, fields: Mapping[str, Any], method: str) -> dict[str, Any]:
    """Return the fields that are written to a known contact."""
    if method == "update":
        return {name: value for name, value in fields.items() if one.fields.get(name)}
    if method == "add":
        return {name: value for name, value in fields.items() if not one.fields.get(name)}
    return dict(fields)


def merge_method(options: Mapping[str, Any]) -> str:
    """Return ``duplicate_merge_method``.

    :raises Refusal: 400 for an unknown one.
    """
    method = str(options.get("duplicate_merge_method", MERGE_METHODS[0]))
    if method not in MERGE_METHODS:
        raise refusal(400, "duplicate_merge_method is not valid")
    return method


def _said(one: Contact) -> list[str]:
    return [str(one.fields.get(name, "")).lower() for name in POSTAL[:3]]
