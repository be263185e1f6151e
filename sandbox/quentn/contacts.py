"""Calls about contacts (contract: quentn.md 4.2).

ASSUMED: 429 for a flood, that submissions without ``request_ip`` are not limited and that ``spam_protection`` does
nothing here, that a status is only taken over for a new contact or by PUT and never ends one that lasts, that
``POST contacts`` refuses all when one is wrong and answers with an array, and the shape of comments.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from sandbox.exchange import Call, json_answer
from sandbox.quentn.account import QuentnAccount
from sandbox.quentn.answers import DEFAULT_FIELDS, contact_object, not_found, refusal, success
from sandbox.quentn.arguments import contact_by_id, json_object, term_ids, whole
from sandbox.quentn.contact import Contact
from sandbox.quentn.fields import stored_fields, stored_status
from sandbox.quentn.flood import DEFAULT_LIMIT
from sandbox.quentn.mail_status import LASTING, UNKNOWN
from sandbox.quentn.merge import check_identity, known_contact, merge_method, merged

MOST_COMMENTS = 50


def single(account: QuentnAccount, call: Call) -> web.Response:
    """``GET contact/{id}`` is an object; ``GET contact/{mail}`` always an array."""
    names = [name for name in call.query.get("fields", "").split(",") if name] or DEFAULT_FIELDS
    if "@" not in call.params["id"]:
        return json_answer(contact_object(contact_by_id(account, call), names))
    found = account.with_mail(call.params["id"])
    if not found:
        raise not_found("Contact")
    return json_answer([contact_object(one, names) for one in found])


def create(account: QuentnAccount, call: Call) -> web.Response:
    """``POST contact``: create or update, and answer with ``return_fields``."""
    body = json_object(call)
    (one,) = _submit(account, [body.get("contact")], body)
    return json_answer(contact_object(one, _returned(body)))


def create_many(account: QuentnAccount, call: Call) -> web.Response:
    """``POST contacts``: several at once."""
    body = json_object(call)
    if not isinstance(body.get("contacts"), list):
        raise refusal(400, "contacts must be an array")
    found = _submit(account, body["contacts"], body)
    return json_answer([contact_object(one, _returned(body)) for one in found])


def update(account: QuentnAccount, call: Call) -> web.Response:
    """``PUT contact/{id}`` with the fields themselves; terms are added."""
    one, given = contact_by_id(account, call), json_object(call)
    fields, status = stored_fields(account.fields, given), stored_status(given)
    terms = term_ids(account, given.get("terms", []))
    if status is not None and one.status not in LASTING:
        one.status = status
    account.write(one, fields, terms, created=False)
    return success()


def delete(account: QuentnAccount, call: Call) -> web.Response:
    """``DELETE contact/{id}``."""
    account.delete(contact_by_id(account, call))
    return success()


def comments(account: QuentnAccount, call: Call) -> web.Response:
    """``GET contact/{id}/comments``."""
    offset, limit = whole(call, "offset", 0, 10**9), whole(call, "limit", MOST_COMMENTS, MOST_COMMENTS)
    return json_answer(contact_by_id(account, call).comments[offset : offset + limit])


def add_comment(account: QuentnAccount, call: Call) -> web.Response:
    """``POST contact/{id}/comments`` with ``comment``."""
    one, text = contact_by_id(account, call), json_object(call).get("comment")
    if not isinstance(text, str) or not text:
        raise refusal(400, "comment is missing")
    one.comments.append({"id": next(account.comment_ids), "comment": text})
    account.record("comment", one, comment_id=one.comments[-1]["id"], comment=text)
    return json_answer({"id": one.comments[-1]["id"]})


def change_comment(account: QuentnAccount, call: Call) -> web.Response:
    """``PUT contact/{id}/comments`` with ``id`` and ``comment``."""
    one, body = contact_by_id(account, call), json_object(call)
    known = next((comment for comment in one.comments if comment["id"] == body.get("id")), None)
    if known is None or not isinstance(body.get("comment"), str):
        raise not_found("Comment")
    known["comment"] = body["comment"]
    account.record("update_comment", one, comment_id=known["id"], comment=known["comment"])
    return success()


def _submit(account: QuentnAccount, given: list[Any], options: Mapping[str, Any]) -> list[Contact]:
    """Check everything, then write everything."""
    method, read = merge_method(options), [_read(account, one) for one in given]
    for fields, _, _ in read:
        known_contact(account, str(options.get("duplicate_check_method", "auto")), fields)
    limit = options.get("flood_limit", DEFAULT_LIMIT)
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise refusal(400, "flood_limit is not valid")
    if not account.flood.take([str(fields.get("request_ip", "")) for fields, _, _ in read], limit, account.now()):
        raise refusal(429, "flood limit reached for this request_ip")
    return [_put(account, one, str(options.get("duplicate_check_method", "auto")), method) for one in read]


def _read(account: QuentnAccount, given: Any) -> tuple[dict[str, Any], int | None, list[int]]:
    if not isinstance(given, dict):
        raise refusal(400, "contact is missing")
    fields = stored_fields(account.fields, given)
    check_identity(fields)
    return fields, stored_status(given), term_ids(account, given.get("terms", []))


def _put(account: QuentnAccount, read: tuple[dict[str, Any], int | None, list[int]], check: str,
         method: str) -> Contact:  # fmt: skip
    fields, status, terms = read
    known = known_contact(account, check, fields)
    if known is None:
        one = account.put_contact({"mail": fields.get("mail", "")}, UNKNOWN if status is None else status)
        account.write(one, fields, terms, created=True)
        return one
    account.write(known, merged(known, fields, method), () if method == "update" else terms, created=False)
    return known


def _returned(options: Mapping[str, Any]) -> list[str]:
    names = options.get("return_fields", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise refusal(400, "return_fields must be an array of names")
    return list(dict.fromkeys(["id", *names]))
