"""Calls about terms, the ids of which are numbers (contract: quentn.md 4.3)."""

from __future__ import annotations

import re

from aiohttp import web

from sandbox.exchange import Call, json_answer
from sandbox.quentn.account import QuentnAccount
from sandbox.quentn.answers import not_found, refusal, success, term_object
from sandbox.quentn.arguments import LARGEST_PAGE, contact_by_id, content, json_object, term_ids, whole
from sandbox.quentn.contact import Term


def listing(account: QuentnAccount, call: Call) -> web.Response:
    """``GET terms?offset=&limit=``: at most 500 a page."""
    offset, limit = whole(call, "offset", 0, 10**9), whole(call, "limit", LARGEST_PAGE, LARGEST_PAGE)
    return json_answer([term_object(one) for one in list(account.terms.values())[offset : offset + limit]])


def single(account: QuentnAccount, call: Call) -> web.Response:
    """``GET terms/{id|name}``."""
    return json_answer(term_object(_term(account, call)))


def create(account: QuentnAccount, call: Call) -> web.Response:
    """``POST terms``: the id of the term with that name, which is made if there is none."""
    body = json_object(call)
    name, description = body.get("name"), body.get("description", "")
    if not isinstance(name, str) or not name.strip() or not isinstance(description, str):
        raise refusal(400, "name is missing")
    known = account.term_named(name)
    one = known or account.put_term(name, description)
    if known is None:
        account.record_alone("create_tag", tag_id=one.id, tag=one.name)
    return json_answer({"id": one.id})


def update(account: QuentnAccount, call: Call) -> web.Response:
    """``PUT terms/{id}``: another name or description."""
    one, body = _term(account, call), json_object(call)
    name = str(body.get("name", one.name)).strip()
    other = account.term_named(name)
    if not name or (other is not None and other is not one):
        raise refusal(400, "name is empty or used already")
    one.name, one.description = name, str(body.get("description", one.description))
    account.record_alone("update_tag", tag_id=one.id, tag=one.name)
    return success()


def delete(account: QuentnAccount, call: Call) -> web.Response:
    """``DELETE terms/{id}``: contacts lose it as well."""
    one = _term(account, call)
    del account.terms[one.id]
    for contact in account.contacts.values():
        contact.terms = [number for number in contact.terms if number != one.id]
    account.record_alone("delete_tag", tag_id=one.id, tag=one.name)
    return success()


def of_contact(account: QuentnAccount, call: Call) -> web.Response:
    """``GET contact/{id}/terms``: an array of ids, as the other calls take it."""
    return json_answer(contact_by_id(account, call).terms)


def add(account: QuentnAccount, call: Call) -> web.Response:
    """``PUT contact/{id}/terms``: these as well."""
    one = contact_by_id(account, call)
    for number in term_ids(account, content(call)):
        account.tag(one, number)
    return success()


def overwrite(account: QuentnAccount, call: Call) -> web.Response:
    """``POST contact/{id}/terms``, deprecated: these and no others."""
    one, wanted = contact_by_id(account, call), term_ids(account, content(call))
    for number in [known for known in one.terms if known not in wanted]:
        account.untag(one, number)
    for number in wanted:
        account.tag(one, number)
    return success()


def remove(account: QuentnAccount, call: Call) -> web.Response:
    """``DELETE contact/{id}/terms``: ids in the body, or ``?ids=1|2`` as one client does."""
    one, text = contact_by_id(account, call), call.query.get("ids", "")
    given = [int(part) for part in text.split("|") if part.isdigit()] if text and not call.raw else content(call)
    for number in term_ids(account, given):
        account.untag(one, number)
    return success()


def _term(account: QuentnAccount, call: Call) -> Term:
    """Return the term with the id, or else the name, in the path.

    :raises Refusal: 404.
    """
    text = call.params["id"]
    by_id = account.terms.get(int(text)) if re.fullmatch(r"\d{1,15}", text) else None
    found = by_id or (account.term_named(text) if call.method == "GET" else None)
    if found is None:
        raise not_found("Term")
    return found
