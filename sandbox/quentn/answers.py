"""Quentn's answers (contract: quentn.md 4.1 to 4.4). ASSUMED: the words of errors but for "not found"."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from sandbox.exchange import Refusal, json_answer
from sandbox.quentn.contact import Contact, CustomField, Term

DEFAULT_FIELDS = ("id", "first_name", "family_name", "mail")


def trouble(status: int, words: str) -> web.Response:
    """Return an error in Quentn's shape."""
    return json_answer({"error": True, "message": words}, status)


def refusal(status: int, words: str) -> Refusal:
    """Return an error to raise."""
    return Refusal(trouble(status, words))


def not_found(kind: str) -> Refusal:
    """Return the 404 of a contact, a term, a campaign or a field."""
    return refusal(404, f"{kind} not found")


def success() -> web.Response:
    """Return the answer of a change that has nothing else to tell."""
    return json_answer({"success": True})


def contact_object(one: Contact, names: Iterable[str] = DEFAULT_FIELDS) -> dict[str, Any]:
    """Return some fields of a contact; those that are not filled are empty."""
    known: dict[str, Any] = {**one.fields, "id": one.id, "mail_status": one.status, "terms": list(one.terms)}
    return {name: known.get(name, "") for name in names}


def term_object(one: Term) -> dict[str, Any]:
    """Return a term."""
    return {"id": one.id, "name": one.name, "description": one.description, "deletion_blocked": False}


def field_object(one: CustomField) -> dict[str, Any]:
    """Return a custom field; the names ``id`` and ``field_name`` are assumed."""
    return {"id": one.id, "field_name": one.name, "label": one.label, "field_type": one.kind,
            "max_length": one.max_length}  # fmt: skip
